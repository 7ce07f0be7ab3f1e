"""Skin of the eyelids that lies in folds in the photograph, and unfolds as eyes close."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mimaface.face.head import Head
from mimaface.geometry.interpolation import smoothstep

from .eyes_and_mouth import around_eyes
from .kernels import SKIN
from .projection import Projection

Array = NDArray[Any]
# metres that the lids of a drawing have moved, between which the drawn eye goes. Higher: the eye's outline stays on a closed lid
LIDS_LOW, LIDS_HIGH = 0.0015, 0.004
# area against what the photograph shows of it, between which skin loses its pixels. Lower: lids lose their texture early; higher:
# the few pixels of a fold are smeared over a closed lid
UNFOLD_LOW, UNFOLD_HIGH = 1.8, 3.5


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
        """(V,) 1 where skin has unfolded from next to no pixels, 0 where it shows as it was."""
        a, b, c = (posed[self.triangles[:, corner]] for corner in range(3))
        area = np.linalg.norm(np.cross(b - a, c - a), axis=1)
        stretched = smoothstep(UNFOLD_LOW, UNFOLD_HIGH, area / np.maximum(self.shown, 1e-9))
        for _ in range(2):  # over the mesh, so that no triangle stands out
            total = np.bincount(self.triangles.ravel(), np.repeat(stretched, 3), len(posed)) / self.count
            stretched = total[self.triangles].mean(1)
        return np.asarray(total)


def around_closing_eyes(moved: Array) -> Array:
    """(V,) 1 on the skin around an eye most of whose lids have ``moved`` (V,) by LIDS_HIGH metres, 0 up to LIDS_LOW."""
    head = Head.load()
    result = np.zeros(len(moved))
    for side in (head.vertices[:, 0] > 0, head.vertices[:, 0] <= 0):
        result[around_eyes() & side] = smoothstep(LIDS_LOW, LIDS_HIGH, np.percentile(moved[head.region("lids") & side], 75))
    return result
