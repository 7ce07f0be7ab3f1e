"""Looking pictures up between pixels, and filling holes in them."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


@numba.njit(cache=True, nogil=True, inline="always")
def bilinear(image: Array, u: float, v: float, channel: int) -> float:
    """One channel of ``image`` (H, W, C) at pixel position u, v; the border repeats."""
    height, width = image.shape[0], image.shape[1]
    x = min(max(u - 0.5, 0.0), width - 1.0)
    y = min(max(v - 0.5, 0.0), height - 1.0)
    left, top = int(x), int(y)
    right, bottom = min(left + 1, width - 1), min(top + 1, height - 1)
    fx, fy = x - left, y - top
    above = image[top, left, channel] * (1 - fx) + image[top, right, channel] * fx
    below = image[bottom, left, channel] * (1 - fx) + image[bottom, right, channel] * fx
    return float(above * (1 - fy) + below * fy)


@numba.njit(cache=True, nogil=True, inline="always")
def sample_into(colour: Array, image: Array, u: float, v: float) -> None:
    """``colour`` (C,) becomes that of ``image`` (H, W, C) at pixel position u, v; the border repeats."""
    height, width = image.shape[0], image.shape[1]
    x = min(max(u - 0.5, 0.0), width - 1.0)
    y = min(max(v - 0.5, 0.0), height - 1.0)
    left, top = int(x), int(y)
    right, bottom = min(left + 1, width - 1), min(top + 1, height - 1)
    fx, fy = x - left, y - top
    for channel in range(image.shape[2]):
        above = image[top, left, channel] * (1 - fx) + image[top, right, channel] * fx
        below = image[bottom, left, channel] * (1 - fx) + image[bottom, right, channel] * fx
        colour[channel] = above * (1 - fy) + below * fy


def pixels_under(places: Array, height: int, width: int) -> tuple[Array, Array]:
    """Rows and columns (P,) of the pixels at u, v of ``places`` (P, 2 or more), of a height × width picture; its border where outside."""
    columns, rows = places[:, 0].astype(int), places[:, 1].astype(int)
    return np.clip(rows, 0, height - 1), np.clip(columns, 0, width - 1)


def fill_holes(image: Array, known: Array) -> Array:
    """Fill where ``known`` (H, W) is False from around, smoothly: push–pull pyramid (Gortler et al. 1996, "The Lumigraph").

    image (H, W, C) → (H, W, C) float32; known pixels are unchanged.
    """
    values = image.astype(np.float32) * known[..., None]
    weights = known.astype(np.float32)
    if min(weights.shape) <= 1 or known.all():
        return np.where(known[..., None], values, values.sum((0, 1)) / max(float(weights.sum()), 1.0)).astype(np.float32)
    height, width = weights.shape
    padded = np.pad(values, ((0, height % 2), (0, width % 2), (0, 0)))
    padded_weights = np.pad(weights, ((0, height % 2), (0, width % 2)))
    shape = (padded.shape[0] // 2, 2, padded.shape[1] // 2, 2)
    total = padded_weights.reshape(shape).sum((1, 3))
    coarse = padded.reshape(*shape, -1).sum((1, 3)) / np.maximum(total, 1e-6)[..., None]
    filled = fill_holes(coarse, total > 0)
    up = np.repeat(np.repeat(filled, 2, axis=0), 2, axis=1)[:height, :width]
    smooth = up.copy()
    smooth[1:-1, 1:-1] = (
        4 * up[1:-1, 1:-1] + 2 * (up[:-2, 1:-1] + up[2:, 1:-1] + up[1:-1, :-2] + up[1:-1, 2:])
        + up[:-2, :-2] + up[2:, 2:] + up[:-2, 2:] + up[2:, :-2]
    ) / 16  # fmt: skip
    return np.where(known[..., None], values, smooth).astype(np.float32)


def smoothstep(low: float, high: float, value: Array) -> Array:
    """0 below ``low``, 1 above ``high``, smooth between."""
    x = np.clip((np.asarray(value) - low) / (high - low), 0.0, 1.0)
    return np.asarray(x * x * (3 - 2 * x))
