"""Steps of a Gauss–Newton search: within bounds, and of rotations."""

from __future__ import annotations

import numpy as np

from mimaface.protocol.arrays import Array


def bounded_solve(matrix: Array, right: Array, low: Array, high: Array) -> Array:
    """Minimise ½ xᵀ·matrix·x − rightᵀ·x within low ≤ x ≤ high by a primal active set; the answer is always within bounds."""
    fixed = np.zeros(len(right), bool)
    solution = np.zeros(len(right))
    for _ in range(12):
        free = ~fixed
        rest = right[free] - matrix[np.ix_(free, fixed)] @ solution[fixed]
        solution[free] = np.linalg.solve(matrix[np.ix_(free, free)], rest)
        outside = free & ((solution < low - 1e-12) | (solution > high + 1e-12))
        solution = np.clip(solution, low, high)
        slope = matrix @ solution - right
        release = fixed & (((solution <= low) & (slope < -1e-9)) | ((solution >= high) & (slope > 1e-9)))
        if not outside.any() and not release.any():
            break
        fixed = (fixed | outside) & ~release
    return solution


def rotation_vector(vector: Array) -> Array:
    """Rotation (3, 3) by ``vector`` (3,) radians about its own direction (Rodrigues)."""
    angle = float(np.linalg.norm(vector))
    if angle < 1e-12:
        return np.eye(3)
    x, y, z = vector / angle
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.asarray(np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross)
