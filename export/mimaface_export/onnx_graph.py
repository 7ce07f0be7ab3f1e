"""The motion U-Net as an ONNX graph, and the comparison of that graph with torch."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor

from mimaface.model.motion_unet import MotionUNet
from mimaface.protocol.errors import NotInstalled

log = logging.getLogger(__name__)

INPUTS = ("sample", "timestep", "context")
OUTPUT = "prediction"


@dataclass(frozen=True)
class Sizes:
    """Sizes of one call: B samples, F frames, latents of h × w, L context tokens."""

    batch: int
    frames: int
    height: int
    width: int
    tokens: int


# More than one sample, an odd number of frames, height unlike width: nothing that could be right by chance (spec 6.3).
TRACED = Sizes(batch=2, frames=3, height=32, width=16, tokens=7)
COMPARED = (Sizes(2, 5, 16, 32, 7), Sizes(1, 1, 16, 16, 9), Sizes(3, 2, 16, 16, 4))


def example(unet: MotionUNet, sizes: Sizes, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """Random inputs of the U-Net in its dtype: sample (B, C, F, h, w), timestep (), context (B·F, L, D)."""
    generator = torch.Generator().manual_seed(seed)
    weight = unet.conv_in.weight
    shape = (sizes.batch, weight.shape[1], sizes.frames, sizes.height, sizes.width)
    sample = torch.randn(shape, generator=generator)
    width = int(unet.config["cross_attention_dim"])
    context = torch.randn(sizes.batch * sizes.frames, sizes.tokens, width, generator=generator)
    return sample.to(weight.dtype), torch.tensor(957.375), context.to(weight.dtype)


def export_motion_unet(unet: MotionUNet, path: Path, opset: int = 18, dynamic: bool = True, sizes: Sizes = TRACED) -> None:
    """Write the graph, and its weights beside it as ``<name>.data``. dynamic leaves every size but the channels open.

    The timestep is a float32 scalar. opset 23 keeps attention and group normalisation as single nodes. Raises
    :class:`NotInstalled` without the ``onnx`` extra.
    """
    try:
        import onnxscript  # noqa: F401
    except ImportError:
        raise NotInstalled("ONNX export is not installed", "pip install 'mimaface[onnx]'") from None
    unet.eval()
    cast(Any, unet).to(memory_format=torch.contiguous_format)
    free = torch.export.Dim.DYNAMIC
    shapes = {"sample": {0: free, 2: free, 3: free, 4: free}, "timestep": {}, "context": {0: free, 1: free}}
    path.parent.mkdir(parents=True, exist_ok=True)
    with torch.no_grad():
        torch.onnx.export(
            unet,
            example(unet, sizes),
            str(path),
            input_names=list(INPUTS),
            output_names=[OUTPUT],
            opset_version=opset,
            dynamo=True,
            dynamic_shapes=shapes if dynamic else None,
            external_data=True,
            verbose=False,
        )
    log.info("wrote %s, opset %d, %s sizes", path, opset, "dynamic" if dynamic else "static")


def compare_with_torch(unet: MotionUNet, path: Path, sizes: tuple[Sizes, ...] = COMPARED) -> list[float]:
    """Run the graph in ONNX Runtime on the CPU: max |Δ| to torch, relative to the output's deviation, for each of the sizes."""
    try:
        import onnxruntime
    except ImportError:
        raise NotInstalled("ONNX Runtime is not installed", "pip install 'mimaface[onnx]'") from None
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    differences = []
    for each in sizes:
        inputs = example(unet, each, seed=1)
        with torch.no_grad():
            expected = unet(*inputs).float()
        feed = {name: value.numpy() for name, value in zip(INPUTS, inputs)}
        found = torch.from_numpy(session.run([OUTPUT], feed)[0]).float()
        differences.append(float((found - expected).abs().max() / expected.std()))
    return differences
