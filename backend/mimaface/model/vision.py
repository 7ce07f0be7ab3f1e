"""Vision encoder: CLIP patch tokens e_tex and class token e_id of the source portrait (spec 1.2)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, cast

from torch import Tensor
from torch.nn import functional
from transformers import CLIPVisionConfig, CLIPVisionModel

# mean and standard deviation of RGB in [0, 1] in CLIP's training
CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)


class VisionTokens(NamedTuple):
    """class_token e_id (B, D), normalised; tokens (B, 1 + P, D), the last hidden state, class token first."""

    class_token: Tensor
    tokens: Tensor


def build_vision(config: Mapping[str, Any]) -> CLIPVisionModel:
    """Returns a CLIP vision encoder from transformers' configuration with initial weights."""
    return CLIPVisionModel(CLIPVisionConfig(**{key: value for key, value in config.items() if key != "model_type"}))


def prepare(images: Tensor, size: int) -> Tensor:
    """RGB in [−1, 1] (B, 3, H, W), square → CLIP's input (B, 3, size, size): bicubic with antialiasing, mean and std of CLIP."""
    if images.shape[-2:] != (size, size):
        images = functional.interpolate(images.float(), (size, size), mode="bicubic", antialias=True).clamp(-1, 1)
    mean, std = (images.new_tensor(values)[:, None, None] for values in (CLIP_MEAN, CLIP_STD))
    return ((images + 1) / 2 - mean) / std


def encode_source(vision: CLIPVisionModel, images: Tensor) -> VisionTokens:
    """Source portraits, RGB in [−1, 1] (B, 3, H, W), square → their tokens."""
    weight = next(vision.parameters())
    output = vision(prepare(images, cast(int, vision.config.image_size)).to(weight.dtype))
    return VisionTokens(output.pooler_output, output.last_hidden_state)


def vision_keys(weights: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Returns weights of a CLIP model, or of its vision half, under the keys of the installed transformers version.

    The text half, the projections and the position table of a whole CLIP are dropped; everything else is kept for strict checks.
    """
    prefix = "vision_model." if any(key.startswith("vision_model.") for key in wanted) else ""
    others = ("text_model.", "text_projection.", "visual_projection.", "logit_scale")
    kept = {key: value for key, value in weights.items() if not key.startswith(others)}
    return {
        prefix + key.removeprefix("vision_model."): value
        for key, value in kept.items()
        if not key.endswith("embeddings.position_ids")
    }
