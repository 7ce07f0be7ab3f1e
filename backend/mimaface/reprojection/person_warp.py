"""The person as an elastic sheet with hair, neck and shoulders, over a still background.

Averbuch-Elor et al. 2017, "Bringing Portraits to Life", with the depth of the head, so that both move alike, and cut out of the
background, so that only the person moves.
"""

from __future__ import annotations

from typing import NamedTuple

import numba
import numpy as np
from scipy.ndimage import binary_dilation, gaussian_filter, map_coordinates

from mimaface.face.fit import FittedFace
from mimaface.face.pose import FacePose
from mimaface.geometry.camera import Camera
from mimaface.geometry.distances import further_inside, nearest_outside
from mimaface.geometry.interpolation import smoothstep, stretched
from mimaface.geometry.mesh import harmonic_extension
from mimaface.geometry.rasterise import raster_strips, rasterise
from mimaface.geometry.strips import row_strips
from mimaface.protocol.arrays import Array

from . import tuning
from .body import Beyond, Body, person_beyond
from .folded import TurnedSides
from .kernels import SKIN, Opacity, lift
from .matte import background_behind
from .projection import Projection, turning

Box = tuple[int, int, int, int]  # left, top, right, bottom in pixels
Rows = tuple[int, int]  # the first, and the one after the last


class Cut(NamedTuple):
    """The moving part of the person.

    opacity (H', W'): on the canvas and beyond; inside (H, W): the same on the canvas alone; invented (H, W): share of the background behind
    it that the photograph does not show, 0 to 1; triangles (N, 3): those that are drawn; shows (N,) bool: those with visible pixels;
    shown (P,): the knots of these.
    """

    opacity: Array
    inside: Array
    invented: Array
    triangles: Array
    shows: Array
    shown: Array


class Loosened(NamedTuple):
    """A mixture of two cuts: the second has the share ``way``, 0 to 1, and its triangles are drawn. Opacities are mixed pixel by pixel when
    they are read, because a whole picture of them is large.
    """

    first: Cut
    second: Cut
    way: np.float32

    @property
    def opacity(self) -> Opacity:
        return self.first.opacity, self.second.opacity, self.way

    def invented(self, part: tuple[slice, slice]) -> Array:
        """Returns ``invented`` (h, w) for a part of the canvas."""
        first, second = self.first.invented[part], self.second.invented[part]
        return first if self.way == 0 else np.asarray(first + self.way * (second - first))


