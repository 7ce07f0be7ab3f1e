"""Golden values: deterministic weights by rule, so that a module of any size can be compared without storing its weights."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def fill_weights(shapes: Mapping[str, Sequence[int]], salt: str = "") -> dict[str, torch.Tensor]:
    """Float32 weights for every named shape of a *released* state dict, by the rule of shared/golden/README.md.

    shapes: key → shape, floating tensors only (leave integer buffers out); keys that end in ``pos_encoder.pe`` are skipped.
    Each key has its own generator, seeded with crc32(salt + key), so order and company do not matter.
    """
    import torch

    def fill(key: str, shape: Sequence[int]) -> torch.Tensor:
        generator = torch.Generator().manual_seed(zlib.crc32((salt + key).encode()))
        values: torch.Tensor = torch.randn(*shape, generator=generator)
        if len(shape) > 1:
            return torch.div(values, values[0].numel() ** 0.5)
        if key.endswith("running_var"):
            return 1 + 0.1 * values.abs()
        if key.endswith("weight"):
            return 1 + 0.1 * values
        return 0.05 * values

    return {key: fill(key, shape) for key, shape in shapes.items() if not key.endswith("pos_encoder.pe")}


def fill_networks(shapes: Mapping[str, Sequence[int]], salt: str = "") -> dict[str, torch.Tensor]:
    """:func:`fill_weights` for a network with batch normalisation, whose counters of batches stay 0 (spec: left alone)."""
    import torch

    counters = {key: torch.zeros(()).long() for key in shapes if key.endswith("num_batches_tracked")}
    return fill_weights({key: shape for key, shape in shapes.items() if key not in counters}, salt) | counters
