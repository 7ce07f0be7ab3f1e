"""Deterministic weights for golden values, so that modules of any size can be compared without stored weights."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def fill_weights(shapes: Mapping[str, Sequence[int]], salt: str = "") -> dict[str, torch.Tensor]:
    """Returns float32 weights for each named shape of a *released* state dict: normal, scaled by their kind of array.

    shapes: key → shape, floating-point tensors only (omit integer buffers); keys that end in ``pos_encoder.pe`` are skipped. Each
    key has its own generator, seeded with crc32(salt + key), so weights are independent of order and of other keys.
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
    """:func:`fill_weights` for networks with batch normalisation, whose batch counters are 0."""
    import torch

    counters = {key: torch.zeros(()).long() for key in shapes if key.endswith("num_batches_tracked")}
    return fill_weights({key: shape for key, shape in shapes.items() if key not in counters}, salt) | counters
