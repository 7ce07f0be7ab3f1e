"""A smooth field of offsets on the skin: it moves some points to their targets, and the skin between them along.

It is a thin plate on the mesh surface, so upper and lower lip move independently of each other.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array, diags_array
from scipy.sparse.linalg import SuperLU, splu

from mimaface.geometry.mesh import adjacency
from mimaface.protocol.arrays import Array

from . import tuning
from .head import Head


@functools.cache
def _skin_operators() -> tuple[Array, csr_array]:
    """Vertices of the skin and the mouth's lining (S,), and the energy (S, S) of a field on them."""
    head = Head.load()
    used = head.vertices_of("skin", "mouth_inside")
    near = adjacency(head.triangles[head.part("skin", "mouth_inside")], len(head.vertices))[used][:, used]
    degree = near.sum(1)
    membrane = diags_array(degree) - near
    bending = diags_array(1 / degree) @ membrane
    anchor = np.where(head.region("neck", "scalp")[used], 1.0, tuning.ANCHOR)
    energy = tuning.STIFFNESS * bending.T @ bending + tuning.TENSION * membrane + diags_array(anchor)
    return used, energy.tocsr()


@dataclass(frozen=True, eq=False)
class FieldSystem:
    """The factorised equations of a smooth field: least squares of its rows (K, V) with weights (K,), plus its bending energy."""

    weighted: csr_array
    factors: SuperLU
    used: Array
    count: int

    @classmethod
    def of(cls, rows: csr_array, weights: Array) -> FieldSystem:
        """Factorise; about 20 ms."""
        used, energy = _skin_operators()
        part = rows[:, used]
        weighted = diags_array(weights) @ part
        matrix = (part.T @ weighted + energy).tocsc()
        factors = splu(matrix, permc_spec="MMD_AT_PLUS_A", options={"SymmetricMode": True})
        return cls(weighted, factors, used, rows.shape[1])

    def solve(self, targets: Array) -> Array:
        """The smooth field (V, 3) with rows @ field ≈ targets (K, 3); zero off the skin."""
        result = np.zeros((self.count, 3))
        result[self.used] = self.factors.solve(self.weighted.T @ targets)
        return result


def solve_field(rows: csr_array, targets: Array, weights: Array) -> Array:
    """The smooth field (V, 3) with rows @ field ≈ targets (K, 3), weights (K,); zero off the skin."""
    return FieldSystem.of(rows, weights).solve(targets)
