"""Initial weights of ``paper-sd15``: Stable Diffusion v1-5, CLIP ViT-L/14, ``sd-vae-ft-mse`` and AnimateDiff v3, in their hub
formats.

Reading is strict: missing and unexpected weights raise. Configurations come from the folders, so that models of any size can be
used.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import torch
from diffusers import MotionAdapter
from torch import Tensor
from transformers import CLIPVisionConfig

from mimaface.model import checkpoint
from mimaface.model.appearance import build_appearance
from mimaface.model.config import MimaFaceConfig
from mimaface.model.family import MimaFaceModel
from mimaface.model.instances import CLIP_VIT_LARGE, PAPER_SD15
from mimaface.model.motion_unet import from_animatediff, is_temporal, widened
from mimaface.model.vision import vision_keys
from mimaface.protocol.errors import InvalidCheckpoint

COPIED = (  # fields that a 2-D U-Net and a motion U-Net share
    *("sample_size", "block_out_channels", "layers_per_block", "cross_attention_dim", "norm_num_groups", "norm_eps"),
    *("act_fn", "downsample_padding", "mid_block_scale_factor", "use_linear_projection", "out_channels"),
)
OLD_ATTENTION = {"query": "to_q", "key": "to_k", "value": "to_v", "proj_attn": "to_out.0"}


def start_paper(
    stable_diffusion: Path,
    clip: Path,
    autoencoder: Path,
    motion: Path | None = None,
    *,
    base: MimaFaceConfig = PAPER_SD15,
    seed: int = 0,
    dtype: torch.dtype | None = None,
) -> MimaFaceModel:
    """Returns a model for training stage 1, or stage 2 with ``motion``. Raises :class:`InvalidCheckpoint`.

      stable_diffusion, autoencoder   diffusers folders; of the first only ``unet/`` is read
      clip                            transformers folder of a CLIP, or of its vision encoder
      motion                          AnimateDiff v3: a diffusers MotionAdapter folder, or the original single file

    The appearance module is initialised from ``seed``; W_cond is zero, and so is the output of new motion modules.
    """
    config = base.but(
        unet=unet_configuration(stable_diffusion / "unet", motion, base.input_channels),
        vae=checkpoint.public_fields(checkpoint.read_json(autoencoder / "config.json"), with_class=True),
        vision=vision_configuration(clip),
    )
    model = checkpoint.without_memory(lambda: MimaFaceModel(config))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model.appearance = build_appearance(config.appearance).to(dtype or torch.float32)
        _load_unet(model, stable_diffusion / "unet" / checkpoint.DIFFUSERS_WEIGHTS, motion, dtype)
    path = autoencoder / checkpoint.DIFFUSERS_WEIGHTS
    checkpoint.load_weights(model.vae, autoencoder_keys(checkpoint.read_weights(path, dtype)), str(path))
    path = clip / checkpoint.TRANSFORMERS_WEIGHTS
    weights = vision_keys(checkpoint.read_weights(path, dtype))
    checkpoint.load_weights(model.vision, weights, str(path))
    return model


def unet_configuration(folder: Path, motion: Path | None, input_channels: int) -> dict[str, Any]:
    """Returns the motion U-Net's configuration from that of a 2-D U-Net and, if ``motion`` is a folder, of the motion adapter."""
    found = checkpoint.read_json(folder / "config.json")
    # diffusers keeps the number of heads of SD v1 in a field called attention_head_dim
    heads = found.get("num_attention_heads") or found.get("attention_head_dim", 8)
    config = {field: found[field] for field in COPIED if field in found}
    for field in ("down_block_types", "up_block_types"):
        config[field] = tuple(str(name).replace("Block2D", "BlockMotion") for name in found.get(field, ()))
    config |= {"num_attention_heads": heads, "in_channels": input_channels, "use_motion_mid_block": False}
    config |= {"motion_num_attention_heads": 8, "motion_max_seq_length": 32}
    if motion is not None and motion.is_dir():
        adapter = checkpoint.read_json(motion / "config.json")
        if adapter.get("use_motion_mid_block", True):
            raise InvalidCheckpoint(f"{motion} has motion in the middle block", "use AnimateDiff v3, or v1")
        config |= {field: adapter[field] for field in ("motion_num_attention_heads", "motion_max_seq_length") if field in adapter}
    return config


def vision_configuration(folder: Path) -> dict[str, Any]:
    """Returns the vision encoder's configuration from a CLIP folder, of the whole model or of the encoder."""
    found = checkpoint.read_json(folder / "config.json")
    complete = CLIPVisionConfig(**checkpoint.public_fields(found.get("vision_config", found)))
    return {field: getattr(complete, field) for field in CLIP_VIT_LARGE}


def autoencoder_keys(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Returns weights of a KL-VAE under diffusers' current keys; ``sd-vae-ft-mse`` has older names for attention."""

    def rename(match: re.Match[str]) -> str:
        return f"{match[1]}{OLD_ATTENTION[match[2]]}."

    return {re.sub(r"(\.attentions\.\d+\.)(query|key|value|proj_attn)\.", rename, key): v for key, v in weights.items()}


def _load_unet(model: MimaFaceModel, spatial_path: Path, motion: Path | None, dtype: torch.dtype | None) -> None:
    """Loads the U-Net: spatial weights with zero-padded conv_in, and motion weights from a file or new."""
    spatial = checkpoint.read_weights(spatial_path, dtype)
    if "conv_in.weight" in spatial:
        spatial["conv_in.weight"] = widened(spatial["conv_in.weight"], model.config.input_channels)
    expected = model.unet.state_dict()
    checkpoint.check_weights({k: v for k, v in expected.items() if not is_temporal(k)}, spatial, str(spatial_path))
    if motion is None:
        temporal = _silent_motion(model.config.unet, dtype or torch.float32)
    else:
        path = motion / checkpoint.DIFFUSERS_WEIGHTS if motion.is_dir() else motion
        temporal = from_animatediff(checkpoint.read_weights(path, dtype))
        checkpoint.check_weights({k: v for k, v in expected.items() if is_temporal(k)}, temporal, str(path))
    checkpoint.load_weights(model.unet, {**spatial, **temporal}, str(spatial_path))


def _silent_motion(config: Mapping[str, Any], dtype: torch.dtype) -> dict[str, Tensor]:
    """Returns weights of new motion modules with zero output."""
    adapter = MotionAdapter(
        block_out_channels=config["block_out_channels"],
        motion_layers_per_block=config["layers_per_block"],
        motion_norm_num_groups=config["norm_num_groups"],
        motion_num_attention_heads=config["motion_num_attention_heads"],
        motion_max_seq_length=config["motion_max_seq_length"],
        use_motion_mid_block=False,
    )
    weights = from_animatediff(cast(torch.nn.Module, adapter).state_dict())
    return {key: (value * 0 if ".proj_out." in key else value).to(dtype) for key, value in weights.items()}
