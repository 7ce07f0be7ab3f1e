"""Layers of Stable Diffusion's U-Net with AnimateDiff motion modules, under diffusers' names of weights (spec 1.4).

diffusers itself takes 4 s of a processor to import, of which nothing is needed to run a U-Net; tests compare the two to the bit.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

NORM_EPSILON = 1e-6  # of the group norms before attention; residual blocks have the configuration's
LONGEST_WAVE = math.log(10000.0)  # of the time embedding and of the positions of frames, in e-folds of the shortest


class Attention(nn.Module):
    """Multi-head attention of tokens to each other or, given ``context_width``, to a context; no bias on q, k and v."""

    by_matmul = False  # by plain matrix products, in place of a fused kernel

    def __init__(self, width: int, heads: int, context_width: int | None = None) -> None:
        super().__init__()
        self.inner_dim, self.heads = width, heads
        self.to_q = nn.Linear(width, width, bias=False)
        self.to_k = nn.Linear(context_width or width, width, bias=False)
        self.to_v = nn.Linear(context_width or width, width, bias=False)
        self.to_out = nn.ModuleList([nn.Linear(width, width)])

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """x (N, L, W), context (N, S, C) or None for x itself → (N, L, W)."""
        attended = x if context is None else context
        if attended.shape[1] == 1:  # nothing to choose from: the weight of the only value is 1
            mixed = self.to_v(attended).expand(-1, x.shape[1], -1)
            return cast(Tensor, self.to_out[0](mixed))
        queries, keys, values = self.to_q(x), self.to_k(attended), self.to_v(attended)
        queries, keys, values = (each.unflatten(-1, (self.heads, -1)).transpose(1, 2) for each in (queries, keys, values))
        mix: Callable[..., Tensor] = _mixed_by_matmul if self.by_matmul else functional.scaled_dot_product_attention
        return cast(Tensor, self.to_out[0](mix(queries, keys, values).transpose(1, 2).flatten(2)))


def _mixed_by_matmul(queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    """softmax(q·kᵀ/√d)·v for (N, heads, L, d) and twice (N, heads, S, d) → (N, heads, L, d)."""
    heads = queries.shape[1]
    queries, keys, values = (each.flatten(0, 1) for each in (queries, keys, values))
    scores = torch.baddbmm(
        queries.new_empty(len(queries), queries.shape[1], keys.shape[1]), queries, keys.transpose(-1, -2),
        beta=0, alpha=queries.shape[-1] ** -0.5,
    )  # fmt: skip
    mixed: Tensor = torch.bmm(scores.softmax(dim=-1), values).unflatten(0, (-1, heads))
    return mixed


class GatedGelu(nn.Module):
    """One half of a linear layer times the exact GELU of its other half."""

    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.proj = nn.Linear(width, 2 * inner)

    def forward(self, x: Tensor) -> Tensor:
        """x (N, L, W) → (N, L, inner)."""
        values, gate = self.proj(x).chunk(2, dim=-1)
        gated: Tensor = values * functional.gelu(gate)
        return gated


class FeedForward(nn.Module):
    """A gated MLP of four times the width."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.net = nn.Sequential(GatedGelu(width, 4 * width), nn.Identity(), nn.Linear(4 * width, width))

    def forward(self, x: Tensor) -> Tensor:
        """x (N, L, W) → (N, L, W)."""
        return cast(Tensor, self.net(x))


