"""Bilinear lookup in pictures, hole filling and smoothstep."""

from __future__ import annotations

from collections.abc import Callable

import numba
import numpy as np

from mimaface.protocol.arrays import Array


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
    return filling(image, known)(slice(0, len(known)))


def filling(image: Array, known: Array) -> Callable[[slice], Array]:
    """A function that gives some rows (h, W, C) of :func:`fill_holes`."""
    if known.all():
        return lambda rows: np.asarray(image[rows], np.float32)
    if min(known.shape) <= 1:
        mean = (image.astype(np.float32) * known[..., None]).sum((0, 1)) / max(float(known.sum()), 1.0)
        return lambda rows: np.where(known[rows, :, None], image[rows], mean).astype(np.float32)
    coarse, some = _halved(image, known)
    filled = fill_holes(coarse, some)
    return lambda rows: np.asarray(_enlarged(filled, image, known, rows.start, rows.stop))


def _halved(image: Array, known: Array) -> tuple[Array, Array]:
    """``image`` (H, W, C) at half its size (⌈H/2⌉, ⌈W/2⌉, C) float32: means of ``known`` (H, W) pixels; and whether any is known (⌈H/2⌉, ⌈W/2⌉)."""
    height, width, channels = image.shape
    coarse = np.zeros(((height + 1) // 2, (width + 1) // 2, channels), np.float32)
    some = np.zeros(coarse.shape[:2], bool)
    _halve(coarse, some, image, known)
    return coarse, some


@numba.njit(cache=True, nogil=True)
def _halve(coarse: Array, some: Array, image: Array, known: Array) -> None:
    """Writes what :func:`_halved` returns to arrays of zeros."""
    height, width, channels = image.shape
    for y in range(coarse.shape[0]):
        for x in range(coarse.shape[1]):
            count = 0
            for row in range(2 * y, min(2 * y + 2, height)):
                for column in range(2 * x, min(2 * x + 2, width)):
                    if known[row, column]:
                        count += 1
                        for c in range(channels):
                            coarse[y, x, c] += np.float32(image[row, column, c])
            some[y, x] = count > 0
            if count > 1:
                for c in range(channels):
                    coarse[y, x, c] /= np.float32(count)


@numba.njit(cache=True, nogil=True)
def _enlarged(coarse: Array, image: Array, known: Array, start: int, stop: int) -> Array:
    """Returns rows from ``start`` to before ``stop`` (h, W, C) float32 of ``image`` (H, W, C) where ``known`` (H, W), else of ``coarse``
    (⌈H/2⌉, ⌈W/2⌉, C) at twice its size, blurred by the binomial kernel of three except at the border.
    """
    height, width, channels = image.shape
    result = np.empty((stop - start, width, channels), np.float32)
    two, four, sixteen = np.float32(2), np.float32(4), np.float32(16)
    for y in range(start, stop):
        row = y - start
        for x in range(width):
            if known[y, x]:
                for c in range(channels):
                    result[row, x, c] = image[y, x, c]
                continue
            above, here, below = max(y - 1, 0) // 2, y // 2, (y + 1) // 2
            left, centre, right = max(x - 1, 0) // 2, x // 2, (x + 1) // 2
            inside = 0 < y < height - 1 and 0 < x < width - 1
            for c in range(channels):
                if not inside:
                    result[row, x, c] = coarse[here, centre, c]
                    continue
                cross = coarse[above, centre, c] + coarse[below, centre, c] + coarse[here, left, c] + coarse[here, right, c]
                total = four * coarse[here, centre, c] + two * cross
                total = total + coarse[above, left, c] + coarse[below, right, c]
                result[row, x, c] = (total + coarse[above, right, c] + coarse[below, left, c]) / sixteen
    return result


@numba.njit(cache=True, nogil=True)
def stretched(grid: Array, step: tuple[float, float], first: int, rows: int, columns: int) -> Array:
    """Returns ``rows`` of pixels from the ``first`` on (rows, columns) float32: a ``grid`` (R, C) float64 whose knots are ``step`` pixels apart
    across and down, bilinear at the middles of pixels; the border repeats."""
    result = np.empty((rows, columns), np.float32)
    for row in range(rows):
        v = min((first + row + 0.5) / step[1], grid.shape[0] - 1.0)
        top = int(v)
        bottom, fv = min(top + 1, grid.shape[0] - 1), v - top
        for column in range(columns):
            u = min((column + 0.5) / step[0], grid.shape[1] - 1.0)
            left = int(u)
            right, fu = min(left + 1, grid.shape[1] - 1), u - left
            value = grid[top, left] * (1 - fv) * (1 - fu) + grid[top, right] * (1 - fv) * fu
            result[row, column] = value + grid[bottom, left] * fv * (1 - fu) + grid[bottom, right] * fv * fu
    return result


def smoothstep(low: float, high: float, value: Array) -> Array:
    """0 below ``low``, 1 above ``high``, cubic between."""
    x = np.clip((np.asarray(value) - low) / (high - low), 0.0, 1.0)
    return np.asarray(x * x * (3 - 2 * x))
