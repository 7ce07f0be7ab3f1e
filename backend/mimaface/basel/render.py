"""I_R: renders of one person's Basel face in one light with any expression and pose, in the reconstruction network's crop."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from mimaface.geometry.rasterise import rasterise
from mimaface.protocol.arrays import Array

from .align import inverted
from .bfm import CAMERA_Z, CENTRE, BaselFace, row_rotation, shade
from .paste import draw

SIDE = 256  # pixels per side of the network's crop


class BaselRenderer:
    """Renderer for one source: identity α (80,), albedo δ (80,) and illumination γ (27,); frames differ in β and pose."""

    def __init__(self, bfm: BaselFace, identity: ArrayLike, albedo: ArrayLike, light: ArrayLike) -> None:
        self.bfm = bfm
        self.shape = bfm.mean + np.tensordot(np.asarray(identity, np.float64), bfm.identity_basis, axes=1)
        self.colours = bfm.albedo(albedo)
        self.light = np.asarray(light, np.float64)

    def crop(self, expression: ArrayLike, rotation: ArrayLike, translation: ArrayLike) -> Array:
        """β (64,), angles (3,), translation (3,) → RGB (256, 256, 3) uint8 in the network's crop, black outside the face."""
        bfm = self.bfm
        vertices = self.shape + np.tensordot(np.asarray(expression, np.float64), bfm.expression_basis, axes=1)
        lit = shade(self.colours, bfm.normals(vertices) @ row_rotation(rotation), self.light)
        posed = bfm.posed(vertices, rotation, translation)
        u, up = bfm.project(posed).T
        raster = rasterise(np.stack([u, 2 * CENTRE - up, CAMERA_Z - posed[:, 2]], axis=1), bfm.triangles, SIDE, SIDE)
        colours = raster.interpolate(bfm.triangles, np.clip(lit, 0, 255))
        return np.asarray(np.rint(colours).astype(np.uint8))

    def canvas(self, expression: ArrayLike, rotation: ArrayLike, translation: ArrayLike, crop: ArrayLike, side: int) -> Array:
        """The same warped by the inverse of ``crop`` (2, 3), canvas → 256² → RGB (side, side, 3) uint8."""
        return draw(self.crop(expression, rotation, translation), inverted(crop), side, side)
