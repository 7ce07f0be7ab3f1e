"""The proxy engine: the photographed head posed anew over the photograph, without any network.

Two layers: the photograph as an elastic sheet that hair, neck and shoulders ride on (Averbuch-Elor et al. 2017, "Bringing
Portraits to Life"); it has the depth of the head, so both move alike; over it the posed head, textured by projection.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import distance_transform_edt, gaussian_filter

from .fit import one_thread
from .portrait import Portrait
from .pose import FacePose
from .projection import NECK_HIGH, NECK_LOW, RIM, SKIN, Projection, project_portrait, texture, warp
from .rasterise import Raster, rasterise, vertex_normals
from .sampling import smoothstep

Array = NDArray[Any]
GRID = 6  # pixels between the knots of the sheet
DEPTH_REACH, BORDER = 0.25, 0.06  # head widths over which the sheet sinks; share of the picture that is held at its border
REACH_LOW, REACH_HIGH = 0.30, 1.30  # head widths from the head: hair this near follows fully, beyond this not at all
SAME_LOW, SAME_HIGH = 0.0006, 0.0025  # metres that a point has moved on the head: below it has its own expression
AT_REST = 0.01  # pixels: a pose this near to the portrait's own is the photograph
STILL_LOW, STILL_HIGH = 0.5, 3.0  # pixels that a point has moved: below it is its own photograph
FACE_MARGIN = 1.7  # the "face" framing: a square of so many face heights


@dataclass(frozen=True)
class Frame:
    """Which part of the photograph is shown, at which size: corner (left, top) and scale in pixels, then width × height."""

    left: float
    top: float
    scale: float
    width: int
    height: int


class ProxyRenderer:
    """Renders one portrait under any pose at one output size. Build once (0.3 s at 512²), then call :meth:`render`."""

    def __init__(self, portrait: Portrait, size: int = 0, framing: str = "photo") -> None:
        fit = portrait.fit
        self.fit = fit
        self.frame = choose_frame(portrait, size, framing)
        frame = self.frame
        self.camera = fit.camera.window(frame.left, frame.top, frame.scale, frame.width, frame.height)
        box = (frame.left, frame.top, frame.left + frame.width / frame.scale, frame.top + frame.height / frame.scale)
        if frame.scale == 1 and (frame.width, frame.height) == portrait.image.shape[1::-1]:
            self.image = portrait.image
        else:
            picture = Image.fromarray(portrait.image)
            self.image = np.asarray(picture.resize((frame.width, frame.height), Image.Resampling.LANCZOS, box))
        self.projection = project_portrait(self.image, fit, self.camera)
        self._photograph = self.image.astype(np.float32)
        self._solid = solid_vertices(self.projection)
        self._kind = self.projection.kind_of_vertex
        self._whole = (self.projection.head.region("lips", "lids", "inside") | (self._kind != SKIN)) * 1.0
        self._still_head = (self.projection.still - fit.translation) @ fit.rotation
        self._prepare_sheet()
        place = self.projection.place
        self._own = np.concatenate([place[:, :2] * place[:, 2:], place[:, 2:]], axis=1)
        place = self.projection.mirror_place
        self._partner = np.concatenate([place[:, :2] * place[:, 2:], place[:, 2:]], axis=1)

    def render(self, pose: FacePose, transparent: bool = False) -> Array:
        """RGB (H, W, 3) uint8 under ``pose``; with ``transparent`` RGBA (H, W, 4) in which only the head is opaque."""
        with one_thread():
            return self._render(pose, transparent)

    def _render(self, pose: FacePose, transparent: bool) -> Array:
        posed = self.pose_vertices(pose)
        if np.abs(self.camera.project(posed)[:, :2] - self.projection.place[:, :2]).max() < AT_REST:
            return self._at_rest(transparent)
        rigid = self._still_head @ pose.rotation.T + pose.translation  # the portrait's own expression in this pose
        head = self._render_head(posed, rigid)
        sheet = self._render_sheet(pose, posed - rigid)
        picture = sheet + head[..., 3:] * (head[..., :3] - sheet)
        if transparent:
            picture = np.concatenate([picture, 255 * self._outline(posed)], axis=2)
        return np.asarray(np.round(picture).clip(0, 255).astype(np.uint8))

    def _at_rest(self, transparent: bool) -> Array:
        if not transparent:
            return self.image.copy()
        outline = np.round(255 * self._outline(self.projection.still)).astype(np.uint8)
        return np.concatenate([self.image, outline], axis=2)

    def pose_vertices(self, pose: FacePose) -> Array:
        """Camera-frame vertices (V, 3) under ``pose``; the base of the neck stays where the photograph has it."""
        moved = self.projection.head.posed(self.fit.identity, pose.actions, pose.gaze) @ pose.rotation.T + pose.translation
        follow = self.projection.follow[:, None]
        return np.asarray(follow * moved + (1 - follow) * self.projection.still)

    def _render_head(self, posed: Array, rigid: Array) -> Array:
        """Colour and opacity of the face (H, W, 4); ``rigid`` (V, 3) is the portrait's own expression in the same pose."""
        projection, camera = self.projection, self.camera
        points = camera.project(posed)
        opacity = np.maximum(smoothstep(0.0, 0.25, self._facing(posed)), self._whole) * self._solid
        distance = np.linalg.norm(points[:, :2] - projection.place[:, :2], axis=1)
        calm = 1 - smoothstep(STILL_LOW, STILL_HIGH, distance)
        changed = smoothstep(SAME_LOW, SAME_HIGH, np.linalg.norm(posed - rigid, axis=1))
        trust = projection.trust * (1 - projection.folded * changed)
        factors = np.stack([trust, projection.mirror_trust, calm, opacity, 1 - changed], axis=1)
        raster = rasterise(points, projection.triangles, camera.height, camera.width)
        face = self._shade(raster, factors)
        self._smooth_edges(face, points, factors)
        return face

    def _smooth_edges(self, face: Array, points: Array, factors: Array) -> None:
        """Average four samples a pixel where different parts meet around eyes and mouth, in ``face`` (H, W, 4)."""
        left, top, right, bottom = self._window(points)
        if right <= left or bottom <= top:
            return
        height, width = bottom - top, right - left
        fine = rasterise((points - [left, top, 0]) * [2, 2, 1], self.projection.triangles, 2 * height, 2 * width)
        parts = np.where(fine.covered, self.projection.part[fine.triangle], 255).reshape(height, 2, width, 2)
        edge = parts.max((1, 3)) != parts.min((1, 3))
        wanted = np.where(np.repeat(np.repeat(edge, 2, axis=0), 2, axis=1), fine.triangle, np.int32(-1))
        shaded = self._shade(Raster(wanted, fine.barycentric, fine.depth), factors).reshape(height, 2, width, 2, 4)
        opacity = shaded[..., 3:]
        total = opacity.sum((1, 3))
        colour = (shaded[..., :3] * opacity).sum((1, 3)) / np.maximum(total, 1e-6)
        face[top:bottom, left:right][edge] = np.concatenate([colour, total / 4], axis=2)[edge]

    def _outline(self, posed: Array) -> Array:
        """Opacity (H, W, 1) of the whole head."""
        projection = self.projection
        opacity = smoothstep(0.0, 0.25, self._facing(posed)) * smoothstep(0.8, 1.0, projection.follow)
        opacity = np.where(self._kind == SKIN, opacity, 1.0)
        raster = rasterise(self.camera.project(posed), projection.triangles, self.camera.height, self.camera.width)
        return raster.interpolate(projection.triangles, opacity[:, None])

    def _facing(self, posed: Array) -> Array:
        """(V,) cosine between each vertex's normal and the line of sight."""
        view = -posed / np.linalg.norm(posed, axis=1, keepdims=True)
        return np.asarray((vertex_normals(posed, self.projection.triangles) * view).sum(1))

    def _shade(self, raster: Raster, factors: Array) -> Array:
        projection = self.projection
        return np.asarray(
            texture(
                raster.triangle, raster.barycentric, projection.triangles, projection.kind, self._own, self._partner,
                factors, projection.fallback, self.image, projection.depth, projection.margin, RIM,
            )
        )  # fmt: skip

    def _window(self, points: Array) -> tuple[int, int, int, int]:
        """left, top, right, bottom of the pixels around eyes and mouth."""
        inner = points[self._kind != SKIN, :2]
        low = np.maximum(np.floor(inner.min(0)).astype(int) - 3, 0)
        high = np.minimum(np.ceil(inner.max(0)).astype(int) + 3, [self.camera.width, self.camera.height])
        return int(low[0]), int(low[1]), int(high[0]), int(high[1])

    def _prepare_sheet(self) -> None:
        """Knots of the elastic sheet in the head frame, and how far each follows the head.

        On the head a knot lies on it; beside it, it sinks from the silhouette to the plane through the middle of the skull.
        """
        height, width = self.camera.height, self.camera.width
        step = max(GRID, round(max(width, height) / 96))
        xs = np.linspace(0, width, max(width // step, 2) + 1)
        ys = np.linspace(0, height, max(height // step, 2) + 1)
        u, v = np.meshgrid(xs, ys)
        rows, columns = np.clip(v, 0, height - 1).astype(int), np.clip(u, 0, width - 1).astype(int)
        covered = self.projection.source_kind > 0
        head_width = float(np.ptp(self.projection.place[self.projection.follow > 0.9, 0]))
        away, nearest = distance_transform_edt(~covered, return_indices=True)
        away = away[rows, columns]
        middle = -float(self.fit.translation[2])
        silhouette = self.projection.depth[tuple(nearest[:, rows, columns])]
        beside = smoothstep(0.0, DEPTH_REACH * head_width, away)
        depth = gaussian_filter(silhouette * (1 - beside) + middle * beside, 1.0)
        ray = np.stack([u - self.camera.centre[0], self.camera.centre[1] - v, np.full_like(u, -self.camera.focal)], axis=-1)
        place = (ray * depth[..., None] / self.camera.focal - self.fit.translation) @ self.fit.rotation
        near = 1 - smoothstep(REACH_LOW * head_width, REACH_HIGH * head_width, away)
        border = np.minimum(np.minimum(u, width - u), v) / max(width, height)
        turning = smoothstep(NECK_LOW, NECK_HIGH, place[..., 1] + 0.6 * np.maximum(place[..., 2], 0))
        self._knots = np.stack([u, v], axis=-1)
        self._knot_head = place
        self._knot_follow = near * turning * smoothstep(0.0, BORDER, border)
        here = rasterise(self.projection.place, self.projection.triangles, height, width)
        triangle = here.triangle[rows, columns]
        on_skin = (triangle >= 0) & (self.projection.kind[triangle] == SKIN)
        self._knot_corners = self.projection.triangles[np.maximum(triangle, 0)]
        self._knot_weights = here.barycentric[rows, columns] * on_skin[..., None]
        index = np.arange(u.size).reshape(u.shape)
        a, b, c, d = index[:-1, :-1], index[:-1, 1:], index[1:, 1:], index[1:, :-1]
        halves = [np.stack([a, b, c], -1).reshape(-1, 3), np.stack([a, c, d], -1).reshape(-1, 3)]
        self._knot_triangles = np.concatenate(halves).astype(np.int32)

    def _render_sheet(self, pose: FacePose, change: Array) -> Array:
        """The photograph (H, W, 3) float32, stretched so that hair and neck follow the head, and the skin its expression."""
        at_rest = self._knot_head @ self.fit.rotation.T + self.fit.translation
        expression = (change[self._knot_corners] * self._knot_weights[..., None]).sum(2)
        moved = self.camera.project(self._knot_head @ pose.rotation.T + pose.translation + expression)
        shift = (moved - self.camera.project(at_rest))[..., :2] * self._knot_follow[..., None]
        if np.abs(shift).max() < 1e-6:
            return self._photograph
        depth = self._knot_follow * moved[..., 2] + (1 - self._knot_follow) * (moved[..., 2].max() + 0.1)
        points = np.concatenate([self._knots + shift, depth[..., None]], axis=2).reshape(-1, 3)
        raster = rasterise(points, self._knot_triangles, self.camera.height, self.camera.width)
        # weighted by depth, so that the ratio is linear in the picture
        places = np.concatenate([self._knots.reshape(-1, 2) * points[:, 2:], points[:, 2:]], axis=1)
        return np.asarray(
            warp(self._photograph, raster.triangle, raster.barycentric, self._knot_triangles, places.astype(np.float32))
        )


def solid_vertices(projection: Projection) -> Array:
    """(V,) 1 in the middle of the face, which opens and closes, falling to 0 at its sides, which the sheet carries better."""
    head = projection.head
    across, up, depth = head.vertices.T
    front = smoothstep(0.035, 0.062, depth) * (1 - smoothstep(0.04, 0.065, up)) * (1 - smoothstep(0.045, 0.062, np.abs(across)))
    solid = np.where(head.region("scalp", "ears"), 0.0, front * smoothstep(0.8, 1.0, projection.follow))
    return np.asarray(np.where(projection.kind_of_vertex == SKIN, solid, 1.0))


def choose_frame(portrait: Portrait, size: int, framing: str) -> Frame:
    """The window of the photograph that a render shows, never larger than the photograph's own pixels."""
    height, width = portrait.image.shape[:2]
    if framing == "photo":
        scale = 1.0 if size == 0 else min(size / max(width, height), 1.0)
        return Frame(0.0, 0.0, scale, max(round(width * scale), 1), max(round(height * scale), 1))
    points = portrait.fit.landmarks[:468, :2]
    low, high = points.min(0), points.max(0)
    side = min(FACE_MARGIN * float(max(high - low)), float(min(width, height)))
    centre = (low + high) / 2 - [0, 0.08 * side]
    left = float(np.clip(centre[0] - side / 2, 0, width - side))
    top = float(np.clip(centre[1] - side / 2, 0, height - side))
    target = round(side) if size == 0 else size
    return Frame(left, top, target / side, target, target)
