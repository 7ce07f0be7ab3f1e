"""Attention layers for which TensorRT for RTX has fused kernels; a GPU is not needed, for unsupported attention does not
build."""

from __future__ import annotations

from typing import Any

import pytest

from mimaface.model.checkpoint import without_memory
from mimaface.model.config import MimaFaceConfig
from mimaface.model.instances import DEMO, PAPER_SD15
from mimaface.model.motion_unet import build_motion_unet
from mimaface.model.unet_blocks import Attention

tensorrt = pytest.importorskip("tensorrt_rtx", reason="TensorRT for RTX is not installed: pip install 'mimaface[tensorrt]'")


def head_sizes(config: MimaFaceConfig) -> set[int]:
    """Returns the head sizes of the U-Net, spatial and temporal, and of the vision encoder."""
    unet = without_memory(lambda: build_motion_unet(config.unet))
    found = {part.inner_dim // part.heads for part in unet.modules() if isinstance(part, Attention)}
    return found | {config.vision["hidden_size"] // config.vision["num_attention_heads"]}


def has_kernel(head_size: int, dtype: Any, target: Any) -> bool:
    builder = tensorrt.Builder(tensorrt.Logger(tensorrt.Logger.INTERNAL_ERROR))
    network = builder.create_network(1 << int(tensorrt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    inputs = [network.add_input(name, dtype, (2, 4, 64, head_size)) for name in "qkv"]
    attention = network.add_attention(*inputs, tensorrt.AttentionNormalizationOp.SOFTMAX, False)
    network.mark_output(attention.get_output(0))
    config = builder.create_builder_config()
    config.num_compute_capabilities = 1
    config.set_compute_capability(target, 0)
    return builder.build_serialized_network(network, config) is not None


@pytest.mark.parametrize("config", [DEMO, PAPER_SD15], ids=lambda config: config.name)
def test_attention_is_one_kernel_in_half_precision(config: MimaFaceConfig) -> None:
    sizes = head_sizes(config)
    assert sizes == ({16, 40} if config is DEMO else {40, 64, 80, 160})
    for target in ("SM86", "SM89", "SM120"):
        for size in sizes:
            assert has_kernel(size, tensorrt.float16, getattr(tensorrt.ComputeCapability, target)), (size, target)


def test_a_size_without_a_kernel_is_seen() -> None:
    assert not has_kernel(8, tensorrt.float16, tensorrt.ComputeCapability.SM89)
    assert not has_kernel(40, tensorrt.float32, tensorrt.ComputeCapability.SM89), "nor is there one in float32"
