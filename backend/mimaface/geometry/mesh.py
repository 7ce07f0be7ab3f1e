"""Adjacency of triangle meshes, and harmonic extension of vertex values."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy.sparse import coo_array, csr_array, diags_array
from scipy.sparse.linalg import spsolve

from mimaface.protocol.arrays import Array

MEDIAN_WEIGHT = 1e-4  # weight of the median relative to a neighbour's 1; gives islands without known vertices a solution


def edges(triangles: Array) -> tuple[Array, Array]:
    """Returns both ends (E,) of each edge of ``triangles`` (N, 3), in both directions; an edge of two triangles occurs twice."""
    pairs = np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]])
    pairs = np.concatenate([pairs, pairs[:, ::-1]])
    return pairs[:, 0], pairs[:, 1]


def single_edges(triangles: Array) -> Array:
    """Returns each edge of ``triangles`` (N, 3) once: both ends (E, 2), the lower first."""
    first, second = edges(triangles)
    return np.unique(np.stack([first, second], axis=1)[first < second], axis=0)


def adjacency(triangles: Array, count: int) -> csr_array:
    """Returns a matrix (count, count): 1 where two of ``count`` vertices share an edge of ``triangles`` (N, 3), else 0."""
    first, second = edges(triangles)
    result = coo_array((np.ones(len(first)), (first, second)), shape=(count, count)).tocsr()
    result.data[:] = 1.0
    return csr_array(result)


def harmonic_extension(values: Array, known: Array, triangles: Array, default: ArrayLike = 0.0) -> Array:
    """Extends ``values`` (V, C) over ``triangles`` (N, 3): ``known`` (V,) vertices are unchanged, others are the mean of their
    neighbours.

    Vertices without triangles get the median of known values; if none is known, all get ``default``, C numbers or one.
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
    matrix = diags_array(near.sum(1) + MEDIAN_WEIGHT) - near[:, free]
    right = near[:, fixed] @ result[fixed] + MEDIAN_WEIGHT * result[free]
    result[free] = spsolve(matrix.tocsc(), right).reshape(right.shape)  # spsolve returns a vector for one column
    return result
