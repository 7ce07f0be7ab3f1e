"""Finds skin of the eyelids that is folded in the photograph and unfolds as the eyes close."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mimaface.face.head import Head
from mimaface.geometry.interpolation import smoothstep
from mimaface.protocol.arrays import Array

from . import tuning
from .eyes import around_eyes
from .kernels import SKIN
from .projection import Projection


@dataclass(frozen=True, eq=False)
class Lids:
    """Skin around the eyes that lies in folds: triangles (T, 3) and the area (T,) that each shows in the photograph, m²."""

    triangles: Array
    shown: Array
    count: Array

    @staticmethod
    def around(projection: Projection) -> Lids:
        """Of the source view of a portrait."""
        near = around_eyes()
        triangles = projection.triangles[projection.kind == SKIN]
        triangles = triangles[near[triangles].all(1)]
        a, b, c = (projection.place[triangles[:, corner]] for corner in range(3))
        flat = np.abs((b[:, 0] - a[:, 0]) * (c[:, 1] - a[:, 1]) - (b[:, 1] - a[:, 1]) * (c[:, 0] - a[:, 0]))
        shown = flat * (a[:, 2] / projection.camera.focal) ** 2
        return Lids(triangles, shown, np.maximum(np.bincount(triangles.ravel(), minlength=len(near)), 1))

    def unfolded(self, posed: Array) -> Array:
        """(V,) 1 where skin has unfolded from a fold that the photograph hides, 0 where the skin is as in the photograph."""
        a, b, c = (posed[self.triangles[:, corner]] for corner in range(3))
        area = np.linalg.norm(np.cross(b - a, c - a), axis=1)
        stretched = smoothstep(*tuning.UNFOLDED, area / np.maximum(self.shown, 1e-9))
        for _ in range(tuning.UNFOLDED_SMOOTHING):
            total = np.bincount(self.triangles.ravel(), np.repeat(stretched, 3), len(posed)) / self.count
            stretched = total[self.triangles].mean(1)
        return np.asarray(total)


def around_closing_eyes(moved: Array) -> Array:
    """(V,) 1 on the skin around an eye most of whose lids have ``moved`` (V,) by as much as LIDS_MOVED, 0 where they have not."""
    head = Head.load()
    result = np.zeros(len(moved))
    for side in (head.vertices[:, 0] > 0, head.vertices[:, 0] <= 0):
        most = np.percentile(moved[head.region("lids") & side], tuning.LIDS_PERCENTILE)
        result[around_eyes() & side] = smoothstep(*tuning.LIDS_MOVED, most)
    return result
