"""The proxy engine: the photographed head posed anew over the photograph, without a network that generates.

Four layers, from the back: the background, which stays; the posed head with its hair (:mod:`mimaface.reprojection.hair`), textured by
projection; the person as an elastic sheet (:mod:`mimaface.reprojection.person_warp`), torn where it would be stretched; and the middle of the posed
face, which opens and closes, with what no photograph shows painted (:mod:`mimaface.reprojection.eyes_and_mouth`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mimaface.face.head import gaze_rotation
from mimaface.face.portrait import Portrait
from mimaface.face.pose import FacePose
from mimaface.geometry.interpolation import smoothstep
from mimaface.geometry.rasterise import Raster, rasterise, vertex_normals
from mimaface.geometry.threads import one_thread
from mimaface.pictures import MATTE

from .crops import choose_canvas, choose_window, cut_out
from .cutout import Cutout, whole_person
from .edges import inner_edge, seams
from .eyes_and_mouth import lid_tables, lips_shadow, surface_coordinates
from .kernels import INNER, MOUTH, OPACITY, RIM, SKIN, compose, texture
from .lids import Lids, around_closing_eyes
from .matte import OPAQUE, background_behind
from .person_warp import HALO, PersonWarp
from .projection import Projection, project_portrait

Array = NDArray[Any]
# metres of non-rigid motion between which a vertex loses its photographed pixel. Higher: wrinkles stay where the skin has moved away
SAME_LOW, SAME_HIGH = 0.0006, 0.0025
# metres that most of the lips have moved, between which the mouth's inside is drawn anew. Higher: the photograph's teeth stay longer
OPENED = 0.0008, 0.0030
AT_REST = 0.01  # pixels: a pose this near to the portrait's own is the photograph. Higher: slow motion begins with a jump
# pixels that a vertex has moved, between which it leaves its own photographed pixel. Higher: slow moves blur over the still photograph
STILL_LOW, STILL_HIGH = 0.5, 3.0
# metres behind the lips up to which a mouth is lit, and over which light falls to 1/e from there. Higher: a lighter throat
MOUTH_LIT, MOUTH_DARK = 0.009, 0.020
MOUTH_FRONT = 0.06  # metres in front of the skull's middle, behind which nothing is at the mouth's edge. Higher: rougher edges of teeth
SEAM = 0.02  # head widths at the warped person's edge that are not all person. Higher: more of the edge is the head's own render
# share of following the head between which the warped person gives way to the head. Higher: more of the neck is the warp's
TURNS_LOW, TURNS_HIGH = 0.3, 0.9


@dataclass(frozen=True, eq=False)
class Look:
    """What shading needs of one frame; see :func:`mimaface.reprojection.kernels.texture` for shapes."""

    factors: Array
    fallback: Array
    turns: Array
    lids: Array


class PosedFrame(NamedTuple):
    """The photograph on the posed head: ``picture`` (H, W, 3 or 4) uint8, its colours over the photograph's background even where it has
    an alpha; its ``provenance`` (H, W, 3) uint8; and the head's ``vertices`` (V, 3), metres, camera frame.

    Red of the provenance is the share of each pixel that is the photographed person, green what is inpainted, for no pixel of the
    photograph shows it, blue the photographed background. The middle of the face, with eyes and teeth, counts as photographed.
    """

    picture: Array
    provenance: Array
    vertices: Array


class Reprojector:
    """Renders one portrait under any pose at one output size. Build once (0.3 s at 512²), then call :meth:`render`."""

    def __init__(self, portrait: Portrait, size: int = 0, framing: str = "photo") -> None:
        fit = portrait.fit
        self.fit = fit
        self.crop = choose_window(portrait, size, framing)
        self.image = cut_out(portrait.image, self.crop)
        canvas = choose_canvas(portrait, self.crop)
        left, top = round((canvas.left - self.crop.left) * canvas.scale), round((canvas.top - self.crop.top) * canvas.scale)
        self.view = (
            max(-left, 0),
            max(-top, 0),
            min(self.crop.width - left, canvas.width),
            min(self.crop.height - top, canvas.height),
        )
        left, top = max(left, 0), max(top, 0)
        self._part = np.s_[top : top + self.view[3] - self.view[1], left : left + self.view[2] - self.view[0]]  # of the output
        self.camera = fit.camera.window(canvas.left, canvas.top, canvas.scale, canvas.width, canvas.height)
        image = self.image if canvas == self.crop else cut_out(portrait.image, canvas)
        self._alpha = None if portrait.alpha is None else cut_out(portrait.alpha, self.crop)
        alpha = None if portrait.alpha is None else cut_out(portrait.alpha, canvas)
        self._cutouts: dict[bool, Cutout] = {}
        self.projection = project_portrait(image, fit, self.camera, alpha)
        photo_width = portrait.image.shape[1]
        right = photo_width - canvas.left - canvas.width / canvas.scale
        held = canvas.left * canvas.scale, canvas.top * canvas.scale, max(right, 0.0) * canvas.scale
        self._sheet = PersonWarp(self.projection, fit, held)
        self._kind = self.projection.kind_of_vertex
        self._seam = max(round(SEAM * self.projection.head_width), 1)  # pixels
        self._solid = solid_vertices(self.projection, self._kind)
        self._whole = (self.projection.head.region("lips", "lids", "inside") | (self._kind != SKIN)) * 1.0
        self._still_head = (self.projection.still - fit.translation) @ fit.rotation
        head = self.projection.head
        mouth = np.flatnonzero((self._kind >= MOUTH) & (head.vertices[:, 2] > MOUTH_FRONT))
        self._openings = [head.vertices_of("eye_left"), head.vertices_of("eye_right"), mouth]
        self._surface = surface_coordinates()
        self._lids = Lids.around(self.projection)
        self._eye_centres = self.projection.head.eye_centres_for(fit.identity)
        place, partner = self.projection.place, self.projection.mirror_place
        self._own = np.concatenate([place[:, :2] * place[:, 2:], place[:, 2:]], axis=1)
        self._partner = np.concatenate([partner[:, :2] * partner[:, 2:], partner[:, 2:]], axis=1)

    def render(self, pose: FacePose, transparent: bool = False) -> Array:
        """RGB (H, W, 3) uint8 under ``pose``; RGBA (H, W, 4) with ``transparent``, in which only the person is opaque, and with a
        photograph that has an alpha."""
        return self.finished(self.posed(pose, transparent).picture, transparent)

    def finished(self, picture: Array, transparent: bool) -> Array:
        """A picture of :meth:`posed`, (H, W, 3 or 4) uint8, without what shines through its alpha."""
        return picture if picture.shape[2] == 3 else self._cutout(transparent).straight(picture)

    def posed(self, pose: FacePose, transparent: bool = False) -> PosedFrame:
        """The frame of one pose, with an alpha as :meth:`render` has it."""
        with one_thread():
            vertices = self.pose_vertices(pose)
            return PosedFrame(*self._render(pose, vertices, transparent), vertices)

    def _render(self, pose: FacePose, posed: Array, transparent: bool) -> tuple[Array, Array]:
        if np.abs(self.camera.project(posed)[:, :2] - self.projection.place[:, :2]).max() < AT_REST:
            return self._at_rest(transparent)
        rigid = self._still_head @ pose.rotation.T + pose.translation  # the portrait's own expression in this pose
        left, top, right, bottom = self.view
        sheet, kept = self._sheet.render(pose, posed - rigid, self.view)
        shell, face, kept = self._render_head(posed, rigid, pose, sheet[..., 3], kept)
        behind, invented = (values[top:bottom, left:right] for values in (self._sheet.behind, self._sheet.invented))
        picture, provenance, cover = compose(behind, invented, shell, sheet, kept, face)
        return self._pasted(picture, provenance, cover, transparent)

    def _at_rest(self, transparent: bool) -> tuple[Array, Array]:
        left, top, right, bottom = self.view
        person = np.round(255 * self._sheet.opacity[top:bottom, left:right]).astype(np.uint8)
        provenance = np.stack([person, np.zeros_like(person), 255 - person], axis=-1)
        return self._pasted(self.image[self._part], provenance, None, transparent)

    def _pasted(self, picture: Array, provenance: Array, cover: Array | None, transparent: bool) -> tuple[Array, Array]:
        """The whole output, and its provenance, around the rendered part (h, w, 3), of which the person covers ``cover`` (h, w)."""
        result, whole = self.image.copy(), np.zeros_like(self.image)
        result[self._part] = picture
        whole[..., 2] = 255
        whole[self._part] = provenance
        if not transparent and self._alpha is None:
            return result, whole
        return np.dstack([result, self._cutout(transparent).alpha(self._part, cover)]), whole

    def _cutout(self, transparent: bool) -> Cutout:
        """What is see-through: beside the person, or where the photograph is. Made when it is first needed."""
        if transparent not in self._cutouts:
            left, top, right, bottom = self.view
            view, halo = np.s_[top:bottom, left:right], HALO * self.projection.head_width
            matte = np.zeros(self.image.shape[:2], np.float32)
            matte[self._part] = self.projection.matte[view]
            share = None if self._alpha is None else self._alpha.astype(np.float32) / 255
            beyond: Array | float = 0.0
            backdrop: Array | float = float(MATTE[0])
            if transparent or share is None:
                still = whole_person(self.image, matte)
                still = still if share is None else np.minimum(still, share)
                backdrop = background_behind(self.image, still, halo)
            else:
                still = share
                beyond = background_behind(np.repeat(still[..., None], 3, axis=2), matte, halo)[self._part][..., 0]
            sheet = self._sheet
            self._cutouts[transparent] = Cutout.of(still, beyond, backdrop, self._part, sheet.opacity[view], sheet.invented[view])
        return self._cutouts[transparent]

    def pose_vertices(self, pose: FacePose) -> Array:
        """Camera-frame vertices (V, 3) under ``pose``; the base of the neck stays where the photograph has it."""
        shape = self.projection.head.posed(self.fit.identity, pose.blendshapes, pose.gaze)
        moved = (shape + self.projection.correction.at(pose.blendshapes)) @ pose.rotation.T + pose.translation
        follow = self.projection.follow[:, None]
        return np.asarray(follow * moved + (1 - follow) * self.projection.still)

    def _render_head(self, posed: Array, rigid: Array, pose: FacePose, sheet: Array, kept: Array) -> tuple[Array, Array, Array]:
        """Layers (h, w, 5) as :func:`mimaface.reprojection.kernels.texture` makes them: the whole head, where it shows, and the face; and how
        much of the sheet is to be kept above the first (h, w).

        rigid (V, 3) is the portrait's own expression in the same pose; sheet (h, w) the sheet's opacity, kept (h, w) where it is not
        stretched.
        """
        projection, camera = self.projection, self.camera
        points = camera.project(posed)
        facing = self._facing(posed)
        opacity = np.maximum(smoothstep(0.0, 0.25, facing), self._whole) * self._solid
        distance = np.linalg.norm(points[:, :2] - projection.place[:, :2], axis=1)
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
        look = Look(factors, fallback, gaze_rotation(pose.gaze), lid_tables(shape, self._eye_centres))
        left, top, right, bottom = self.view
        raster = rasterise(points - [left, top, 0], projection.triangles, bottom - top, right - left)
        kept = kept * (1 - seams(sheet, raster.covered, self._seam))
        wanted = Raster(np.where(sheet * kept < OPAQUE, raster.triangle, np.int32(-1)), raster.barycentric, raster.depth)
        shell = self._shade(wanted, replace(look, factors=self._opaque(factors)), 1.0)
        shell[..., 3] *= inner_edge(raster.covered)
        face = self._shade(raster, look, 1.0)
        painted = np.maximum(unfolded, changed * (self._kind >= MOUTH))
        self._smooth_edges(face, points - [left, top, 0], look, painted[projection.triangles].max(1) > 0.1)
        return shell, face, kept

    def _opaque(self, factors: Array) -> Array:
        """``factors`` (V, 7) of the head as a whole: opaque down to the neck, which does not turn with it."""
        result = factors.copy()
        result[:, OPACITY] = smoothstep(TURNS_LOW, TURNS_HIGH, self.projection.follow)
        result[:, INNER] = 1.0
        return result

    def _smooth_edges(self, face: Array, points: Array, look: Look, painted: Array) -> None:
        """Average four samples a pixel where parts meet around eyes and mouth, and on ``painted`` (N,) triangles.

        face (H, W, 5) is changed in place, but for its last channel.
        """
        for part in self._openings:
            left, top, right, bottom = self._window(points[part])
            if right <= left or bottom <= top:
                continue
            height, width = bottom - top, right - left
            fine = rasterise((points - [left, top, 0]) * [2, 2, 1], self.projection.triangles, 2 * height, 2 * width)
            first, *others = quarters(np.where(fine.covered, self.projection.part[fine.triangle], 255))
            edge = np.logical_or.reduce([other != first for other in others])
            edge |= np.logical_or.reduce(quarters(painted[fine.triangle] & fine.covered))
            wanted = np.where(np.repeat(np.repeat(edge, 2, axis=0), 2, axis=1), fine.triangle, np.int32(-1))
            shaded = self._shade(Raster(wanted, fine.barycentric, fine.depth), look, 0.5)
            samples = np.stack([quarter[edge] for quarter in quarters(shaded)])  # (4, K, 5)
            total = samples[..., 3:4].sum(0)
            colour = (samples[..., :3] * samples[..., 3:4]).sum(0) / np.maximum(total, 1e-6)
            face[top:bottom, left:right, :4][edge] = np.concatenate([colour, total / 4], axis=1)

    def _facing(self, posed: Array) -> Array:
        """(V,) cosine between each vertex's normal and the line of sight."""
        view = -posed / np.linalg.norm(posed, axis=1, keepdims=True)
        return np.asarray((vertex_normals(posed, self.projection.triangles) * view).sum(1))

    def _shade(self, raster: Raster, look: Look, pixel: float) -> Array:
        """Colour, opacity and the share that no pixel shows (h, w, 5) of a raster whose pixels are ``pixel`` of the picture's."""
        projection = self.projection
        metres = pixel * -float(self.fit.translation[2]) / self.camera.focal
        return np.asarray(
            texture(
                raster.triangle, raster.barycentric, projection.triangles, projection.kind, self._own, self._partner,
                look.factors, look.fallback, self._surface, projection.person, projection.inner_person, projection.depth,
                projection.margin, RIM,
                projection.eyes, look.turns, look.lids, projection.dark, projection.gum, metres,
            )
        )  # fmt: skip

    def _mouth_shade(self, shape: Array, facing: Array) -> Array:
        """(V,) how much light reaches a point of ``shape`` (V, 3), head frame, that lies behind the lips."""
        lips = np.percentile(shape[self.projection.head.region("lips"), 2], 60)
        behind = np.maximum(lips - shape[:, 2] - MOUTH_LIT, 0)
        return np.asarray(np.exp(-behind / MOUTH_DARK) * (0.65 + 0.35 * np.clip(facing, 0, 1)))

    def _window(self, points: Array) -> tuple[int, int, int, int]:
        """left, top, right, bottom of the view's pixels around points (P, 3) of the view."""
        left, top, right, bottom = self.view
        low = np.maximum(np.floor(points[:, :2].min(0)).astype(int) - 3, 0)
        high = np.minimum(np.ceil(points[:, :2].max(0)).astype(int) + 3, [right - left, bottom - top])
        return int(low[0]), int(low[1]), int(high[0]), int(high[1])


def quarters(values: Array) -> tuple[Array, Array, Array, Array]:
    """The four samples (h, w, …) of every pixel of a doubled picture (2h, 2w, …)."""
    return values[0::2, 0::2], values[0::2, 1::2], values[1::2, 0::2], values[1::2, 1::2]


def solid_vertices(projection: Projection, kind: Array) -> Array:
    """(V,) 1 in the middle of the face, which opens and closes, falling to 0 at its sides, which the sheet carries better."""
    head = projection.head
    across, up, depth = head.vertices.T
    front = smoothstep(0.035, 0.062, depth) * (1 - smoothstep(0.04, 0.065, up)) * (1 - smoothstep(0.045, 0.062, np.abs(across)))
    solid = np.where(head.region("scalp", "ears"), 0.0, front * projection.above_chin * smoothstep(0.8, 1.0, projection.follow))
    return np.asarray(np.where(kind == SKIN, solid, 1.0))