class Positions(nn.Module):
    """Adds a table of ``positions``; the table follows from its shape, so it is no weight."""

    pe: Tensor

    def __init__(self, table: Tensor) -> None:
        super().__init__()
        self.register_buffer("pe", table, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """x (N, L, W) → (N, L, W)."""
        return x + self.pe[:, : x.shape[1]]


class AttentionBlock(nn.Module):
    """Two pre-norm attentions and an MLP: of pixels, to each other and to a context; of frames, given ``positions``, twice to each other."""

    def __init__(self, width: int, heads: int, context_width: int | None, positions: Tensor | None = None) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.attn1 = Attention(width, heads)
        self.norm2 = nn.LayerNorm(width)
        self.attn2 = Attention(width, heads, context_width)
        self.norm3 = nn.LayerNorm(width)
        self.ff = FeedForward(width)
        self.pos_embed = None if positions is None else Positions(positions)

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """x (N, L, W), context (N, S, C) → (N, L, W)."""
        place = (lambda values: values) if self.pos_embed is None else self.pos_embed
        x = self.attn1(place(self.norm1(x))) + x
        x = self.attn2(place(self.norm2(x)), context) + x
        return cast(Tensor, self.ff(self.norm3(x)) + x)


class SpatialTransformer(nn.Module):
    """Attention of the pixels of each frame to each other and to the frame's context."""

    def __init__(self, width: int, heads: int, context_width: int, groups: int, linear: bool) -> None:
        super().__init__()
        self.linear = linear  # projections are linear layers, as of Stable Diffusion 2; else convolutions
        self.norm = nn.GroupNorm(groups, width, eps=NORM_EPSILON)
        self.proj_in = nn.Linear(width, width) if linear else nn.Conv2d(width, width, 1)
        self.transformer_blocks = nn.ModuleList([AttentionBlock(width, heads, context_width)])
        self.proj_out = nn.Linear(width, width) if linear else nn.Conv2d(width, width, 1)

    def forward(self, hidden: Tensor, context: Tensor) -> Tensor:
        """hidden (N, C, h, w), context (N, L, D) → (N, C, h, w)."""
        height, width = hidden.shape[-2:]
        x: Tensor = self.norm(hidden)
        x = _tokens(x) if self.linear else _tokens(self.proj_in(x))
        x = self.proj_in(x) if self.linear else x
        for block in self.transformer_blocks:
            x = block(x, context)
        x = self.proj_out(x) if self.linear else x
        x = x.unflatten(1, (height, width)).permute(0, 3, 1, 2).contiguous()
        return (x if self.linear else self.proj_out(x)) + hidden


def _tokens(x: Tensor) -> Tensor:
    """(N, C, h, w) → (N, h·w, C)."""
    return x.permute(0, 2, 3, 1).flatten(1, 2)


class MotionModule(nn.Module):
    """AnimateDiff's motion module: attention of the frames at each pixel, with GroupNorm per frame, as in AnimateDiff.

    diffusers computes the norm over all frames of a clip.
    """

    enabled = True

    def __init__(self, width: int, heads: int, groups: int, positions: Tensor) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(groups, width, eps=NORM_EPSILON)
        self.proj_in = nn.Linear(width, width)
        self.transformer_blocks = nn.ModuleList([AttentionBlock(width, heads, None, positions)])
        self.proj_out = nn.Linear(width, width)

    def forward(self, hidden: Tensor, frames: int) -> Tensor:
        """hidden (B·F, C, h, w) → the same shape: the input plus temporal self-attention at each pixel."""
        if not self.enabled:
            return hidden
        _, channels, height, width = hidden.shape
        x: Tensor = self.norm(hidden)  # (B·F, C, h, w), normalised per frame
        x = x.unflatten(0, (-1, frames)).permute(0, 3, 4, 1, 2)  # (B, h, w, F, C)
        x = self.proj_in(x.reshape(-1, frames, channels))  # (B·h·w, F, C)
        for block in self.transformer_blocks:
            x = block(x)
        x = self.proj_out(x).unflatten(0, (-1, height, width)).permute(0, 3, 4, 1, 2)  # (B, F, C, h, w)
        return hidden + x.flatten(0, 1)


class ResidualBlock(nn.Module):
    """Two convolutions with group norm and SiLU before each, the time embedding between them, and the input added."""

    def __init__(self, given: int, width: int, time_width: int, groups: int, epsilon: float) -> None:
        super().__init__()
        self.norm1 = nn.GroupNorm(groups, given, eps=epsilon)
        self.conv1 = nn.Conv2d(given, width, 3, padding=1)
        self.time_emb_proj = nn.Linear(time_width, width)
        self.norm2 = nn.GroupNorm(groups, width, eps=epsilon)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1)
        self.conv_shortcut = nn.Conv2d(given, width, 1) if given != width else None

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        """x (N, given, h, w), time (N, T) → (N, width, h, w)."""
        hidden: Tensor = self.conv1(functional.silu(self.norm1(x)))
        hidden = hidden + self.time_emb_proj(functional.silu(time))[:, :, None, None]
        hidden = self.conv2(functional.silu(self.norm2(hidden)))
        return (x if self.conv_shortcut is None else self.conv_shortcut(x)) + hidden


class Downsample(nn.Module):
    """A convolution with stride 2."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width, width, 3, stride=2, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """x (N, C, h, w) → (N, C, h/2, w/2)."""
        return cast(Tensor, self.conv(x))


class Upsample(nn.Module):
    """Every pixel four times, and a convolution."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """x (N, C, h, w) → (N, C, 2·h, 2·w)."""
        return cast(Tensor, self.conv(functional.interpolate(x, scale_factor=2.0, mode="nearest")))


class TimeEmbedding(nn.Module):
    """Cosines and sines of the timestep, and an MLP; in the dtype of its own weights."""

    def __init__(self, given: int, width: int) -> None:
        super().__init__()
        self.given = given
        self.linear_1 = nn.Linear(given, width)
        self.linear_2 = nn.Linear(width, width)

    def forward(self, timestep: Tensor) -> Tensor:
        """timestep (B,) → (B, width)."""
        half = self.given // 2
        rates = torch.exp(-LONGEST_WAVE * torch.arange(half, dtype=torch.float32, device=timestep.device) / half)
        angles = timestep[:, None].float() * rates
        waves = torch.cat([angles.cos(), angles.sin()], dim=-1).to(self.linear_1.weight.dtype)
        return cast(Tensor, self.linear_2(functional.silu(self.linear_1(waves))))


def sinusoids(positions: int, width: int) -> Tensor:
    """Returns the position table of the motion modules (1, positions, width): sine in even columns, cosine in odd ones.

    It has values on the CPU also where weights are shapes only.
    """
    steps = torch.exp(torch.arange(0, width, 2, device="cpu") * (-LONGEST_WAVE / width))  # (width / 2)
    angles = torch.arange(positions, device="cpu")[:, None] * steps
    return torch.stack([angles.sin(), angles.cos()], dim=-1).reshape(1, positions, width)
