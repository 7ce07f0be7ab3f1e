"""The person as an elastic sheet that hair, neck and shoulders ride on, over a background that stays.

Averbuch-Elor et al. 2017, "Bringing Portraits to Life", with the depth of the head, so that both move alike, and cut out of the
background, so that only the person moves.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation, distance_transform_edt, gaussian_filter, map_coordinates

from mimaface.face.fit import FittedFace
from mimaface.face.pose import FacePose
from mimaface.geometry.camera import Camera
from mimaface.geometry.interpolation import smoothstep
from mimaface.geometry.rasterise import rasterise

from . import tuning
from .kernels import SKIN, lift
from .matte import STRIP, background_behind
from .projection import Projection

Array = NDArray[Any]


class PersonWarp:
    """Knots in the head frame, and how far each follows the head.

    On the head a knot lies on it; beside it, it sinks from the silhouette to the plane through the middle of the skull.
    behind (H, W, 3) is the photograph without what moves, of which ``invented`` (H, W), 0 to 1, is not photographed; opacity (H, W)
    that of what moves; held: pixels from the left, top and right of the canvas to where the photograph ends.
    """

    def __init__(self, projection: Projection, fit: FittedFace, held: tuple[float, float, float]) -> None:
        camera = projection.camera
        self.camera = camera
        height, width = camera.height, camera.width
        step = max(tuning.WARP_STEP, round(max(width, height) / tuning.WARP_KNOTS))
        u, v = np.meshgrid(np.linspace(0, width, max(width // step, 2) + 1), np.linspace(0, height, max(height // step, 2) + 1))
        rows, columns = np.clip(v, 0, height - 1).astype(int), np.clip(u, 0, width - 1).astype(int)
        head_width = projection.head_width
        away, nearest = distance_transform_edt(projection.source_kind == 0, return_indices=True)
        away = away[rows, columns]
        silhouette = projection.depth[tuple(nearest[:, rows, columns])]
        beside = smoothstep(0.0, tuning.DEPTH_REACH * head_width, away)
        depth = gaussian_filter(silhouette * (1 - beside) - float(fit.translation[2]) * beside, tuning.DEPTH_SMOOTHING)
        self._place = (camera.unproject(np.stack([u, v], axis=-1), depth) - fit.translation) @ fit.rotation
        self._start = camera.project(self._place @ fit.rotation.T + fit.translation)[..., :2]
        near = 1 - smoothstep(tuning.REACH_LOW * head_width, tuning.REACH_HIGH * head_width, away)
        border = np.minimum(np.minimum(u + held[0], width - u + held[2]), v + held[1])
        border = border / max(width + held[0] + held[2], height + held[1])
        low = self._place[..., 1] + tuning.NECK_SLOPE * np.maximum(self._place[..., 2], 0)
        turning = smoothstep(tuning.NECK_LOW, tuning.NECK_HIGH, low)
        self._knots = np.stack([u, v], axis=-1)
        self._follows = near * turning
        self._follow = self._follows * smoothstep(0.0, tuning.WARP_BORDER, border)
        raster = rasterise(projection.place, projection.triangles, height, width)
        on_skin = raster.covered & (projection.kind[raster.triangle] == SKIN)
        off, skin = distance_transform_edt(~on_skin, return_indices=True)
        here = tuple(skin[:, rows, columns])
        self._corners = projection.triangles[np.maximum(raster.triangle[here], 0)]
        fade = 1 - smoothstep(0.0, tuning.SKIN_REACH * head_width, off[rows, columns])
        self._weights = raster.barycentric[here] * fade[..., None]
        index = np.arange(u.size).reshape(u.shape)
        a, b, c, d = index[:-1, :-1], index[:-1, 1:], index[1:, 1:], index[1:, :-1]
        halves = [np.stack([a, b, c], -1).reshape(-1, 3), np.stack([a, c, d], -1).reshape(-1, 3)]
        self._triangles = np.concatenate(halves).astype(np.int32)
        self._step = width / (u.shape[1] - 1), height / (u.shape[0] - 1)
        self._cut_out(projection, tuning.HALO * head_width)
        self._leave_out_what_stays()

    def _cut_out(self, projection: Projection, halo: float) -> None:
        """What moves, colours times opacity and opacity (H, W, 4), and the photograph behind it (H, W, 3)."""
        image, matte = projection.image, projection.matte
        follow = np.empty(matte.shape, np.float32)
        for top in range(0, len(matte), STRIP):
            rows, columns = np.mgrid[top : min(top + STRIP, len(matte)), : matte.shape[1]] + 0.5
            places = rows / self._step[1], columns / self._step[0]
            map_coordinates(self._follow, places, follow[top : top + STRIP], 1, mode="nearest")
        self.opacity = (matte * smoothstep(0.0, tuning.CUT_OUT, follow)).astype(np.float32)
        self._person = np.concatenate([projection.person * self.opacity[..., None], self.opacity[..., None]], axis=2)
        leaves = distance_transform_edt(self.opacity <= tuning.CLEAR) <= halo
        self.invented = (leaves * smoothstep(tuning.CUT_OUT, tuning.LEAVES_BACKGROUND, follow)).astype(np.float32)
        self.behind = image + self.invented[..., None] * (background_behind(image, matte, halo) - image)

    def _leave_out_what_stays(self) -> None:
        """Keep the triangles that show something, and those that could come before one, for they move; _shows (N,): which do."""
        rows, columns = (
            np.minimum(np.unique(self._knots[..., axis].astype(int)), limit - 1)
            for axis, limit in zip((1, 0), self.opacity.shape)
        )
        filled = np.logical_or.reduceat(np.logical_or.reduceat(self.opacity > 0, rows[:-1], axis=0), columns[:-1], axis=1)
        # a cell is two triangles; looking up reaches a pixel beyond it
        shows = np.tile(binary_dilation(filled, np.ones((3, 3))).ravel(), 2)
        kept = shows | (self._follow.ravel()[self._triangles] > 0).any(1)
        self._triangles, self._shows = self._triangles[kept], shows[kept]
        self._shown = np.unique(self._triangles[self._shows])

    def moved(self, pose: FacePose, change: Array) -> Array:
        """The knots (K, 3) following the head: pixels of the canvas, and metres of depth.

        change (V, 3): how far the expression has moved each vertex, camera frame.
        """
        moved = self.camera.project(self._place @ pose.rotation.T + pose.translation + self._expression(change))
        shift = (moved[..., :2] - self._start) * self._follow[..., None]
        depth = self._follow * moved[..., 2] + (1 - self._follow) * (moved[..., 2].max() + tuning.BEHIND_PERSON)
        return np.concatenate([self._knots + shift, depth[..., None]], axis=2).reshape(-1, 3)

    def shown(self, knots: Array) -> Array:
        """Those (P, 3) of ``knots`` (K, 3) between which something of the person is."""
        return np.asarray(knots[self._shown])

    def render(self, knots: Array, part: tuple[int, int, int, int]) -> tuple[Array, Array]:
        """The person in the ``part`` (left, top, right, bottom) of the canvas, with ``knots`` (K, 3) of :meth:`moved`: colours times
        opacity, and opacity (h, w, 4), and how much of it is to be kept (h, w): less where it is stretched far."""
        return self._lifted(knots, part, 1.0)

    def moved_onto(self, camera: Camera, pose: FacePose, change: Array) -> Array:
        """The knots (K, 3) as :meth:`moved` has them, all of them following the head before another ``camera``."""
        knots = self._place @ pose.rotation.T + pose.translation + self._expression(change)
        return np.asarray(camera.project(knots)).reshape(-1, 3)

    def render_onto(self, knots: Array, share: Array, part: tuple[int, int, int, int]) -> tuple[Array, Array]:
        """:meth:`render` with ``knots`` of :meth:`moved_onto`, and instead of what is to be kept, the part of that picture (h, w) that it
        shall be: ``share`` (V,) of the head and hair where they are not stretched, falling to 0 at this photograph's border."""
        size = self.camera.width, self.camera.height
        border = np.minimum(self._knots, size - self._knots).min(-1) / min(size)
        wanted = gaussian_filter(share[self._corners].mean(-1), tuning.EXPRESSION_SMOOTHING) * smoothstep(0.0, tuning.WARP_BORDER, border)
        wanted *= smoothstep(*tuning.REFERENCE_FOLLOWS, self._follows)
        return self._lifted(knots, part, wanted)

    def _expression(self, change: Array) -> Array:
        """(R, C, 3) metres, camera frame: how far the expression, ``change`` (V, 3), moves the knots."""
        expression = (change[self._corners] * self._weights[..., None]).sum(2)
        smoothing = tuning.EXPRESSION_SMOOTHING, tuning.EXPRESSION_SMOOTHING, 0.0  # the head on top has the sharp edges
        return np.asarray(gaussian_filter(expression, smoothing))

    def _lifted(self, knots: Array, part: tuple[int, int, int, int], wanted: Array | float) -> tuple[Array, Array]:
        """Colours times opacity, and opacity (h, w, 4), and ``wanted``, one value or (R, C), where it is not stretched far (h, w)."""
        left, top, right, bottom = part
        points = knots - [left, top, 0]
        raster = rasterise(points, self._triangles, bottom - top, right - left)
        # weighted by depth, so that the ratio is linear in the picture
        places = np.concatenate([self._knots.reshape(-1, 2) * points[:, 2:], points[:, 2:]], axis=1)
        kept = 1 - smoothstep(tuning.STRETCH_LOW, tuning.STRETCH_HIGH, self._stretch(knots[:, :2].reshape(self._knots.shape)))
        sheet, share = lift(
            self._person,
            raster.triangle,
            raster.barycentric,
            self._triangles,
            places.astype(np.float32),
            (wanted * kept).ravel(),
            self._shows,
        )
        return np.asarray(sheet), np.asarray(share)

    def _stretch(self, knots: Array) -> Array:
        """How much longer the sheet is at each of its ``knots`` (R, C, 2), in the direction in which that is most: (R, C)."""
        down, across = np.gradient(knots, self._step[1], axis=0), np.gradient(knots, self._step[0], axis=1)
        a, c, b = (across**2).sum(-1), (down**2).sum(-1), (across * down).sum(-1)
        return np.asarray(np.sqrt((a + c) / 2 + np.sqrt(((a - c) / 2) ** 2 + b**2)))  # the larger singular value
