"""Soft edges of the layers that a picture is made of."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from .sampling import smoothstep

Array = NDArray[Any]


def inner_edge(covered: Array) -> Array:
    """(h, w) float32: 1 inside of ``covered`` (h, w) bool, falling to 0 at its outermost pixel, so that the outline is smooth."""
    return np.asarray(np.clip(2 * box_mean(covered, 1) - 1, 0, 1))


def seams(sheet: Array, head: Array, reach: int) -> Array:
    """(h, w) float32: 1 at the edges of the sheet's opacity (h, w) in the midst of the ``head`` (h, w) bool, falling to 0 ``reach``
    pixels inside: there it ended at the photograph's outline, with some of what was behind."""
    return np.asarray(
        (1 - smoothstep(0.6, 1.0, box_mean(sheet, reach))) * smoothstep(0.8, 1.0, box_mean(head, reach)), np.float32
    )


@numba.njit(cache=True, nogil=True)
def box_mean(values: Array, reach: int) -> Array:
    """Mean of ``values`` (H, W) over squares that reach so many pixels to every side, (H, W) float32; the border repeats.

    With running sums, so that its time does not depend on ``reach``; twice as fast as scipy's ``uniform_filter``.
    """
    height, width = values.shape
    across, result = np.empty((height, width)), np.empty((height, width), np.float32)
    for y in range(height):
        total = 0.0
        for x in range(-reach, reach + 1):
            total += values[y, min(max(x, 0), width - 1)]
        for x in range(width):
            across[y, x] = total
            total += values[y, min(x + reach + 1, width - 1)]
            total -= values[y, max(x - reach, 0)]
    sums = np.zeros(width)
    for y in range(-reach, reach + 1):
        sums += across[min(max(y, 0), height - 1)]
    for y in range(height):
        result[y] = sums / (2 * reach + 1) ** 2
        sums += across[min(y + reach + 1, height - 1)] - across[max(y - reach, 0)]
    return result
