"""ICA: the U-Net's input channels, and the affinity of a clip to the previous one (spec 1.1, 1.3)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from mimaface.protocol.errors import InvalidInput

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
