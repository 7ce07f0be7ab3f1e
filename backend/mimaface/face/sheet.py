"""The photograph as an elastic sheet that hair, neck and shoulders ride on.

Averbuch-Elor et al. 2017, "Bringing Portraits to Life", with the depth of the head, so that both move alike.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt, gaussian_filter

from .fit import FittedFace
from .pose import FacePose
from .projection import NECK_HIGH, NECK_LOW, Projection
from .rasterise import rasterise
from .sampling import smoothstep
from .shading import SKIN, warp

Array = NDArray[Any]
GRID = 6  # pixels between the knots of the sheet
DEPTH_REACH, BORDER = 0.25, 0.06  # head widths over which the sheet sinks; share of the picture that is held at its border
REACH_LOW, REACH_HIGH = 0.30, 1.30  # head widths from the head: hair this near follows fully, beyond this not at all
SOFT = 2.0  # knots over which the expression's folds are smoothed
SKIN_REACH = 0.12  # head widths over which what is beside the face follows its expression


class Sheet:
    """Knots in the head frame, and how far each follows the head.

    On the head a knot lies on it; beside it, it sinks from the silhouette to the plane through the middle of the skull.
    held: pixels from the left, top and right of the canvas to where the photograph ends.
    """

    def __init__(self, projection: Projection, fit: FittedFace, held: tuple[float, float, float]) -> None:
        camera, image = projection.camera, projection.image
        self.camera, self.image, self.fit = camera, image, fit
        height, width = camera.height, camera.width
        step = max(GRID, round(max(width, height) / 96))
        u, v = np.meshgrid(np.linspace(0, width, max(width // step, 2) + 1), np.linspace(0, height, max(height // step, 2) + 1))
        rows, columns = np.clip(v, 0, height - 1).astype(int), np.clip(u, 0, width - 1).astype(int)
        head_width = float(np.ptp(projection.place[projection.follow > 0.9, 0]))
        away, nearest = distance_transform_edt(projection.source_kind == 0, return_indices=True)
        away = away[rows, columns]
        silhouette = projection.depth[tuple(nearest[:, rows, columns])]
        beside = smoothstep(0.0, DEPTH_REACH * head_width, away)
        depth = gaussian_filter(silhouette * (1 - beside) - float(fit.translation[2]) * beside, 1.0)
        ray = np.stack([u - camera.centre[0], camera.centre[1] - v, np.full_like(u, -camera.focal)], axis=-1)
        self._place = (ray * depth[..., None] / camera.focal - fit.translation) @ fit.rotation
        self._start = camera.project(self._place @ fit.rotation.T + fit.translation)[..., :2]
        near = 1 - smoothstep(REACH_LOW * head_width, REACH_HIGH * head_width, away)
        border = np.minimum(np.minimum(u + held[0], width - u + held[2]), v + held[1])
        border = border / max(width + held[0] + held[2], height + held[1])
        turning = smoothstep(NECK_LOW, NECK_HIGH, self._place[..., 1] + 0.6 * np.maximum(self._place[..., 2], 0))
        self._knots = np.stack([u, v], axis=-1)
        self._follow = near * turning * smoothstep(0.0, BORDER, border)
        raster = rasterise(projection.place, projection.triangles, height, width)
        on_skin = raster.covered & (projection.kind[raster.triangle] == SKIN)
        off, skin = distance_transform_edt(~on_skin, return_indices=True)
        here = tuple(skin[:, rows, columns])
        self._corners = projection.triangles[np.maximum(raster.triangle[here], 0)]
        fade = 1 - smoothstep(0.0, SKIN_REACH * head_width, off[rows, columns])
        self._weights = raster.barycentric[here] * fade[..., None]
        index = np.arange(u.size).reshape(u.shape)
        a, b, c, d = index[:-1, :-1], index[:-1, 1:], index[1:, 1:], index[1:, :-1]
        halves = [np.stack([a, b, c], -1).reshape(-1, 3), np.stack([a, c, d], -1).reshape(-1, 3)]
        self._triangles = np.concatenate(halves).astype(np.int32)

    def render(self, pose: FacePose, change: Array, view: tuple[int, int, int, int], over: Array) -> Array:
        """The part ``view`` (left, top, right, bottom) of the photograph (h, w, 3) uint8, stretched to follow the head.

        change (V, 3): how far the expression has moved each vertex, camera frame; over (h, w, 4) is laid on top.
        """
        left, top, right, bottom = view
        expression = (change[self._corners] * self._weights[..., None]).sum(2)
        expression = gaussian_filter(expression, (SOFT, SOFT, 0))  # the head on top has the sharp edges
        moved = self.camera.project(self._place @ pose.rotation.T + pose.translation + expression)
        shift = (moved[..., :2] - self._start) * self._follow[..., None]
        depth = self._follow * moved[..., 2] + (1 - self._follow) * (moved[..., 2].max() + 0.1)
        points = np.concatenate([self._knots + shift - [left, top], depth[..., None]], axis=2).reshape(-1, 3)
        raster = rasterise(points, self._triangles, bottom - top, right - left)
        # weighted by depth, so that the ratio is linear in the picture
        places = np.concatenate([self._knots.reshape(-1, 2) * points[:, 2:], points[:, 2:]], axis=1)
        return np.asarray(
            warp(self.image, raster.triangle, raster.barycentric, self._triangles, places.astype(np.float32), left, top, over)
        )
