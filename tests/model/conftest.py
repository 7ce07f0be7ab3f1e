"""A complete model with a few thousand weights, the golden files, and motion signals with distinct values."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from mimaface.model.config import MimaFaceConfig, RefinerConfig, SamplerConfig
from mimaface.model.family import MimaFaceModel
from mimaface.model.instances import PAPER_SD15
from mimaface.model.vision import VisionTokens

GOLDEN = Path(__file__).parent.parent / "golden"


def tiny_unet(**changes: Any) -> dict[str, Any]:
    return {
        "sample_size": 8,
        "in_channels": 13,
        "out_channels": 4,
        "down_block_types": ("CrossAttnDownBlockMotion", "DownBlockMotion"),
        "up_block_types": ("UpBlockMotion", "CrossAttnUpBlockMotion"),
        "block_out_channels": (16, 32),
        "layers_per_block": 1,
        "cross_attention_dim": 24,
        "num_attention_heads": 2,
        "norm_num_groups": 8,
        "motion_num_attention_heads": 2,
        "motion_max_seq_length": 32,
        "use_motion_mid_block": False,
        **changes,
    }


def tiny_configuration(**changes: Any) -> MimaFaceConfig:
    return PAPER_SD15.but(
        **{
            "name": "tiny",
            "image_size": 16,
            "appearance": replace(PAPER_SD15.appearance, token_width=32, context_width=24, modulation_heads=2, adapter_heads=2),
            "clip_length": 4,
            "overlap": 1,
            "sampler": SamplerConfig(steps=3),
            "unet": tiny_unet(),
            "vae": {
                "_class_name": "AutoencoderKL",
                "down_block_types": ("DownEncoderBlock2D",) * 2,
                "up_block_types": ("UpDecoderBlock2D",) * 2,
                "block_out_channels": (8, 16),
                "latent_channels": 4,
                "norm_num_groups": 4,
            },
            "vision": {
                "hidden_size": 32,
                "intermediate_size": 64,
                "num_hidden_layers": 1,
                "num_attention_heads": 2,
                "image_size": 16,
                "patch_size": 8,
                "hidden_act": "quick_gelu",
            },
            **changes,
        }
    )


ONE_LEVEL: dict[str, Any] = {  # U-Net with half the run time of two levels; the same kinds of layers except for resampling
    "down_block_types": ("CrossAttnDownBlockMotion",),
    "up_block_types": ("CrossAttnUpBlockMotion",),
    "block_out_channels": (16,),
}
FOUR_CONDITIONS: dict[str, Any] = {
    "conditions": (("render", 4), ("source", 4), ("normals", 4), ("source_normals", 4)),
    "unet": tiny_unet(in_channels=25),
}
WITH_REFINER: dict[str, Any] = {**FOUR_CONDITIONS, "refiner": RefinerConfig(fine_width=8, width=8)}


def awaken(model: torch.nn.Module, std: float = 0.2) -> None:
    """Gives weights that start at zero a value, so that their effect is visible."""
    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for parameter in model.parameters():
            if not parameter.any():
                parameter.copy_(torch.randn(parameter.shape, generator=generator) * std)


@pytest.fixture
def tiny_config() -> MimaFaceConfig:
    return tiny_configuration()


@pytest.fixture
def tiny_model(tiny_config: MimaFaceConfig) -> MimaFaceModel:
    torch.manual_seed(3)
    model = MimaFaceModel(tiny_config).eval()
    awaken(model)
    unet = model.unet
    with torch.no_grad():  # W_cond was zero beside weights that are not
        unet.conv_in.weight[:, -5:] = torch.randn(unet.conv_in.weight[:, -5:].shape) * 0.2
    return model


def signals(batch: int, frames: int, seed: int = 0) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    sizes = {"rotation": 3, "translation": 3, "expression": 52, "gaze": 4}
    return {name: torch.randn(batch, frames, size, generator=generator) for name, size in sizes.items()}


def tokens(batch: int, patches: int = 4, width: int = 32, seed: int = 1) -> VisionTokens:
    generator = torch.Generator().manual_seed(seed)
    return VisionTokens(
        torch.randn(batch, width, generator=generator), torch.randn(batch, 1 + patches, width, generator=generator)
    )


def golden(name: str) -> dict[str, Tensor]:
    return load_file(GOLDEN / f"{name}.safetensors")


def golden_keys(name: str) -> dict[str, list[int]]:
    content: dict[str, dict[str, list[int]]] = json.loads((GOLDEN / "model_keys.json").read_text())
    return content[name]


def assert_close_to_golden(found: Tensor, expected: Tensor, tolerance: float = 1e-4) -> None:
    difference = (found - expected).abs().max() / expected.std()
    assert difference < tolerance, f"max |Δ| is {difference:.1e} of the deviation"