class PersonWarp:
    """Knots in the head frame, and how far each follows the head, and the shoulders.

    On the head a knot lies on it; beside it, it sinks from the silhouette to the plane through the middle of the skull, in which the body is.
    knots (R, C, 2): pixels of the canvas at rest; behind (H, W, 3) uint8: the photograph without the person; fixed, loose: what moves
    without and with its shoulders. There are knots ``beyond`` its borders, too, where the person goes on: see
    :mod:`mimaface.reprojection.body`.
    """

    def __init__(self, projection: Projection, fit: FittedFace, body: Body, beyond: Beyond) -> None:
        camera = projection.camera
        self.camera, self._body, self._beyond = camera, body, beyond
        size = np.array([camera.width, camera.height])
        self._corner = np.array([beyond.left, beyond.top])
        whole = size + self._corner + np.array([beyond.right, beyond.bottom])
        step = max(tuning.WARP_STEP, round(max(size) / tuning.WARP_KNOTS))
        u, v = np.meshgrid(*(np.linspace(0, side, max(side // step, 2) + 1) for side in whole))
        rows, columns = np.clip(v, 0, whole[1] - 1).astype(int), np.clip(u, 0, whole[0] - 1).astype(int)
        self._step = whole[0] / (u.shape[1] - 1), whole[1] / (u.shape[0] - 1)
        self.knots = np.stack([u, v], axis=-1) - self._corner
        still = projection.place + np.append(self._corner, 0), projection.triangles, whole[1], whole[0]
        head_width = projection.head_width
        covered, on_skin = np.zeros((2, whole[1], whole[0]), bool)
        for strip, raster in raster_strips(*still):
            covered[strip] = raster.covered
            on_skin[strip] = raster.covered & (projection.kind[raster.triangle] == SKIN)
        *nearest, away = nearest_outside(~covered, rows, columns)
        *here, off = nearest_outside(~on_skin, rows, columns)
        silhouette, triangle, weights = np.empty(u.shape, np.float32), np.empty(u.shape, np.int32), np.empty((*u.shape, 3), np.float32)
        for strip, raster in raster_strips(*still):  # drawn in strips: the whole would take several times the photograph's memory
            for found, values, (row, column) in (
                (silhouette, raster.depth, nearest), (triangle, raster.triangle, here), (weights, raster.barycentric, here)
            ):  # fmt: skip
                within = (row >= strip.start) & (row < strip.stop)
                found[within] = values[row[within] - strip.start, column[within]]
        beside = smoothstep(0.0, tuning.DEPTH_REACH * head_width, away)
        middle = -float(fit.translation[2])
        # the outlines of a drawing would show every fold
        smoothing = tuning.DRAWN_SMOOTHING * head_width / self._step[0] if projection.drawn else tuning.DEPTH_SMOOTHING
        depth = self._depth = gaussian_filter(silhouette * (1 - beside) + middle * beside, smoothing)
        self._place = (camera.unproject(self.knots, depth) - fit.translation) @ fit.rotation
        self._sides = TurnedSides.of(self._place, self.knots, depth, camera, fit)
        self._flat = camera.unproject(self.knots, middle)
        self._start = camera.project(self._place @ fit.rotation.T + fit.translation)[..., :2]
        near = 1 - smoothstep(tuning.REACH_LOW * head_width, tuning.REACH_HIGH * head_width, away)
        self._follows = near * (1.0 if projection.floats else turning(self._place))
        self._follow = self._follows * self._held(size)
        self._carried = body.share(self._flat) * self._held(size)
        self._corners = projection.triangles[np.maximum(triangle, 0)]
        fade = 1 - smoothstep(0.0, tuning.SKIN_REACH * head_width, off)
        self._weights = weights * fade[..., None]
        self._skin = self._around(np.flatnonzero(fade), 1 + round(4 * tuning.EXPRESSION_SMOOTHING))  # as far as smoothing reaches
        index = np.arange(u.size).reshape(u.shape)
        a, b, c, d = index[:-1, :-1], index[:-1, 1:], index[1:, 1:], index[1:, :-1]
        halves = [np.stack([a, b, c], -1).reshape(-1, 3), np.stack([a, c, d], -1).reshape(-1, 3)]
        self._triangles = np.concatenate(halves).astype(np.int32)
        self._person, matte = person_beyond(projection, beyond, body.neck(camera), covered & (not projection.floats))
        grain = 0 if projection.drawn else max(round(tuning.FILLED_GRAIN * head_width), 1)
        behind = background_behind(projection.image, projection.matte, tuning.HALO * head_width, grain)
        exact = np.rint if projection.drawn else np.trunc  # keeps flat colours unchanged
        self.behind = np.concatenate([np.clip(exact(behind(strip)), 0, 255).astype(np.uint8) for strip in row_strips(size[1])])
        self.fixed = self.loose = self._cut_out(projection, matte, self._follow)
        if body.follows > 0:
            self.loose = self._cut_out(projection, matte, np.maximum(self._follow, self._carried))

    def relief(self, projection: Projection, fit: FittedFace) -> Array:
        """(V, 3) metres, head frame: how far vertices are from the sheet in the photograph, along the lines of sight."""
        place = projection.place[:, :2] + self._corner
        depth = map_coordinates(self._depth, (place / self._step).T[::-1], order=1, mode="nearest")
        return np.asarray((self.camera.unproject(projection.place[:, :2], depth) - projection.still) @ fit.rotation)

    def sides(self, projection: Projection) -> TurnedSides:
        """Returns the sides of the head that come nearer to the camera as they turn into view: its vertices move with the sheet in front of them."""
        place = ((projection.place[:, :2] + self._corner) / self._step).T[::-1]
        nearer = np.stack([map_coordinates(axis, place, order=1, mode="nearest") for axis in np.moveaxis(self._sides.nearer, -1, 0)], -1)
        vertices, skin = projection.head.vertices, projection.triangles[projection.kind == SKIN]
        nearer = harmonic_extension(nearer, projection.trust > tuning.SURE_TRUST, skin)
        return TurnedSides(nearer, np.clip(vertices[:, :2] / tuning.SIDE_AWAY, -1, 1), self._sides.viewed)

    def _held(self, size: Array) -> Array:
        """(R, C) 1 at knots that may move, falling to 0 at those borders of the canvas of ``size`` (2,) beyond which the photograph goes on."""
        borders = (self.knots[..., 0], self.knots[..., 1], *np.moveaxis(size - self.knots, -1, 0))
        inside = [border for border, continued in zip(borders, self._beyond) if not continued]
        return smoothstep(0.0, tuning.WARP_BORDER * max(size), np.minimum.reduce(inside)) if inside else np.ones(self.knots.shape[:2])

    def _cut_out(self, projection: Projection, matte: Array, moves: Array) -> Cut:
        """Returns the moving part of the person, from its ``matte`` (H', W') on the canvas and beyond and the share ``moves`` (R, C) of each knot."""
        opacity, follow = np.empty_like(matte), np.empty_like(matte)
        for strip in row_strips(len(matte)):
            follow[strip] = stretched(moves, self._step, strip.start, strip.stop - strip.start, matte.shape[1])
            opacity[strip] = matte[strip] * smoothstep(0.0, tuning.CUT_OUT, follow[strip])
        height, width = projection.matte.shape
        canvas = np.s_[self._beyond.top : self._beyond.top + height, self._beyond.left : self._beyond.left + width]
        stays = further_inside(opacity[canvas] <= tuning.CLEAR, tuning.HALO * projection.head_width)
        invented = np.empty((height, width), np.float32)
        for strip in row_strips(height):
            leaves = smoothstep(tuning.CUT_OUT, tuning.LEAVES_BACKGROUND, follow[canvas][strip])
            invented[strip] = np.where(stays[strip], 0, leaves)
        return Cut(opacity, opacity[canvas], invented, *self._triangles_of(opacity, moves))

    def _triangles_of(self, opacity: Array, moves: Array) -> tuple[Array, Array, Array]:
        """Returns the triangles with pixels of ``opacity`` (H', W') and those that may move before them; which have pixels; and their
        knots."""
        rows, columns = (
            np.minimum(np.arange(self.knots.shape[axis]) * self._step[1 - axis], limit - 1).astype(int)
            for axis, limit in enumerate(opacity.shape)
        )
        filled = np.logical_or.reduceat(np.logical_or.reduceat(opacity > 0, rows[:-1], axis=0), columns[:-1], axis=1)
        # a cell is two triangles; looking up reaches a pixel beyond it
        shows = np.tile(binary_dilation(filled, np.ones((3, 3))).ravel(), 2)
        kept = shows | (moves.ravel()[self._triangles] > 0).any(1)
        return self._triangles[kept], shows[kept], np.unique(self._triangles[shows])

    def cut(self, loose: float) -> Loosened:
        """Returns the moving part for ``loose`` shoulders: 0, they belong to the photograph behind the head, to 1, they are cut out of it."""
        if loose in (0, 1):
            cut = self.loose if loose else self.fixed
            return Loosened(cut, cut, np.float32(0))
        return Loosened(self.fixed, self.loose, np.float32(loose))

    def moved(self, pose: FacePose, change: Array) -> Array:
        """Returns the knots (K, 3) moved with the head: pixels of the canvas, and metres of depth.

        change (V, 3): how far the expression has moved each vertex, camera frame.
        """
        here = self._sides.seen(self._place, pose) @ pose.rotation.T + pose.translation + self._expression(change)
        behind = 0.1 - here[..., 2].min()  # metres behind the person: only the order counts
        rest = self._flat, self._carried, self._start, self.knots, self._follow
        return np.asarray(carry(here, *rest, self._body.shift(pose), self.camera.focal, self.camera.centre, behind)).reshape(-1, 3)

    def render(self, knots: Array, part: Box, rows: Rows, cut: Loosened) -> tuple[Array, Array]:
        """The person in ``rows`` of a ``part`` of the canvas, with ``knots`` (K, 3) of :meth:`moved`: colours times
        opacity, and opacity (h, w, 4), and how much of it is to be kept (h, w): less where it is stretched far."""
        return self._lifted(knots, part, rows, cut, 1.0)

    def distance(self, knots: Array, part: Box, cut: Loosened) -> Array:
        """Pixels by which what is seen in the ``part`` (left, top, right, bottom) of the canvas has moved to each of its pixels, or away
        from it (h, w), with ``knots`` (K, 3) of :meth:`moved`; 0 beside the person."""
        left, top, right, bottom = part
        triangles, still = cut.second.triangles[cut.second.shows], np.concatenate([self.knots.reshape(-1, 2), knots[:, 2:]], axis=1)
        far = np.linalg.norm(knots[:, :2] - still[:, :2], axis=1)[:, None]
        rasters = [rasterise(place - [left, top, 0], triangles, bottom - top, right - left) for place in (knots, still)]
        return np.maximum(*(raster.interpolate(triangles, far)[..., 0] for raster in rasters))

    def moved_onto(self, camera: Camera, pose: FacePose, change: Array) -> Array:
        """Returns knots (K, 3) like :meth:`moved`, before another ``camera``, with all knots following the head."""
        knots = self._sides.seen(self._place, pose) @ pose.rotation.T + pose.translation + self._expression(change)
        return np.asarray(camera.project(knots)).reshape(-1, 3)

    def render_onto(self, knots: Array, share: Array, part: Box, rows: Rows) -> tuple[Array, Array]:
        """:meth:`render` with ``knots`` of :meth:`moved_onto`, and instead of what is to be kept, the part of that picture (h, w) that it
        shall be: ``share`` (V,) of the head and hair where they are not stretched, falling to 0 at this photograph's border."""
        size = self.camera.width, self.camera.height
        border = np.minimum(self.knots, size - self.knots).min(-1) / min(size)
        wanted = gaussian_filter(share[self._corners].mean(-1), tuning.EXPRESSION_SMOOTHING) * smoothstep(0.0, tuning.WARP_BORDER, border)
        wanted *= smoothstep(*tuning.REFERENCE_FOLLOWS, self._follows)
        return self._lifted(knots, part, rows, self.cut(0), wanted)

    def _expression(self, change: Array) -> Array:
        """(R, C, 3) metres, camera frame: how far the expression, ``change`` (V, 3), moves the knots."""
        expression = np.zeros((*self.knots.shape[:2], 3))
        near = np.einsum("...kc,...k->...c", change[self._corners[self._skin]], self._weights[self._skin])
        smoothing = tuning.EXPRESSION_SMOOTHING, tuning.EXPRESSION_SMOOTHING, 0.0  # the head on top has the sharp edges
        expression[self._skin] = gaussian_filter(near, smoothing)
        return expression

    def _lifted(self, knots: Array, part: Box, rows: Rows, cut: Loosened, wanted: Array | float) -> tuple[Array, Array]:
        """Colours times opacity, and opacity (h, w, 4), and ``wanted``, one value or (R, C), where it is not stretched far (h, w)."""
        left, top, right, bottom = part
        points = knots - [left, top, 0]
        raster = rasterise(points, cut.second.triangles, bottom - top, right - left, rows)
        # weighted by depth, so that the ratio is linear in the picture
        pixels = (self.knots + self._corner).reshape(-1, 2)
        places = np.concatenate([pixels * points[:, 2:], points[:, 2:]], axis=1)
        kept, some = np.ones(self.knots.shape[:2]), self._around(cut.second.shown)
        stretch = self._stretch(knots[:, :2].reshape(self.knots.shape)[some])
        kept[some] = 1 - smoothstep(tuning.STRETCH_LOW, tuning.STRETCH_HIGH, stretch)
        sheet, share = lift(
            self._person, cut.opacity, raster.triangle, raster.barycentric, cut.second.triangles, places.astype(np.float32),
            (wanted * kept).ravel(), cut.second.shows,
        )  # fmt: skip
        return np.asarray(sheet), np.asarray(share)

    def _around(self, knots: Array, margin: int = 1) -> tuple[slice, slice]:
        """Rows and columns that contain ``knots`` (P,), numbered row by row, and a ``margin`` around them."""
        places = np.unravel_index(knots if len(knots) else np.zeros(1, int), self.knots.shape[:2])
        rows, columns = (slice(max(int(place.min()) - margin, 0), int(place.max()) + margin + 1) for place in places)
        return rows, columns

    def _stretch(self, knots: Array) -> Array:
        """(R, C) how much the sheet is stretched at each of its ``knots`` (R, C, 2), in the direction of most stretch."""
        down, across = np.gradient(knots, self._step[1], axis=0), np.gradient(knots, self._step[0], axis=1)
        a, c, b = (across**2).sum(-1), (down**2).sum(-1), (across * down).sum(-1)
        return np.asarray(np.sqrt((a + c) / 2 + np.sqrt(((a - c) / 2) ** 2 + b**2)))  # the larger singular value


@numba.njit(cache=True, nogil=True)
def carry(  # house: compiled, so it takes the arrays of the warp one by one
    here: Array, flat: Array, carried: Array, start: Array, knots: Array, follow: Array, shift: Array, focal: float, centre: tuple[float, float],
    behind: float,
) -> Array:  # fmt: skip
    """Knots (R, C, 3): pixels of the canvas, and metres of depth. They ``follow`` (R, C) the head, with which they are ``here`` (R, C, 3), and
    were at ``start`` (R, C, 2) pixels, and else the shoulders, with which those at ``flat`` (R, C, 3) are ``carried`` (R, C) by ``shift``
    (3,): metres, camera frame; knots (R, C, 2): where they were; behind: metres of depth of what does not follow the head."""
    result = np.empty((*follow.shape, 3))
    for row in range(follow.shape[0]):
        for column in range(follow.shape[1]):
            head, body, share = here[row, column], flat[row, column], carried[row, column]
            along = follow[row, column]
            scale, lower = focal / -head[2], focal / -(body[2] + share * shift[2])
            for axis, sign in enumerate((1.0, -1.0)):
                moved = centre[axis] + sign * scale * head[axis] - start[row, column, axis]
                went = centre[axis] + sign * lower * (body[axis] + share * shift[axis]) - knots[row, column, axis]
                result[row, column, axis] = knots[row, column, axis] + (moved * along + went * (1 - along))
            result[row, column, 2] = along * -head[2] + (1 - along) * behind
    return result
