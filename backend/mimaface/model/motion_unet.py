"""Motion U-Net: Stable Diffusion's U-Net with AnimateDiff motion modules, on diffusers' blocks (spec 1.4)."""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Mapping
from typing import Any, cast

import torch
from diffusers.models.attention_processor import Attention, AttnProcessor, AttnProcessor2_0
from diffusers.models.embeddings import SinusoidalPositionalEmbedding
from diffusers.models.unets.unet_motion_model import AnimateDiffTransformer3D, UNetMotionModel
from torch import Tensor, nn

from mimaface.protocol.errors import InvalidCheckpoint

POSITIONS = "pos_embed.pe"  # a table, not a weight: rebuilt, never stored
RELEASED_POSITIONS = "pos_encoder.pe"
RENAMED = (
    ("attention_blocks.0.", "attn1."),
    ("attention_blocks.1.", "attn2."),
    ("norms.0.", "norm1."),
    ("norms.1.", "norm2."),
    ("ff_norm.", "norm3."),
)


class PerFrameMotionModule(AnimateDiffTransformer3D):  # type: ignore[misc, unused-ignore]
    """AnimateDiff's motion module with GroupNorm per frame, as in AnimateDiff; diffusers computes it over all frames of a
    clip."""

    enabled = True

    def forward(self, hidden_states: Tensor, *unused: Any, num_frames: int = 1, **also_unused: Any) -> Tensor:
        """hidden_states (B·F, C, h, w) → the same shape: the input plus temporal self-attention at each pixel."""
        if not self.enabled:
            return hidden_states
        _, channels, height, width = hidden_states.shape
        x: Tensor = self.norm(hidden_states)  # (B·F, C, h, w), normalised per frame
        x = x.unflatten(0, (-1, num_frames)).permute(0, 3, 4, 1, 2)  # (B, h, w, F, C)
        x = self.proj_in(x.reshape(-1, num_frames, channels))  # (B·h·w, F, C)
        for block in self.transformer_blocks:
            x = block(x)
        x = self.proj_out(x).unflatten(0, (-1, height, width)).permute(0, 3, 4, 1, 2)  # (B, F, C, h, w)
        return hidden_states + x.flatten(0, 1)


class MotionUNet(UNetMotionModel):  # type: ignore[misc, unused-ignore]
    """Prediction of ε, v or clean latents over a clip; per-frame context, per-sample timesteps."""

    # wraps: diffusers reads the configuration's fields from this signature
    @functools.wraps(UNetMotionModel.__init__)  # type: ignore[misc, unused-ignore]
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for module in self.modules():
            if isinstance(module, AnimateDiffTransformer3D):
                module.__class__ = PerFrameMotionModule
            if isinstance(module, SinusoidalPositionalEmbedding):
                _, positions, width = cast(Tensor, module.pe).shape
                module.register_buffer("pe", sinusoids(positions, width), persistent=False)  # a table, not a weight

    def motion_parts(self) -> list[PerFrameMotionModule]:
        """Returns all motion modules."""
        return [module for module in self.modules() if isinstance(module, PerFrameMotionModule)]

    def enable_motion(self, enabled: bool) -> None:
        """Disabled motion modules pass frames through: the result of their zero initialisation, but cheaper."""
        for module in self.motion_parts():
            module.enabled = enabled

    def attend_by_matmul(self, by_matmul: bool = True, spatial: bool = False) -> None:
        """Computes temporal attention by plain matrix products: on a CPU twice as fast as fused kernels for few frames.

        ``spatial`` also does so for spatial attention: faster for small latents, whose score matrices are small.
        """
        kind = AttnProcessor if by_matmul else AttnProcessor2_0
        for name, module in self.named_modules():
            if isinstance(module, Attention) and (spatial or is_temporal(name)):
                module.set_processor(cast(Any, kind()))

    def forward(self, sample: Tensor, timestep: Tensor, context: Tensor) -> Tensor:
        """sample (B, C, F, h, w), timestep () or (B,), context (B·F, L, D), frames of a sample adjacent → (B, out, F, h, w).

        h and w must be multiples of 2 to the number of downsamplings. The time embedding is computed in the dtype of its own
        weights, which may stay float32 in a half-precision model.
        """
        batch, _, frames, _, _ = sample.shape
        times = self.time_proj(timestep.expand(batch)).to(self.time_embedding.linear_1.weight.dtype)  # (B, C0)
        embedding = self.time_embedding(times).to(sample.dtype)  # (B, 4·C0)
        embedding = embedding[:, None].expand(-1, frames, -1).flatten(0, 1)  # (B·F, 4·C0), not repeat_interleave: spec 6.3
        x = sample.transpose(1, 2).flatten(0, 1)  # (B·F, C, h, w)
        if self.conv_in.weight.is_contiguous(memory_format=torch.channels_last):
            x = x.contiguous(memory_format=torch.channels_last)
        x = self.conv_in(x)
        skips: tuple[Tensor, ...] = (x,)
        for block in cast(list[Any], self.down_blocks):
            attended = {"encoder_hidden_states": context} if hasattr(block, "attentions") else {}
            x, outputs = block(x, embedding, num_frames=frames, **attended)
            skips += outputs
        x = self.mid_block(x, embedding, encoder_hidden_states=context)
        for block in cast(list[Any], self.up_blocks):
            count = len(block.resnets)
            skips, used = skips[:-count], skips[-count:]
            attended = {"encoder_hidden_states": context} if hasattr(block, "attentions") else {}
            x = block(x, used, embedding, num_frames=frames, **attended)
        x = self.conv_out(cast(Any, self.conv_act)(cast(Any, self.conv_norm_out)(x)))
        prediction: Tensor = x.unflatten(0, (batch, frames)).transpose(1, 2)  # (B, out, F, h, w)
        return prediction


