"""Distances: of pixels from what is not of a region, and between many points, in one pass where scipy and numpy take several and copies."""

from __future__ import annotations

import math

import numba
import numpy as np
from scipy.ndimage import distance_transform_edt

from mimaface.protocol.arrays import Array


def further_inside(region: Array, reach: float) -> Array:
    """(H, W) bool: pixels of a ``region`` (H, W) bool that are more than ``reach`` pixels from any pixel outside it."""
    most = math.floor(reach * reach)  # the largest square of such a distance, whatever rounding does to its root
    while math.sqrt(most + 1) <= reach:
        most += 1
    while math.sqrt(most) > reach:
        most -= 1
    return np.asarray(squared_depth(region) > most)


def nearest_outside(region: Array, rows: Array, columns: Array) -> tuple[Array, Array, Array]:
    """Returns, for the pixels at ``rows`` and ``columns`` (…), row and column (…) of the nearest pixel outside the ``region`` (H, W) bool, and its
    distance in pixels (…)."""
    found = distance_transform_edt(region, return_distances=False, return_indices=True)[:, rows, columns]
    away = np.sqrt(((found - np.stack([rows, columns])).astype(np.float64) ** 2).sum(0))
    return found[0], found[1], away


@numba.njit(cache=True, nogil=True)
def squared_depth(region: Array) -> Array:
    """(H, W) int32: the squared distance in pixels of each pixel to the nearest one outside a ``region`` (H, W) bool; larger than any picture's
    where the region is the whole picture.

    Meijster, Roerdink and Hesselink 2000, "A general algorithm for computing distance transforms in linear time".
    """
    height, width = region.shape
    result = np.empty((height, width), np.int32)
    far = height + width
    for x in range(width):
        result[0, x] = far if region[0, x] else 0
    for y in range(1, height):  # of each column the distance upwards, then the lesser of that and the one downwards
        for x in range(width):
            result[y, x] = min(result[y - 1, x] + 1, far) if region[y, x] else 0
    for y in range(height - 2, -1, -1):
        for x in range(width):
            result[y, x] = min(result[y, x], result[y + 1, x] + 1)
    lowest, start, squares = np.empty(width, np.int64), np.empty(width, np.int64), np.empty(width, np.int64)
    for y in range(height):  # the lower envelope of one parabola a column
        for x in range(width):
            squares[x] = np.int64(result[y, x]) * np.int64(result[y, x])
        last = 0
        lowest[0], start[0] = 0, 0
        for x in range(1, width):
            while last >= 0:
                at, other = start[last], lowest[last]
                if (at - other) ** 2 + squares[other] <= (at - x) ** 2 + squares[x]:
                    break
                last -= 1
            if last < 0:
                last, lowest[0], start[0] = 0, x, 0
                continue
            other = lowest[last]
            meets = 1 + (x * x - other * other + squares[x] - squares[other]) // (2 * (x - other))
            if meets < width:
                last += 1
                lowest[last], start[last] = x, meets
        for x in range(width - 1, -1, -1):
            result[y, x] = (x - lowest[last]) ** 2 + squares[lowest[last]]
            if x == start[last]:
                last -= 1
    return result


@numba.njit(cache=True, nogil=True)
def distances(one: Array, other: Array, dimensions: int) -> Array:
    """(P,) float64 between points (P, C) and others (P, C), in the first of their ``dimensions``; to the bit as ``np.linalg.norm`` has them."""
    result = np.empty(len(one))
    for point in range(len(one)):
        total = 0.0
        for axis in range(dimensions):
            off = one[point, axis] - other[point, axis]
            total += off * off
        result[point] = np.sqrt(total)
    return result


@numba.njit(cache=True, nogil=True)
def bounds(points: Array) -> tuple[float, float, float, float]:
    """The least and the largest u, v of ``points`` (P, 2 or more): left, top, right, bottom."""
    left, top, right, bottom = np.inf, np.inf, -np.inf, -np.inf
    for point in range(len(points)):
        u, v = points[point, 0], points[point, 1]
        left, top, right, bottom = min(left, u), min(top, v), max(right, u), max(bottom, v)
    return left, top, right, bottom
