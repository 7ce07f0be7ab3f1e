"""Motion U-Net: Stable Diffusion's U-Net with AnimateDiff motion modules (spec 1.4); its input channels, with the affinity of a clip to the previous
one (ICA, spec 1.1, 1.3)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from mimaface.protocol.errors import InvalidCheckpoint, InvalidInput

from .unet_blocks import (
    Attention,
    Downsample,
    MotionModule,
    ResidualBlock,
    SpatialTransformer,
    TimeEmbedding,
    Upsample,
    sinusoids,
)
from .unet_shape import LevelShape, UNetShape

Resampling: TypeAlias = type[Downsample] | type[Upsample] | None
POSITIONS = "pos_embed.pe"  # a table, not a weight: rebuilt, never stored
RELEASED_POSITIONS = "pos_encoder.pe"
RENAMED = (
    ("attention_blocks.0.", "attn1."),
    ("attention_blocks.1.", "attn2."),
    ("norms.0.", "norm1."),
    ("norms.1.", "norm2."),
    ("ff_norm.", "norm3."),
)


class Level(nn.Module):
    """Residual blocks at one size, each with a motion module and, given ``heads``, attention to the context in between."""

    checkpointed = False  # activations are computed again in the backward pass

    def __init__(self, shape: LevelShape, given: Sequence[int], heads: int | None, resampling: Resampling) -> None:
        super().__init__()
        width, groups = shape.width, shape.groups
        self.resnets = nn.ModuleList(ResidualBlock(each, width, shape.time_width, groups, shape.epsilon) for each in given)
        if heads is not None:
            self.attentions = nn.ModuleList(
                SpatialTransformer(width, heads, shape.context_width, groups, shape.linear) for _ in given
            )
        self.motion_modules = nn.ModuleList(
            MotionModule(width, shape.motion_heads, groups, sinusoids(shape.positions, width)) for _ in given
        )
        if resampling is not None:
            layers = nn.ModuleList([resampling(width)])
            self.add_module("downsamplers" if resampling is Downsample else "upsamplers", layers)

    def step(self, index: int, x: Tensor, time: Tensor, context: Tensor, frames: int) -> Tensor:
        """One residual block with what follows it: x (B·F, C, h, w) → (B·F, C', h, w)."""
        if self.checkpointed and torch.is_grad_enabled():
            from torch.utils.checkpoint import checkpoint

            return cast(Tensor, checkpoint(self._step, index, x, time, context, frames, use_reentrant=False))
        return self._step(index, x, time, context, frames)

    def _step(self, index: int, x: Tensor, time: Tensor, context: Tensor, frames: int) -> Tensor:
        x = self.resnets[index](x, time)
        if hasattr(self, "attentions"):
            x = self.attentions[index](x, context)
        return cast(Tensor, self.motion_modules[index](x, frames))


class DownLevel(Level):
    def forward(self, x: Tensor, time: Tensor, context: Tensor, frames: int) -> list[Tensor]:
        """x (B·F, C, h, w) → what each layer gives, the last of them half as large where there is another level."""
        found = list[Tensor]()
        for index in range(len(self.resnets)):
            found.append(x := self.step(index, x, time, context, frames))
        for layer in getattr(self, "downsamplers", ()):
            found.append(layer(x))
        return found


class UpLevel(Level):
    def forward(self, x: Tensor, skips: list[Tensor], time: Tensor, context: Tensor, frames: int) -> Tensor:
        """x (B·F, C, h, w) → (B·F, C', h, w), twice as large where there is another level; takes from the end of ``skips``."""
        for index in range(len(self.resnets)):
            x = self.step(index, torch.cat([x, skips.pop()], dim=1), time, context, frames)
        for layer in getattr(self, "upsamplers", ()):
            x = layer(x)
        return x


class Middle(nn.Module):
    """Two residual blocks at the smallest size, with attention to the context in between and no motion module."""

    def __init__(self, shape: LevelShape, heads: int) -> None:
        super().__init__()
        width = shape.width
        self.attentions = nn.ModuleList([SpatialTransformer(width, heads, shape.context_width, shape.groups, shape.linear)])
        self.resnets = nn.ModuleList(ResidualBlock(width, width, shape.time_width, shape.groups, shape.epsilon) for _ in range(2))

    def forward(self, x: Tensor, time: Tensor, context: Tensor) -> Tensor:
        """x (B·F, C, h, w) → the same shape."""
        x = self.attentions[0](self.resnets[0](x, time), context)
        return cast(Tensor, self.resnets[1](x, time))


class MotionUNet(nn.Module):
    """Prediction of ε, v or clean latents over a clip; per-frame context, per-sample timesteps. Its weights have diffusers' names."""

    def __init__(self, shape: UNetShape) -> None:
        super().__init__()
        widths, layers = shape.widths, shape.layers
        self.conv_in = nn.Conv2d(shape.in_channels, widths[0], 3, padding=1)
        self.time_embedding = TimeEmbedding(widths[0], 4 * widths[0])
        self.down_blocks, skips = nn.ModuleList(), [widths[0]]
        for level, width in enumerate(widths):
            last = level == len(widths) - 1
            given = [skips[-1], *[width] * (layers[level] - 1)]
            heads = shape.heads[level] if shape.down_attends[level] else None
            self.down_blocks.append(DownLevel(shape.level(level), given, heads, None if last else Downsample))
            skips += [width] * (layers[level] + (not last))
        self.mid_block = Middle(shape.level(-1), shape.heads[-1])
        self.up_blocks, below = nn.ModuleList(), widths[-1]
        for position, level in enumerate(reversed(range(len(widths)))):
            width = widths[level]
            given = [first + skips.pop() for first in (below, *[width] * layers[level])]
            heads = shape.heads[level] if shape.up_attends[position] else None
            self.up_blocks.append(UpLevel(shape.level(level), given, heads, Upsample if level else None))
            below = width
        self.conv_norm_out = nn.GroupNorm(shape.groups, widths[0], eps=shape.epsilon)
        self.conv_out = nn.Conv2d(widths[0], shape.out_channels, 3, padding=1)

    def motion_parts(self) -> list[MotionModule]:
        """Returns all motion modules."""
        return [module for module in self.modules() if isinstance(module, MotionModule)]

    def enable_motion(self, enabled: bool) -> None:
        """Disabled motion modules pass frames through: the result of their zero initialisation, but cheaper."""
        for module in self.motion_parts():
            module.enabled = enabled

    def enable_gradient_checkpointing(self) -> None:
        """Takes less memory in training, for a third more time."""
        for module in self.modules():
            if isinstance(module, Level):
                module.checkpointed = True

    def attend_by_matmul(self, by_matmul: bool = True, spatial: bool = False) -> None:
        """Computes temporal attention by plain matrix products: on a CPU twice as fast as fused kernels for few frames.

        ``spatial`` also does so for spatial attention: faster for small latents, whose score matrices are small.
        """
        for name, module in self.named_modules():
            if isinstance(module, Attention) and (spatial or is_temporal(name)):
                module.by_matmul = by_matmul

    def forward(self, sample: Tensor, timestep: Tensor, context: Tensor) -> Tensor:
        """sample (B, C, F, h, w), timestep () or (B,), context (B·F, L, D), frames of a sample adjacent → (B, out, F, h, w).

        h and w must be multiples of 2 to the number of downsamplings. The time embedding is computed in the dtype of its own
        weights, which may stay float32 in a half-precision model.
        """
        batch, _, frames, _, _ = sample.shape
        embedding = self.time_embedding(timestep.expand(batch)).to(sample.dtype)  # (B, 4·C0)
        embedding = embedding[:, None].expand(-1, frames, -1).flatten(0, 1)  # (B·F, 4·C0), not repeat_interleave: spec 6.3
        x = sample.transpose(1, 2).flatten(0, 1)  # (B·F, C, h, w)
        if self.conv_in.weight.is_contiguous(memory_format=torch.channels_last):
            x = x.contiguous(memory_format=torch.channels_last)
        skips: list[Tensor] = [self.conv_in(x)]
        for block in self.down_blocks:
            skips += block(skips[-1], embedding, context, frames)
        x = self.mid_block(skips[-1], embedding, context)
        for block in self.up_blocks:
            x = block(x, skips, embedding, context, frames)
        x = self.conv_out(functional.silu(self.conv_norm_out(x)))
        prediction: Tensor = x.unflatten(0, (batch, frames)).transpose(1, 2)  # (B, out, F, h, w)
        return prediction


def build_motion_unet(config: Mapping[str, Any]) -> MotionUNet:
    """Returns a U-Net from diffusers' configuration. Raises :class:`InvalidCheckpoint` for options that this forward does not
    support.
    """
    return MotionUNet(UNetShape.of(config))


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


def _check_positions(key: str, table: Tensor) -> None:
    """Raises if a position table is not the sinusoid that is rebuilt, for another one would silently change the motion."""
    if table.is_meta:
        return
    flat = table.reshape(-1, table.shape[-1]).float()  # (positions, C); AnimateDiff v2 and v3 differ in leading dimensions
    expected = sinusoids(*flat.shape)[0]
    if not torch.allclose(flat.cpu(), expected, atol=2e-3):  # half-precision files round the table
        raise InvalidCheckpoint(f"{key} is not the sinusoidal table of AnimateDiff", "the file is of another model")


PREVIOUS_NOISE = 0.1  # standard deviation of the noise on s in training (Eq. 4)


class Affinity(NamedTuple):
    """Inputs from the previous clip: latents s (B, C, F, h, w), zero where unknown; mask m (B, 1, F, h, w)."""

    latents: Tensor
    mask: Tensor


def stack_input(
    noisy: Tensor, conditions: Mapping[str, Tensor], affinity: Affinity, order: tuple[tuple[str, int], ...]
) -> Tensor:
    """Concatenates noisy (B, C, F, h, w), conditions name → (B, c, F, h, w) in ``order``, s and m → (B, channels, F, h, w).

    For SD sizes that is noisy 4, render 4, s 4, m 1 = 13 channels. Raises :class:`InvalidInput` for a missing or misshapen
    condition.
    """
    parts = [noisy]
    for name, channels in order:
        if name not in conditions:
            raise InvalidInput(f"condition {name} is missing", f"the model needs {[key for key, _ in order]}")
        expected = (noisy.shape[0], channels, *noisy.shape[2:])
        if conditions[name].shape != expected:
            raise InvalidInput(f"condition {name} has shape {tuple(conditions[name].shape)}, expected {expected}")
        parts.append(conditions[name].to(noisy.dtype))
    return torch.cat([*parts, affinity.latents.to(noisy.dtype), affinity.mask.to(noisy.dtype)], dim=1)


def add_residual(output: Tensor, conditions: Mapping[str, Tensor], name: str) -> Tensor:
    """Returns the prediction (B, C, F, h, w): the condition ``name`` plus the network's output, or the output alone for ""."""
    return conditions[name].to(output.dtype) + output if name else output


def affinity_from(previous: Tensor | None, like: Tensor) -> Affinity:
    """Returns the affinity at inference: the last k denoised latents of the previous clip, (B, C, k, h, w), at the start of a
    clip shaped ``like`` (B, C, F, h, w).

    None for the first clip of a shot, with an empty mask. Raises :class:`InvalidInput` if k exceeds F.
    """
    latents = torch.zeros_like(like)
    mask = torch.zeros_like(like[:, :1])
    if previous is not None:
        k = previous.shape[2]
        if k > like.shape[2] or previous.shape[:2] + previous.shape[3:] != like.shape[:2] + like.shape[3:]:
            shapes = f"{tuple(previous.shape)} into {tuple(like.shape)}"
            raise InvalidInput(f"the previous clip's latents do not fit: {shapes}", "resume with the same model and size")
        latents[:, :, :k] = previous.to(like)
        mask[:, :, :k] = 1
    return Affinity(latents, mask)


def sample_affinity(latents: Tensor, generator: torch.Generator) -> Affinity:
    """Samples the affinity in training, Eq. 3–4: k ~ Uniform{0, …, ⌊F/4⌋} per sample; s[:k] = ground truth + N(0, 0.1²), m[:k] =
    1.

    latents (B, C, F, h, w), the ground truth. Random numbers are drawn on the generator's device.
    """
    samples, _, frames, _, _ = latents.shape
    k = torch.randint(0, frames // 4 + 1, (samples,), generator=generator, device=generator.device)
    known = torch.arange(frames, device=generator.device)[None] < k[:, None]  # (B, F)
    mask = known.to(latents)[:, None, :, None, None].expand(-1, 1, -1, *latents.shape[3:])  # (B, 1, F, h, w)
    noise = torch.randn(latents.shape, generator=generator, device=generator.device).to(latents)
    return Affinity((latents + PREVIOUS_NOISE * noise) * mask, mask)
