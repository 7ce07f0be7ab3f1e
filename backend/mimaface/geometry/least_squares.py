"""Steps of a Gauss–Newton search: within bounds, and of rotations."""

from __future__ import annotations

import numba
import numpy as np

from mimaface.protocol.arrays import Array


@numba.njit(cache=True, nogil=True)
def bounded_solve(matrix: Array, right: Array, low: Array, high: Array) -> Array:
    """Minimise ½ xᵀ·matrix·x − rightᵀ·x within low ≤ x ≤ high by a primal active set; the answer (N,) is always within bounds."""
    count = len(right)
    fixed, solution = np.zeros(count, np.bool_), np.zeros(count)
    for _ in range(12):
        free = np.flatnonzero(~fixed)
        inner, rest = np.empty((len(free), len(free))), right[free]
        for row, at in enumerate(free):
            for column in range(count):
                if fixed[column]:
                    rest[row] -= matrix[at, column] * solution[column]
            for column, other in enumerate(free):
                inner[row, column] = matrix[at, other]
        solution[free] = np.linalg.solve(inner, rest)
        outside = ~fixed & ((solution < low - 1e-12) | (solution > high + 1e-12))
        solution = np.minimum(np.maximum(solution, low), high)
        slope = matrix @ solution - right
        released = fixed & (((solution <= low) & (slope < -1e-9)) | ((solution >= high) & (slope > 1e-9)))
        if not outside.any() and not released.any():
            break
        fixed = (fixed | outside) & ~released
    return solution


def rotation_vector(vector: Array) -> Array:
    """Rotation (3, 3) by ``vector`` (3,) radians about its own direction (Rodrigues)."""
    angle = float(np.linalg.norm(vector))
    if angle < 1e-12:
        return np.eye(3)
    x, y, z = vector / angle
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.asarray(np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross)
