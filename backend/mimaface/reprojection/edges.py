"""Soft edges of the layers that a picture is made of."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter

from mimaface.geometry.interpolation import smoothstep

from . import tuning

Array = NDArray[Any]


def inner_edge(covered: Array) -> Array:
    """(h, w) float32: 1 inside of ``covered`` (h, w) bool, falling to 0 at its outermost pixel, so that the outline is smooth."""
    return np.asarray(np.clip(2 * _mean_around(covered, 1) - 1, 0, 1))


def seams(sheet: Array, head: Array, reach: int) -> Array:
    """(h, w) float32: 1 where the warped person, of opacity ``sheet`` (h, w) in [0, 1], ends inside the ``head`` (h, w) bool; falls to 0
    ``reach`` pixels inside the person. The person ends there at the photograph's outline, which contains some background."""
    edge = 1 - smoothstep(*tuning.SEAM_WARP, _mean_around(sheet, reach))
    return np.asarray(edge * smoothstep(*tuning.SEAM_HEAD, _mean_around(head, reach)), np.float32)


def _mean_around(values: Array, reach: int) -> Array:
    """Mean (h, w) float32 of ``values`` (h, w) over the square that reaches ``reach`` pixels to every side."""
    return np.asarray(uniform_filter(values.astype(np.float32), 2 * reach + 1, mode="nearest"))
