"""One photograph of the person: how every point of a posed head looks in it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mimaface.face.fit import FittedFace
from mimaface.face.head import gaze_rotation
from mimaface.face.pose import FacePose
from mimaface.geometry.camera import Camera
from mimaface.geometry.interpolation import smoothstep
from mimaface.geometry.rasterise import Raster, vertex_normals

from .eyes_and_mouth import lid_tables, lips_shadow, surface_coordinates
from .kernels import INNER, MOUTH, OPACITY, RIM, SKIN, texture
from .lids import Lids, around_closing_eyes
from .projection import Projection, project_portrait

Array = NDArray[Any]
# metres of non-rigid motion between which a vertex loses its photographed pixel. Higher: wrinkles stay where the skin has moved away
SAME_LOW, SAME_HIGH = 0.0006, 0.0025
# metres that most of the lips have moved, between which the mouth's inside is drawn anew. Higher: the photograph's teeth stay longer
OPENED = 0.0008, 0.0030
# pixels that a vertex has moved, between which it leaves its own photographed pixel. Higher: slow moves blur over the still photograph
STILL_LOW, STILL_HIGH = 0.5, 3.0
# metres behind the lips up to which a mouth is lit, and over which light falls to 1/e from there. Higher: a lighter throat
MOUTH_LIT, MOUTH_DARK = 0.009, 0.020
# share of following the head between which the warped person gives way to the head. Higher: more of the neck is the warp's
TURNS_LOW, TURNS_HIGH = 0.3, 0.9


@dataclass(frozen=True, eq=False)
class Look:
    """What shading needs of one frame; see :func:`mimaface.reprojection.kernels.texture` for shapes. painted (V,): how far a vertex has
    nothing of the photograph, because lids unfold or the mouth opens there."""

    factors: Array
    fallback: Array
    turns: Array
    lids: Array
    painted: Array

    def opaque(self, follow: Array) -> Look:
        """The head as a whole: opaque down to the neck, which does not turn with it; follow (V,): how far a vertex does."""
        factors = self.factors.copy()
        factors[:, OPACITY] = smoothstep(TURNS_LOW, TURNS_HIGH, follow)
        factors[:, INNER] = 1.0
        return replace(self, factors=factors)


class Photograph:
    """A photograph projected on the head, ready to be looked up in any pose; about 0.2 s at 512²."""

    def __init__(self, image: Array, fit: FittedFace, camera: Camera, alpha: Array | None) -> None:
        """See :func:`mimaface.reprojection.projection.project_portrait`."""
        self.fit = fit
        self.projection = project_portrait(image, fit, camera, alpha)
        head = self.projection.head
        self._kind = self.projection.kind_of_vertex
        self._solid = solid_vertices(self.projection, self._kind)
        self._whole = (head.region("lips", "lids", "inside") | (self._kind != SKIN)) * 1.0
        self._still_head = (self.projection.still - fit.translation) @ fit.rotation
        self._surface = surface_coordinates()
        self._lids = Lids.around(self.projection)
        self._eye_centres = head.eye_centres_for(fit.identity)
        place, partner = self.projection.place, self.projection.mirror_place
        self._own = np.concatenate([place[:, :2] * place[:, 2:], place[:, 2:]], axis=1)
        self._partner = np.concatenate([partner[:, :2] * partner[:, 2:], partner[:, 2:]], axis=1)

    def in_pose(self, pose: FacePose) -> Array:
        """(V, 3) metres, camera frame: the photograph's own expression, turned and moved as ``pose`` is."""
        return np.asarray(self._still_head @ pose.rotation.T + pose.translation)

    def look(self, posed: Array, rigid: Array, pose: FacePose, distance: Array) -> Look:
        """What shading needs of vertices ``posed`` (V, 3) that are ``rigid`` (V, 3) of :meth:`in_pose` without their expression, and lie
        ``distance`` (V,) pixels from where they are in the photograph."""
        projection = self.projection
        facing = facing_camera(posed, projection.triangles)
        opacity = np.maximum(smoothstep(0.0, 0.25, facing), self._whole) * self._solid
        calm = 1 - smoothstep(STILL_LOW, STILL_HIGH, distance)
        moved = np.linalg.norm(posed - rigid, axis=1)
        changed = smoothstep(SAME_LOW, SAME_HIGH, moved)
        opened = smoothstep(*OPENED, np.percentile(moved[projection.head.region("lips")], 80))
        inside = self._kind >= MOUTH
        changed = np.where(inside, np.maximum(changed, opened), changed)
        calm = np.where(inside, calm * (1 - opened), calm)
        unfolded = self._lids.unfolded(posed) * changed
        mirror_trust = projection.mirror_trust
        if projection.flat:  # a drawn eye is larger than its lids: all the skin around it takes its place as they move
            unfolded = np.maximum(unfolded, around_closing_eyes(moved))
            calm, mirror_trust = calm * (1 - unfolded), mirror_trust * (1 - unfolded)
        trust = projection.trust * (1 - unfolded)
        shape = (posed - pose.translation) @ pose.rotation
        factors = np.stack(
            [trust, mirror_trust, calm, opacity, 1 - changed, projection.inner, self._mouth_shade(shape, facing)],
            axis=1,
        )
        fallback = projection.fallback * lips_shadow(shape, projection.correction.parted)[:, None]
        painted = np.maximum(unfolded, changed * inside)
        return Look(factors, fallback, gaze_rotation(pose.gaze), lid_tables(shape, self._eye_centres), painted)

    def shade(self, raster: Raster, look: Look, pixel: float) -> Array:
        """Colour, opacity and the share that no pixel shows (h, w, 5) of a raster whose pixels are ``pixel`` metres wide at the head."""
        projection = self.projection
        return np.asarray(
            texture(
                raster.triangle, raster.barycentric, projection.triangles, projection.kind, self._own, self._partner,
                look.factors, look.fallback, self._surface, projection.person, projection.inner_person, projection.depth,
                projection.margin, RIM,
                projection.eyes, look.turns, look.lids, projection.dark, projection.gum, pixel,
            )
        )  # fmt: skip

    def _mouth_shade(self, shape: Array, facing: Array) -> Array:
        """(V,) how much light reaches a point of ``shape`` (V, 3), head frame, that lies behind the lips."""
        lips = np.percentile(shape[self.projection.head.region("lips"), 2], 60)
        behind = np.maximum(lips - shape[:, 2] - MOUTH_LIT, 0)
        return np.asarray(np.exp(-behind / MOUTH_DARK) * (0.65 + 0.35 * np.clip(facing, 0, 1)))


def facing_camera(posed: Array, triangles: Array) -> Array:
    """(V,) cosine between each vertex's normal and the line of sight."""
    view = -posed / np.linalg.norm(posed, axis=1, keepdims=True)
    return np.asarray((vertex_normals(posed, triangles) * view).sum(1))


def solid_vertices(projection: Projection, kind: Array) -> Array:
    """(V,) 1 in the middle of the face, which opens and closes, falling to 0 at its sides, which the sheet carries better."""
    head = projection.head
    across, up, depth = head.vertices.T
    front = smoothstep(0.035, 0.062, depth) * (1 - smoothstep(0.04, 0.065, up)) * (1 - smoothstep(0.045, 0.062, np.abs(across)))
    solid = np.where(head.region("scalp", "ears"), 0.0, front * projection.above_chin * smoothstep(0.8, 1.0, projection.follow))
    return np.asarray(np.where(kind == SKIN, solid, 1.0))
