"""Bilinear lookup in pictures, hole filling and smoothstep."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


@numba.njit(cache=True, nogil=True, inline="always")
def bilinear(image: Array, u: float, v: float, channel: int) -> float:
    """Returns one channel of ``image`` (H, W, C) at pixel position u, v; the border repeats."""
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
    """Writes ``image`` (H, W, C) at pixel position u, v to ``colour`` (C,); the border repeats."""
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
    """Returns rows and columns (P,) of the pixels at u, v of ``places`` (P, 2 or more), clamped to a height × width picture."""
    columns, rows = places[:, 0].astype(int), places[:, 1].astype(int)
    return np.clip(rows, 0, height - 1), np.clip(columns, 0, width - 1)


def fill_holes(image: Array, known: Array) -> Array:
    """Fills pixels where ``known`` (H, W) is False from their surroundings by a push–pull pyramid (Gortler et al. 1996, "The
    Lumigraph").

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
    return np.asarray(_enlarged(filled, values, known))


@numba.njit(cache=True, nogil=True)
def _enlarged(coarse: Array, values: Array, known: Array) -> Array:
    """Returns ``values`` (H, W, C) float32 where ``known`` (H, W), else ``coarse`` (⌈H/2⌉, ⌈W/2⌉, C) at twice its size, blurred
    by the binomial kernel of three except at the border.
    """
    height, width, channels = values.shape
    result = np.empty_like(values)
    two, four, sixteen = np.float32(2), np.float32(4), np.float32(16)
    for y in range(height):
        for x in range(width):
            if known[y, x]:
                result[y, x] = values[y, x]
                continue
            above, here, below = max(y - 1, 0) // 2, y // 2, (y + 1) // 2
            left, centre, right = max(x - 1, 0) // 2, x // 2, (x + 1) // 2
            inside = 0 < y < height - 1 and 0 < x < width - 1
            for c in range(channels):
                if not inside:
                    result[y, x, c] = coarse[here, centre, c]
                    continue
                cross = coarse[above, centre, c] + coarse[below, centre, c] + coarse[here, left, c] + coarse[here, right, c]
                total = four * coarse[here, centre, c] + two * cross
                total = total + coarse[above, left, c] + coarse[below, right, c]
                result[y, x, c] = (total + coarse[above, right, c] + coarse[below, left, c]) / sixteen
    return result


def smoothstep(low: float, high: float, value: Array) -> Array:
    """0 below ``low``, 1 above ``high``, cubic between."""
    x = np.clip((np.asarray(value) - low) / (high - low), 0.0, 1.0)
    return np.asarray(x * x * (3 - 2 * x))