def build_motion_unet(config: Mapping[str, Any]) -> MotionUNet:
    """Returns a U-Net from diffusers' configuration. Raises :class:`InvalidCheckpoint` for options that this forward does not
    support.
    """
    for field, wanted in (("use_motion_mid_block", False), ("encoder_hid_dim_type", None), ("addition_embed_type", None)):
        if config.get(field) != wanted:
            raise InvalidCheckpoint(f"unet.{field} is {config.get(field)!r}; only {wanted!r} is part of this model family")
    unet: MotionUNet = MotionUNet(**{key: value for key, value in config.items() if not key.startswith("_")})
    return unet


def initialise_for_training(unet: MotionUNet, affinity_channels: int, residual: bool = False) -> None:
    """Zeroes the output of all motion modules and W_cond, so that training starts from the image model (spec 1.3, 1.4).

    The output of a network that predicts a ``residual`` is zeroed, too.
    """
    with torch.no_grad():
        if residual:
            nn.init.zeros_(unet.conv_out.weight)
            nn.init.zeros_(cast(Tensor, unet.conv_out.bias))
        for module in unet.motion_parts():
            nn.init.zeros_(module.proj_out.weight)
            nn.init.zeros_(module.proj_out.bias)
        unet.conv_in.weight[:, -affinity_channels:].zero_()


def widened(conv_in: Tensor, channels: int) -> Tensor:
    """conv_in weight (O, C, 3, 3) of an image model → (O, channels, 3, 3); the new input columns are zero and have no effect."""
    if conv_in.shape[1] > channels:
        raise InvalidCheckpoint(f"conv_in has {conv_in.shape[1]} input channels, more than the {channels} of this model")
    grown = conv_in.new_zeros(conv_in.shape[0], channels, *conv_in.shape[2:])
    grown[:, : conv_in.shape[1]] = conv_in
    return grown


def is_temporal(key: str) -> bool:
    """Returns whether a U-Net weight belongs to the motion modules (stage 2 trains these and W_cond)."""
    return ".motion_modules." in key


def from_animatediff(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Maps keys of AnimateDiff and of the released checkpoint to ours. Position tables are checked and dropped.

    A ``module.`` prefix is removed; our own keys are unchanged. Raises :class:`InvalidCheckpoint`.
    """
    renamed: dict[str, Tensor] = {}
    for key, value in weights.items():
        key = key.removeprefix("module.")
        if key.endswith((RELEASED_POSITIONS, POSITIONS)):
            _check_positions(key, value)
            continue
        if is_temporal(key):
            key = key.replace(".temporal_transformer.", ".")
            for theirs, ours in RENAMED:
                key = key.replace(f".{theirs}", f".{ours}")
        if key in renamed:
            raise InvalidCheckpoint(f"two weights of the file both mean {key}")
        renamed[key] = value
    return renamed


def to_animatediff(weights: Mapping[str, Tensor], positions: int = 32) -> dict[str, Tensor]:
    """Maps our keys to those of AnimateDiff and of the released checkpoint, including position tables (1, positions, C)."""
    renamed: dict[str, Tensor] = {}
    for key, value in weights.items():
        if key.endswith(POSITIONS):
            continue
        if is_temporal(key):
            for theirs, ours in RENAMED:
                key = key.replace(f".{ours}", f".{theirs}")
            key = re.sub(r"(\.motion_modules\.\d+\.)", r"\1temporal_transformer.", key)
        renamed[key] = value
        match = re.match(r"(.*attention_blocks\.\d+\.)to_q\.weight", key)
        if match:
            renamed[match[1] + RELEASED_POSITIONS] = sinusoids(positions, value.shape[1])
    return renamed


def sinusoids(positions: int, width: int) -> Tensor:
    """Returns the position table of the motion modules (1, positions, width): sine in even columns, cosine in odd ones."""
    steps = torch.exp(torch.arange(0, width, 2) * (-math.log(10000.0) / width))  # (width / 2)
    angles = torch.arange(positions)[:, None] * steps
    return torch.stack([angles.sin(), angles.cos()], dim=-1).reshape(1, positions, width)


def _check_positions(key: str, table: Tensor) -> None:
    """Raises if a position table is not the sinusoid that is rebuilt, for another one would silently change the motion."""
    if table.is_meta:
        return
    flat = table.reshape(-1, table.shape[-1]).float()  # (positions, C); AnimateDiff v2 and v3 differ in leading dimensions
    expected = sinusoids(*flat.shape)[0]
    if not torch.allclose(flat.cpu(), expected, atol=2e-3):  # half-precision files round the table
        raise InvalidCheckpoint(f"{key} is not the sinusoidal table of AnimateDiff", "the file is of another model")
