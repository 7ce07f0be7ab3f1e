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

from .portrait import Portrait
from .pose import FacePose
from .projection import NECK_HIGH, NECK_LOW, RIM, SKIN, Projection, project_portrait, texture, warp
from .rasterise import rasterise, vertex_normals
from .sampling import smoothstep

Array = NDArray[Any]
GRID = 6  # pixels between the knots of the sheet
DEPTH_REACH, BORDER = 0.25, 0.06  # head widths over which the sheet sinks; share of the picture that is held at its border
REACH_LOW, REACH_HIGH = 0.30, 1.30  # head widths from the head: hair this near follows fully, beyond this not at all
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
        self._whole = (self.projection.head.region("lips", "lids", "inside") | (self.projection.kind_of_vertex != SKIN)) * 1.0
        self._prepare_sheet()
        place = self.projection.place
        self._own = np.concatenate([place[:, :2] * place[:, 2:], place[:, 2:]], axis=1)
        place = self.projection.mirror_place
        self._partner = np.concatenate([place[:, :2] * place[:, 2:], place[:, 2:]], axis=1)

    def render(self, pose: FacePose, transparent: bool = False) -> Array:
        """RGB (H, W, 3) uint8 under ``pose``; with ``transparent`` RGBA (H, W, 4) in which only the head is opaque."""
        posed = self.pose_vertices(pose)
        head = self._render_head(posed)
        alpha = head[..., 3:]
        if transparent:
            return np.round(np.concatenate([head[..., :3], 255 * alpha], axis=2)).clip(0, 255).astype(np.uint8)
        sheet = self._render_sheet(pose)
        return np.asarray(np.round(sheet + alpha * (head[..., :3] - sheet)).clip(0, 255).astype(np.uint8))

    def pose_vertices(self, pose: FacePose) -> Array:
        """Camera-frame vertices (V, 3) under ``pose``; the base of the neck stays where the photograph has it."""
        moved = self.projection.head.posed(self.fit.identity, pose.actions, pose.gaze) @ pose.rotation.T + pose.translation
        follow = self.projection.follow[:, None]
        return np.asarray(follow * moved + (1 - follow) * self.projection.still)

    def _render_head(self, posed: Array) -> Array:
        projection = self.projection
        points = self.camera.project(posed)
        raster = rasterise(points, projection.triangles, self.camera.height, self.camera.width)
        normals = vertex_normals(posed, projection.triangles)
        view = -posed / np.linalg.norm(posed, axis=1, keepdims=True)
        facing = (normals * view).sum(1)
        opacity = np.maximum(smoothstep(0.0, 0.25, facing), self._whole) * self._solid
        distance = np.linalg.norm(points[:, :2] - projection.place[:, :2], axis=1)
        calm = 1 - smoothstep(STILL_LOW, STILL_HIGH, distance)
        factors = np.stack([projection.trust, projection.mirror_trust, calm, opacity], axis=1)
        return np.asarray(
            texture(
                raster.triangle, raster.barycentric, projection.triangles, projection.kind, self._own, self._partner,
                factors, projection.fallback, self.image, projection.depth, projection.source_kind, projection.margin, RIM,
            )
        )  # fmt: skip

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
        index = np.arange(u.size).reshape(u.shape)
        a, b, c, d = index[:-1, :-1], index[:-1, 1:], index[1:, 1:], index[1:, :-1]
        halves = [np.stack([a, b, c], -1).reshape(-1, 3), np.stack([a, c, d], -1).reshape(-1, 3)]
        self._knot_triangles = np.concatenate(halves).astype(np.int32)

    def _render_sheet(self, pose: FacePose) -> Array:
        """The photograph (H, W, 3) float32, stretched so that hair and neck follow the head."""
        at_rest = self._knot_head @ self.fit.rotation.T + self.fit.translation
        moved = self.camera.project(self._knot_head @ pose.rotation.T + pose.translation)
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
    """(V,) 1 where the posed head is drawn, 0 where the sheet does better: hair, ears and neck have no surface of their own."""
    head = projection.head
    solid = np.where(head.region("scalp", "ears"), 0.0, smoothstep(0.8, 1.0, projection.follow))
    depth = head.vertices[:, 2]
    known = np.maximum(np.maximum(projection.trust, projection.mirror_trust), smoothstep(0.045, 0.07, depth))
    return np.asarray(solid * np.where(projection.kind_of_vertex == SKIN, known * smoothstep(-0.02, 0.015, depth), 1.0))


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
