"""One photograph of the person, projected on the head: the colour of every point of a posed head; and skin of the lids that is folded in it, and
unfolds as the eyes close."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from mimaface.face.fit import FittedFace
from mimaface.face.head import Head, gaze_rotation
from mimaface.face.lids import lower_lids
from mimaface.face.pose import FacePose
from mimaface.geometry.camera import Camera
from mimaface.geometry.distances import distances
from mimaface.geometry.interpolation import pixels_under, smoothstep
from mimaface.geometry.rasterise import Raster, vertex_normals
from mimaface.protocol.arrays import Array

from . import tuning
from .eyes import around_eyes, lid_tables
from .fallback import surface_coordinates
from .kernels import INNER, LID_BINS, MOUTH, OPACITY, SHADE, SKIN, add_grain, texture
from .mouth import light_tongue, lips_shadow, teeth_coloured, tongue_pink, tongue_shadow, touching
from .projection import Projection, project_portrait, turning


@dataclass(frozen=True, eq=False)
class Look:
    """The inputs of shading one frame; for shapes see :func:`mimaface.reprojection.kernels.texture`.

    painted (V,): share of a vertex that no pixel shows, because lids unfold or the mouth opens there; eyes (2, S, S, 3): pictures of the
    eyes, shaded by the lids; shadow (V,): share of the light that a tongue takes, without elements where none is out.
    """

    factors: Array
    fallback: Array
    turns: Array
    lids: Array
    painted: Array
    eyes: Array
    shadow: Array

    def opaque(self, follow: Array) -> Look:
        """Returns the look of the whole head, opaque down to the neck; follow (V,): share of the head's motion that a vertex follows."""
        factors = self.factors.copy()
        factors[:, OPACITY] = smoothstep(*tuning.TURNS, follow)
        factors[:, INNER] = 1.0
        return replace(self, factors=factors)


