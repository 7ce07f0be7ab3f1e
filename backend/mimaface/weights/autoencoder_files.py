"""Published KL-VAE files: a diffusers folder, or a single file with latent diffusion's keys."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from mimaface.model import checkpoint
from mimaface.protocol.errors import InvalidCheckpoint

from .start_paper import autoencoder_keys

FOLDER_FILES = (checkpoint.DIFFUSERS_WEIGHTS, "diffusion_pytorch_model.bin")
WHOLE_MODEL = "first_stage_model."  # prefix of the VAE's keys in a file of all of Stable Diffusion
TRAINING = ("loss.", "model_ema.")  # parts of a training checkpoint that the VAE does not use
BLOCK = re.compile(r"(encoder\.down|decoder\.up)\.(\d+)\.(block|downsample|upsample)\.(?:(\d+)\.)?")
ATTENTION = {"norm": "group_norm", "q": "to_q", "k": "to_k", "v": "to_v", "proj_out": "to_out.0"}


def read_autoencoder(path: Path, default_config: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Tensor], Path]:
    """Reads a folder or a single file → configuration, weights under diffusers' keys, and the file they came from.

    A single file has no configuration and gets ``default_config``. Raises :class:`InvalidCheckpoint`.
    """
    if path.is_dir():
        config = checkpoint.public_fields(checkpoint.read_json(path / "config.json"), with_class=True)
        file = next((path / name for name in FOLDER_FILES if (path / name).is_file()), path / FOLDER_FILES[0])
        return config, autoencoder_keys(checkpoint.read_weights(file)), file
    weights = checkpoint.read_weights(path)
    if any(key.removeprefix(WHOLE_MODEL).startswith(("encoder.down.", "decoder.up.")) for key in weights):
        weights = from_latent_diffusion(weights)
    return dict(default_config), autoencoder_keys(weights), path


def from_latent_diffusion(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Maps keys of the original single file to those of diffusers' ``AutoencoderKL`` and drops training state.

    The original counts the decoder's levels from the picture, diffusers from the latents; its attention is a 1 × 1 convolution.
    Unknown keys pass unchanged and are rejected later by name. Raises :class:`InvalidCheckpoint`.
    """
    if any(key.startswith(WHOLE_MODEL) for key in weights):
        weights = {key.removeprefix(WHOLE_MODEL): value for key, value in weights.items() if key.startswith(WHOLE_MODEL)}
    kept = {key: value for key, value in weights.items() if not key.startswith(TRAINING)}
    levels = 1 + max((int(key.split(".")[2]) for key in kept if re.match(r"encoder\.down\.\d", key)), default=0)
    renamed: dict[str, Tensor] = {}
    for key, value in kept.items():
        new = _rename(key, levels)
        if ".attentions." in new and value.ndim == 4:
            value = value[:, :, 0, 0]
        if new in renamed:
            raise InvalidCheckpoint(f"two weights of the file both mean {new}", "the file is of another model")
        renamed[new] = value
    return renamed


def _rename(key: str, levels: int) -> str:
    key = re.sub(r"^((?:en|de)coder)\.norm_out\.", r"\1.conv_norm_out.", key)
    key = re.sub(r"\.mid\.block_(\d)\.", lambda m: f".mid_block.resnets.{int(m[1]) - 1}.", key)
    key = re.sub(r"\.mid\.attn_1\.(\w+)\.", lambda m: f".mid_block.attentions.0.{ATTENTION.get(m[1], m[1])}.", key)
    match = BLOCK.match(key)
    if match:
        side, level, kind, index = match.groups()
        place = f"encoder.down_blocks.{level}" if side == "encoder.down" else f"decoder.up_blocks.{levels - 1 - int(level)}"
        inner = f"resnets.{index}" if kind == "block" else f"{kind}rs.0"  # downsamplers, upsamplers
        key = f"{place}.{inner}.{key[match.end() :]}"
    return key.replace(".nin_shortcut.", ".conv_shortcut.")
