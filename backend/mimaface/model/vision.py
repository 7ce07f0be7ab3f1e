"""The vision encoder: CLIP on the source portrait gives patch tokens e_tex and a class token e_id (spec 1.2)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional
from transformers import CLIPVisionConfig, CLIPVisionModel

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)


class VisionTokens(NamedTuple):
    """class_token e_id (B, D), normalised; tokens (B, 1 + P, D), the last hidden state, class token first."""

    class_token: Tensor
    tokens: Tensor


def build_vision(config: Mapping[str, Any]) -> CLIPVisionModel:
    """A CLIP vision encoder of transformers' own configuration, freshly initialised."""
    return CLIPVisionModel(CLIPVisionConfig(**{key: value for key, value in config.items() if key != "model_type"}))


def prepare(images: Tensor, size: int) -> Tensor:
    """RGB in [−1, 1] (B, 3, H, W), square → CLIP's input (B, 3, size, size): bicubic with antialiasing, mean and std of CLIP."""
    if images.shape[-2:] != (size, size):
        images = functional.interpolate(images.float(), (size, size), mode="bicubic", antialias=True).clamp(-1, 1)
    mean, std = (images.new_tensor(values)[:, None, None] for values in (CLIP_MEAN, CLIP_STD))
    return ((images + 1) / 2 - mean) / std


def encode_source(vision: CLIPVisionModel, images: Tensor) -> VisionTokens:
    """Source portraits, RGB in [−1, 1] (B, 3, H, W), square → their tokens."""
    dtype = vision.embeddings.patch_embedding.weight.dtype
    output = vision(prepare(images, int(vision.config.image_size)).to(dtype))
    return VisionTokens(output.pooler_output, output.last_hidden_state)


def position_ids(count: int) -> Tensor:
    """CLIP's table of positions (1, count), a buffer that checkpoints do not hold."""
    return torch.arange(count)[None]
