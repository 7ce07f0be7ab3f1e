"""Neighbours on a triangle mesh, and values spread over it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import coo_array, csr_array, diags_array
from scipy.sparse.linalg import spsolve

Array = NDArray[Any]
TOWARD_MEDIAN = 1e-4  # weight of the median beside a neighbour's 1, so that an island without known vertices has an answer


def edges(triangles: Array) -> tuple[Array, Array]:
    """Both ends (E,) of every side of the ``triangles`` (N, 3), in both directions; what two triangles share counts twice."""
    pairs = np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]])
    pairs = np.concatenate([pairs, pairs[:, ::-1]])
    return pairs[:, 0], pairs[:, 1]


def adjacency(triangles: Array, count: int) -> csr_array:
    """(count, count): 1 where two of ``count`` vertices share a side of the ``triangles`` (N, 3), else 0."""
    first, second = edges(triangles)
    result = coo_array((np.ones(len(first)), (first, second)), shape=(count, count)).tocsr()
    result.data[:] = 1.0
    return csr_array(result)


def harmonic_extension(values: Array, known: Array, triangles: Array, default: ArrayLike = 0.0) -> Array:
    """``values`` (V, C) spread over the ``triangles`` (N, 3): a ``known`` (V,) vertex keeps its own, any other one has the mean of its
    neighbours. Vertices of no triangle have the median of what is known; where nothing is, all have ``default``, C numbers or one.
    """
    count = len(known)
    result = np.tile(np.median(values[known], axis=0) if known.any() else np.broadcast_to(default, values.shape[1:]), (count, 1))
    used = np.zeros(count, bool)
    used[triangles] = True
    fixed, free = used & known, used & ~known
    if not fixed.any() or not free.any():
        return result
    result[fixed] = values[fixed]
    near = adjacency(triangles, count)[free]
    matrix = diags_array(near.sum(1) + TOWARD_MEDIAN) - near[:, free]
    right = near[:, fixed] @ result[fixed] + TOWARD_MEDIAN * result[free]
    result[free] = spsolve(matrix.tocsc(), right).reshape(right.shape)  # of one column it makes a vector
    return result
