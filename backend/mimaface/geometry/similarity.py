"""Least-squares similarities between point sets in any dimension."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from mimaface.protocol.arrays import Array


@dataclass(frozen=True, eq=False)
class Similarity:
    """``y = scale · rotation · x + offset`` for D-dimensional points: a scalar, (D, D) without reflection, (D,) in the unit of
    y."""

    scale: float
    rotation: Array
    offset: Array

    def __call__(self, points: ArrayLike) -> Array:
        """Points (…, D) → transformed points (…, D)."""
        return np.asarray(self.scale * np.asarray(points) @ self.rotation.T + self.offset)

    @property
    def matrix(self) -> Array:
        """The affine matrix (D, D + 1) for homogeneous points."""
        return np.concatenate([self.scale * self.rotation, self.offset[:, None]], axis=1)

    @classmethod
    def between(cls, source: ArrayLike, target: ArrayLike) -> Similarity:
        """Returns the similarity with the least squared error from points (P, D) to points (P, D) (Umeyama 1991)."""
        x, y = np.asarray(source, np.float64), np.asarray(target, np.float64)
        a, b = x - x.mean(0), y - y.mean(0)
        u, values, vt = np.linalg.svd(b.T @ a)
        sign = np.ones(len(values))
        sign[-1] = np.sign(np.linalg.det(u @ vt))
        rotation = (u * sign) @ vt
        scale = float((values * sign).sum() / (a * a).sum())
        return cls(scale, rotation, y.mean(0) - scale * rotation @ x.mean(0))
