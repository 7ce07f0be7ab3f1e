"""Lengths of many short vectors, and the box around points: in one pass, where numpy takes one a column and a copy of all of them.

A frame asks a dozen times, of some thousands each.
"""

from __future__ import annotations

import numba
import numpy as np

from mimaface.protocol.arrays import Array


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