class Photograph:
    """A photograph projected on the head, ready to be looked up in any pose; about 0.2 s at 512²."""

    def __init__(self, image: Array, fit: FittedFace, camera: Camera, alpha: Array | None, relaxed: Array | None = None) -> None:
        """See :func:`mimaface.reprojection.projection.project_portrait`."""
        self.fit = fit
        self.projection = project_portrait(image, fit, camera, alpha, relaxed)
        head = self.projection.head
        self._kind = self.projection.kind_of_vertex
        self._solid = solid_vertices(self.projection, self._kind)
        if self.projection.drawn:  # a drawn chin may be shorter
            matte = self.projection.matte
            self._solid = self._solid * matte[pixels_under(self.projection.place, *matte.shape)]
        self._whole = (head.region("lips", "lids", "inside") | (self._kind != SKIN)) * 1.0
        self.still_head = (self.projection.still - fit.translation) @ fit.rotation
        self._touch = np.maximum(touching(self.still_head), 1e-3)
        self._surface = surface_coordinates()
        self._pink = tongue_pink(self.projection.fallback, self.projection.tone)
        self._lids = Lids.around(self.projection)
        self._eye_centres = head.eye_centres_for(fit.identity)
        self._lower_lids = lower_lids(self.still_head, self._eye_centres)
        at_rest = lid_tables(self.still_head, self._eye_centres)
        self._gap = at_rest[:, LID_BINS // 4 : -(LID_BINS // 4)].mean(1) - self._lower_lids
        lashes = self.projection.lashes
        below = tuning.LASHES_BELOW[0] + tuning.LASHES_BELOW[1] * lashes.length
        self._lash = np.array([*lashes.colour, tuning.LASH_LINE, below, lashes.density])
        self._side = (head.vertices[:, 0] <= 0).astype(int)
        place, partner = self.projection.place, self.projection.mirror_place
        self._own = np.concatenate([place[:, :2] * place[:, 2:], place[:, 2:]], axis=1)
        self._partner = np.concatenate([partner[:, :2] * partner[:, 2:], partner[:, 2:]], axis=1)

    def paint_teeth(self, ivory: Array) -> None:
        """Gives teeth that no pixel shows the colour ``ivory`` (3,), which they have in another photograph of the person."""
        part, colours = teeth_coloured(ivory)
        self.projection.fallback[part] = self.projection.tone.painted(colours)

    def in_pose(self, pose: FacePose) -> Array:
        """(V, 3) metres, camera frame: the photograph's own expression, turned and moved as ``pose`` is."""
        return np.asarray(self.still_head @ pose.rotation.T + pose.translation)

    def look(self, posed: Array, rigid: Array, pose: FacePose, distance: Array | None, tongue: float = 0.0) -> Look:
        """What shading needs of vertices ``posed`` (V, 3) that are ``rigid`` (V, 3) of :meth:`in_pose` without their expression, and lie
        ``distance`` (V,) pixels from where they are in the photograph, if that is the portrait. tongue: how far that is out, 0 to 1."""
        projection = self.projection
        facing = facing_camera(posed, projection.triangles)
        opacity = np.maximum(smoothstep(*tuning.FACE_FACING, facing), self._whole) * self._solid
        calm = np.zeros(len(posed)) if distance is None else 1 - smoothstep(*tuning.STILL, distance)
        moved = distances(posed, rigid, 3)
        changed = smoothstep(*tuning.CHANGED, moved)
        lips = np.percentile(moved[projection.head.region("lips")], 80)
        inside = self._kind >= MOUTH
        if distance is None:
            opened = smoothstep(*tuning.REFERENCE_OPENED, lips)
            changed = np.where(inside, opened, changed)
        else:
            opened = smoothstep(*tuning.OPENED, lips)
            changed = np.where(inside, np.maximum(changed, opened), changed)
        calm = np.where(inside, calm * (1 - opened), calm)
        unfolded = self._lids.unfolded(posed) * changed
        mirror_trust = projection.mirror_trust
        if projection.drawn:
            calm = np.where(inside, calm, np.maximum(calm, 1 - changed))  # no part of a drawing hides another
        if projection.flat:  # a drawn eye is larger than its lids: all the skin around it takes its place as they move
            unfolded = np.maximum(unfolded, around_closing_eyes(moved))
            calm, mirror_trust = calm * (1 - unfolded), mirror_trust * (1 - unfolded)
        shape = (posed - pose.translation) @ pose.rotation
        lids = lid_tables(shape, self._eye_centres)
        gap = lids[:, LID_BINS // 4 : -(LID_BINS // 4)].mean(1) - self._lower_lids
        closed = smoothstep(*tuning.LASHES_SEEN, 1 - gap / np.maximum(self._gap, 1e-3)) * smoothstep(*tuning.WAS_OPEN, self._gap)
        lash_away, lash = projection.lashes.over(shape, self._eye_centres, closed)
        behind = projection.lashes.darkened * closed[self._side]
        touch = touching(shape)
        behind = np.maximum(behind, projection.line * np.clip(1 - touch / self._touch, 0, 1))
        calm, mirror_trust = calm * (1 - behind), mirror_trust * (1 - behind)
        trust = projection.trust * (1 - np.maximum(unfolded, behind))
        factors = np.stack(
            [trust, mirror_trust, calm, opacity, 1 - changed, projection.inner, self._mouth_shade(shape, facing), lash, lash_away],
            axis=1,
        )
        fallback = projection.fallback * lips_shadow(touch, projection.correction.parted)[:, None]
        light_tongue(fallback, factors[:, SHADE], self._pink, shape, tongue)
        painted = np.maximum(unfolded, changed * inside)
        light = tuning.NARROW_LIGHT + (1 - tuning.NARROW_LIGHT) * smoothstep(*tuning.NARROW, gap)
        eyes = projection.eyes * light.astype(np.float32)[:, None, None, None]
        return Look(factors, fallback, gaze_rotation(pose.gaze), lids, painted, eyes, tongue_shadow(shape, tongue))

    def shade(self, raster: Raster, look: Look, pixel: float) -> Array:
        """Colour, opacity and the share that no pixel shows (h, w, 5) of a raster whose pixels are ``pixel`` metres wide at the head."""
        projection = self.projection
        layer = texture(
            raster.triangle, raster.barycentric, projection.triangles, projection.kind, self._own, self._partner,
            look.factors, look.fallback, self._surface, projection.person, projection.inner_person, projection.source, tuning.KERNELS,
            look.eyes, look.turns, look.lids, projection.dark, projection.gum, self._lash, pixel,
        )  # fmt: skip
        if len(look.shadow):
            layer[..., :3] *= 1 - raster.interpolate(projection.triangles, look.shadow[:, None])
        grain = projection.grain
        add_grain(layer, raster.triangle, raster.barycentric, projection.triangles, grain.place, grain.detail)
        return np.asarray(layer)

    def _mouth_shade(self, shape: Array, facing: Array) -> Array:
        """(V,) how much light reaches a point of ``shape`` (V, 3), head frame, that lies behind the lips."""
        lips = np.percentile(shape[self.projection.head.region("lips"), 2], tuning.LIPS_FRONT)
        behind = np.maximum(lips - shape[:, 2] - tuning.MOUTH_LIT, 0)
        faced = tuning.MOUTH_AMBIENT + (1 - tuning.MOUTH_AMBIENT) * np.clip(facing, 0, 1)
        return np.asarray(np.exp(-behind / tuning.MOUTH_DARK) * faced)


def facing_camera(posed: Array, triangles: Array) -> Array:
    """(V,) cosine between each vertex's normal and the line of sight."""
    view = -posed / np.linalg.norm(posed, axis=1, keepdims=True)
    return np.asarray((vertex_normals(posed, triangles) * view).sum(1))


def solid_vertices(projection: Projection, kind: Array) -> Array:
    """(V,) 1 in the middle of the face, where eyes and mouth open and close, falling to 0 at its sides, which the person warp shows better."""
    head = projection.head
    across, up, depth = head.vertices.T
    front = smoothstep(*tuning.SOLID_DEPTH, depth) * (1 - smoothstep(*tuning.SOLID_UP, up))
    front = front * (1 - smoothstep(*tuning.SOLID_ACROSS, np.abs(across)))
    follow = smoothstep(*tuning.SOLID_FOLLOW, turning(head.vertices))
    solid = np.where(head.region("scalp", "ears"), 0.0, front * projection.above_chin * follow)
    return np.asarray(np.where(kind == SKIN, solid, 1.0))


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
