"""The proxy engine: renders the photographed head in a new pose over the photograph, without a generative network.

It composes four layers, from the back: the background, which stays; the posed head with its hair (:mod:`mimaface.reprojection.hair`), textured by
projection; the person as an elastic sheet (:mod:`mimaface.reprojection.person_warp`), torn where it would be stretched; and the middle of the posed
face, which opens and closes, with what no photograph shows painted (:mod:`mimaface.reprojection.eyes`, :mod:`mimaface.reprojection.mouth`).
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np
from scipy.ndimage import distance_transform_edt

from mimaface.face.lids import ClosingLids, LidRims
from mimaface.face.lip_curves import LipCurves
from mimaface.face.lip_rims import LipRims
from mimaface.face.mouth import opened_for_tongue, teeth_offset, tongue_offset, tongue_out
from mimaface.face.portrait import Portrait
from mimaface.face.pose import FacePose
from mimaface.geometry.distances import distances
from mimaface.geometry.interpolation import smoothstep
from mimaface.geometry.rasterise import Raster, rasterise
from mimaface.geometry.strips import row_strips
from mimaface.geometry.threads import one_thread
from mimaface.pictures import MATTE
from mimaface.protocol.arkit import regions_of
from mimaface.protocol.arrays import Array
from mimaface.protocol.settings import BODY_FOLLOWS

from . import tuning
from .body import Beyond, Body
from .composition import Origins, Part, compose, hindmost
from .crops import CropWindow, choose_canvas, choose_window, cut_out
from .cutout import Backdrop, Cutout, whole_person
from .eyes import GazeLimits, turn_eyes
from .head_layers import HeadLayers, around, strips, widened
from .kernels import MOUTH
from .matte import background_behind
from .person_warp import Box, Loosened, PersonWarp, Rows
from .photograph import Look, Photograph
from .references import References, Shown
from .stillness import Stillness, moving_share

KEPT_EMPTY = 1 << 20  # pixels up to which a frame without the person is kept, which saves a millisecond at 512². More: 6 bytes a pixel


class PosedFrame(NamedTuple):
    """The photograph on the posed head: ``picture`` (H, W, 3 or 4) uint8, its colours over the photograph's background even where it has
    an alpha; its ``provenance`` (H, W, 3) uint8, or that of a part; and the head's ``vertices`` (V, 3), metres, camera frame.

    Red of the provenance is the share of each pixel that is the photographed person, green what is inpainted, for no pixel of the
    photograph shows it, blue the photographed background. The middle of the face, with eyes and teeth, counts as photographed.
    """

    picture: Array
    provenance: Array
    vertices: Array


class Reprojector:
    """Renders one portrait under any pose at one output size. Build once (0.3 s at 512²), then call :meth:`render`."""

    def __init__(self, portrait: Portrait, size: int = 0, framing: str = "photo", body_follows: float = BODY_FOLLOWS, only: str = "") -> None:
        """``only``: the regions that poses move, as :class:`mimaface.protocol.settings.RenderSettings` has them."""
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
        # frames without what moves, by whether the shoulders are cut out of them, and what of them has a provenance
        self._empties: dict[tuple[bool, str], tuple[Array, Array]] = {}
        self._photograph = Photograph(image, fit, self.camera, alpha)
        self.projection = self._photograph.projection
        self._references = References(portrait, self._photograph, self.camera)
        self._body = Body(fit, body_follows)
        self._sheet = PersonWarp(self.projection, fit, self._body, _beyond(portrait, canvas, self._pixels_a_metre))
        rows, columns = (np.flatnonzero(self._sheet.loose.invented.any(axis)) for axis in (1, 0))
        self._left_behind = np.array([[columns.min(), rows.min()], [columns.max(), rows.max()]] if len(rows) else np.zeros((0, 2)))
        self._relief = self._sheet.relief(self.projection, fit) * self.projection.follow[:, None] if self.projection.drawn else None
        self._sides = self._sheet.sides(self.projection)
        self._seam = max(round(tuning.SEAM * self.projection.head_width), 1)  # pixels
        head = self.projection.head
        still = self._photograph.in_pose(FacePose(fit.blendshapes, np.eye(3), np.zeros(3), fit.gaze))
        self._rims = LipRims.of(still, fit.blendshapes, self.projection.thinned)
        self._closing = ClosingLids.of(still, head.eye_centres_for(fit.identity))
        self._lids, self._curves = LidRims.of(still, fit), LipCurves(fit.blendshapes)
        self._gaze_limits = GazeLimits.of(still, head.eye_centres_for(fit.identity), fit.gaze)
        mouth = np.flatnonzero((self.projection.kind_of_vertex >= MOUTH) & (head.vertices[:, 2] > tuning.MOUTH_FRONT))
        self._drawn = np.unique(self.projection.triangles)
        self._stillness = Stillness(self._sheet.knots, self.projection.place[self._drawn, :2], self.projection.head_width)
        self._moving, self._head_stays = moving_share(only), "head" not in regions_of(only)
        self._openings = [head.vertices_of("eye_left"), head.vertices_of("eye_right"), mouth]

    @property
    def _person_at_rest(self) -> Array:
        """(h, w) the share of the person in each pixel of the photograph that is rendered."""
        left, top, right, bottom = self.view
        return self._sheet.fixed.inside[top:bottom, left:right]

    @property
    def _pixels_a_metre(self) -> float:
        return self.camera.focal / -float(self.fit.translation[2])

    def render(self, pose: FacePose, transparent: bool = False) -> Array:
        """RGB (H, W, 3) uint8 under ``pose``; RGBA (H, W, 4) with ``transparent``, in which only the person is opaque, and with a
        photograph that has an alpha."""
        with one_thread():
            vertices, pose = self._posed(pose)
            return self.finished(self._render(pose, vertices, transparent)[0], transparent)

    def retouched(self, pose: FacePose) -> tuple[Array, Array]:
        """:meth:`render`, but the photograph's own pixels wherever the pose moves nothing; and how far each is drawn anew (H, W), 0 to 1."""
        with one_thread():
            vertices, pose = self._posed(pose)
            picture, own = (self.finished(each, False) for each in (self._render(pose, vertices, False)[0], self._at_rest(False)[0]))
            share = self._changed(pose, vertices)
        mixed = own + share[..., None] * (picture.astype(np.float32) - own)
        return np.where(share[..., None] > 0, np.rint(mixed), own).astype(np.uint8), share

    def _changed(self, pose: FacePose, posed: Array) -> Array:
        """How far each pixel of the output shows something that has moved to it, or away from it (H, W), 0 to 1."""
        left, top, right, bottom = self.view
        corner, size, projection = np.array([left, top, 0]), (bottom - top, right - left), self.projection
        points = self._places(posed, pose)
        far = distances(points, projection.place, 2)[:, None]
        knots = self._sheet.moved(pose, posed - self._photograph.in_pose(pose))
        moved = self._sheet.distance(knots, self.view, self._sheet.cut(self._body.loose(pose)))
        for place in (points, projection.place):
            head = rasterise(place - corner, projection.triangles, *size).interpolate(projection.triangles, far)[..., 0]
            moved = np.maximum(moved, head)
        if self._moving is not None and self._head_stays:  # the elastic person smooths an expression beyond its region
            raster = rasterise(projection.place - corner, projection.triangles, *size)
            nearest = tuple(distance_transform_edt(~raster.covered, return_distances=False, return_indices=True))
            within = raster.interpolate(projection.triangles, self._moving[:, None])[..., 0][nearest]
            moved = smoothstep(*tuning.WITHIN_REGION, within) * moved
        share = np.zeros(self.image.shape[:2], np.float32)
        share[self._part] = smoothstep(*tuning.CHANGED_BY, moved)
        return share

    def finished(self, picture: Array, transparent: bool) -> Array:
        """Returns a picture of :meth:`posed`, (H, W, 3 or 4) uint8, with the colours behind its transparent pixels removed."""
        return picture if picture.shape[2] == 3 else self._cutout(transparent).straight(picture)

    def posed(self, pose: FacePose, transparent: bool = False, part: Part | None = None) -> PosedFrame:
        """The frame of one pose, with an alpha as :meth:`render` has it, and the provenance of a ``part`` of it, or of the whole."""
        with one_thread():
            vertices, pose = self._posed(pose)
            height, width = self.image.shape[:2]
            return PosedFrame(*self._render(pose, vertices, transparent, part or np.s_[0:height, 0:width]), vertices)

    def _render(self, pose: FacePose, posed: Array, transparent: bool, part: Part | None = None) -> tuple[Array, Array]:
        """Picture, and provenance of a ``part`` of it, without pixels for None."""
        points = self._places(posed, pose)
        if np.abs(points[:, :2] - self.projection.place[:, :2]).max() < 0.01:  # pixels
            return self._at_rest(transparent, part)
        rigid = self._photograph.in_pose(pose)
        knots = self._sheet.moved(pose, posed - rigid)
        shown = self._references.shown(posed, pose)
        loose = self._body.loose(pose)
        cut = self._sheet.cut(loose)
        reached = [knots[cut.second.shown], self._left_behind, *(each.reached for each in shown)]
        box = around(np.concatenate([each[:, :2] for each in (points[self._drawn], *reached)]), self.view, self._seam + 1)
        opaque = not transparent and self._alpha is None
        picture, origins = self._empty(cut, part)
        left, top, right, bottom = self.view
        cover = np.zeros((0, 0) if opaque else (bottom - top, right - left), np.float32)
        still = np.zeros_like(cover)
        share = self._stillness.share(knots, cut.second.shown, points[self._drawn])
        layers = self._head_layers(posed, pose, points, box, shown)
        for rows in strips(box, 2 * (self._seam + 1)):
            self._draw(rows, box, knots, cut, layers, (picture[self._part], self._rendered(origins), cover, still), share)
        return self._with_alpha(picture, loose, transparent, (cover, still)), origins.pixels

    def _rendered(self, origins: Origins) -> Origins:
        """The same, counted from the corner of what is rendered."""
        rows, columns = self._part
        return origins.seen_from(rows.start, columns.start)

    def _empty(self, cut: Loosened, part: Part | None) -> tuple[Array, Origins]:
        """Returns the frame without its moving parts, and its provenance."""
        left, top, right, bottom = self.view
        small = self.image.shape[0] * self.image.shape[1] <= KEPT_EMPTY and cut.way == 0
        kind, origins = (cut.first is self._sheet.loose, str(part)), Origins.background(part)
        if small and kind in self._empties:
            picture, provenance = self._empties[kind]
            origins.pixels[:] = provenance
            return picture.copy(), origins
        picture, rendered = self.image.copy(), self._rendered(origins)
        shown = picture[self._part]
        for rows in row_strips(bottom - top):
            view = np.s_[top + rows.start : top + rows.stop, left:right]
            place = rows, slice(0, right - left)
            provenance = rendered.at(place)
            hindmost(shown[rows], provenance, self.projection.image[view], self._sheet.behind[view], cut.invented(view))
            rendered.put(place, provenance)
        if small:
            self._empties[kind] = picture.copy(), origins.pixels.copy()
        return picture, origins

    def _at_rest(self, transparent: bool, part: Part | None = None) -> tuple[Array, Array]:
        origins = Origins.background(part)
        inside, place = origins.shared(self._part)
        person = np.round(255 * self._person_at_rest[place]).astype(np.uint8)
        origins.pixels[inside] = np.stack([person, np.zeros_like(person), 255 - person], axis=-1)
        return self._with_alpha(self.image.copy(), 0.0, transparent), origins.pixels

    def _with_alpha(self, picture: Array, loose: float, transparent: bool, moved: tuple[Array, Array] | None = None) -> Array:
        """``picture`` (H, W, 3), and an alpha where one is wanted: as photographed, or as it ``moved``: how much of its rendered part the person
        covers, and how much is as photographed (h, w), cut out with the shoulders as far as they are ``loose``, 0 to 1."""
        if not transparent and self._alpha is None:
            return picture
        return np.dstack([picture, self._cutout(transparent).alpha(self._part, loose, moved)])

    def _cutout(self, transparent: bool) -> Cutout:
        """The transparency: beside the person, or of the photograph. Made when it is first needed."""
        if transparent not in self._cutouts:
            left, top, right, bottom = self.view
            view, halo = np.s_[top:bottom, left:right], tuning.HALO * self.projection.head_width
            matte = np.zeros(self.image.shape[:2], np.float32)
            matte[self._part] = self.projection.matte[view]
            share = None if self._alpha is None else self._alpha.astype(np.float32) / 255
            beyond: Array | float = 0.0
            backdrop: Backdrop = float(MATTE[0])
            if transparent or share is None:
                still = whole_person(self.image, matte)
                still = still if share is None else np.minimum(still, share)
                backdrop = background_behind(self.image, still, halo)
            else:
                still = share
                rows, columns = self._part
                beyond = background_behind(still[..., None], matte, halo)(rows)[:, columns, 0]
            cuts = [(cut.inside[view], cut.invented[view]) for cut in (self._sheet.fixed, self._sheet.loose)]
            self._cutouts[transparent] = Cutout.of(still, beyond, backdrop, self._part, cuts)
        return self._cutouts[transparent]

    def pose_vertices(self, pose: FacePose) -> Array:
        """Camera-frame vertices (V, 3) under ``pose``; the base of the neck stays where the photograph has it."""
        return self._posed(pose)[0]

    def _posed(self, pose: FacePose) -> tuple[Array, FacePose]:
        """See :meth:`pose_vertices`; and the pose, with lips that a tongue has parted and a gaze that the lids leave in view."""
        blendshapes = opened_for_tongue(pose.blendshapes, self.fit.blendshapes)
        if blendshapes is not pose.blendshapes:
            pose = replace(pose, blendshapes=blendshapes)
        shape = self.projection.head.posed(self.fit.identity, pose.blendshapes, pose.gaze)
        shape = shape + self._references.bent(self.projection.correction.at(pose.blendshapes), pose)
        shape += self._rims.offset(shape, pose.blendshapes)
        shape += self._curves.offset(shape, pose.blendshapes)
        shape += self._lids.offset(shape, pose.blendshapes)
        shape += self._closing.offset(shape)
        shape += teeth_offset(shape, pose.blendshapes, self.fit.blendshapes)
        shape += tongue_offset(shape, pose.blendshapes, self.fit.blendshapes)
        if self._moving is not None:
            still = self._photograph.still_head
            shape = still + self._moving[:, None] * (shape - still)
        gaze = self._gaze_limits.within(shape, pose.gaze)
        if gaze is not pose.gaze:
            turn_eyes(shape, self._gaze_limits.centres, pose.gaze, gaze)
            pose = replace(pose, gaze=gaze)
        moved = shape @ pose.rotation.T + pose.translation
        follow = self.projection.follow[:, None]
        return np.asarray(follow * moved + (1 - follow) * (self.projection.still + self._body.shift(pose))), pose

    def _places(self, posed: Array, pose: FacePose) -> Array:
        """(V, 3) u, v, depth of vertices ``posed`` (V, 3) as they are drawn: with the sheet where a side turns into view, and on it, if it is
        a drawing's, whose eyes and lips have no depth of their own."""
        away = self._sides.away(pose)
        if away is not None:
            posed = posed + (self.projection.follow[:, None] * away) @ pose.rotation.T
        points = self.camera.project(posed)
        if self._relief is not None:
            points[:, :2] = self.camera.project(posed + self._relief @ pose.rotation.T)[:, :2]
        return np.asarray(points)

    def _head_layers(self, posed: Array, pose: FacePose, points: Array, box: Box, shown: list[Shown]) -> HeadLayers:
        """The posed head, whose vertices are at ``points`` (V, 3) of the canvas, in the part of a ``box`` of it where it is."""
        tongue = tongue_out(pose.blendshapes, self.fit.blendshapes)
        look = self._photograph.look(posed, self._photograph.in_pose(pose), pose, distances(points, self.projection.place, 2), tongue)
        part = around(points[self._drawn], box, self._seam + 1)
        return HeadLayers(
            self.projection, self._shade, part, points - [part[0], part[1], 0], look, shown, self._openings, self._seam
        )  # fmt: skip

    def _draw(
        self, rows: Rows, box: Box, knots: Array, cut: Loosened, head: HeadLayers, targets: tuple[Array, Origins, Array, Array], share: Array
    ) -> None:
        """``rows`` of a ``box`` of the canvas, drawn into ``targets``: picture, provenance and cover of what is rendered, and how much of it
        is the photograph, because it is ``still`` by the ``share`` of :meth:`Stillness.share`."""
        wide = widened(rows, self._seam + 1, (0, box[3] - box[1]))
        sheet, kept = self._sheet.render(knots, box, wide, cut)
        sheet, kept = self._references.sheets(sheet, kept, head.shown, box, wide)
        down, across = head.box[1] - box[1], head.box[0] - box[0]  # of the head's box in this one
        height, width = head.box[3] - head.box[1], head.box[2] - head.box[0]
        shell, face = np.zeros((2, 0, 0, 5), np.float32)
        first, last = max(rows[0] - down, 0), min(rows[1] - down, height)
        if first < last and width:
            around_it = max(wide[0] - down, 0), min(wide[1] - down, height)
            part = np.s_[around_it[0] + down - wide[0] : around_it[1] + down - wide[0], across : across + width]
            inner = np.s_[first + down - wide[0] : last + down - wide[0], across : across + width]
            shell, face, kept[inner] = head.draw((first, last), around_it, sheet[part][..., 3], kept[part])
        drawn = slice(rows[0] - wide[0], rows[1] - wide[0])
        on_canvas = np.s_[box[1] + rows[0] : box[1] + rows[1], box[0] : box[2]]
        hind = self.projection.image[on_canvas], self._sheet.behind[on_canvas], cut.invented(on_canvas)
        left, top = self.view[:2]
        place = np.s_[box[1] + rows[0] - top : box[1] + rows[1] - top, box[0] - left : box[2] - left]  # of what is rendered
        whole, origins, *shares = targets
        picture, provenance, (cover, still) = whole[place], origins.at(place), (each[place] for each in shares)
        corner = first + down - rows[0], across
        compose(*hind, shell, sheet[drawn], kept[drawn], face, *corner, picture, provenance, cover)
        rest = self.image[self._part][place], self._person_at_rest[place]
        self._stillness.settle(share, (box[0], box[1] + rows[0]), rest, (picture, provenance), still, (face, *corner))
        origins.put(place, provenance)

    def _shade(self, raster: Raster, look: Look, shown: list[Shown], pixel: float) -> Array:
        """Colour, opacity and the share that no pixel shows (h, w, 5) of a raster whose pixels are ``pixel`` of the picture's."""
        metres = pixel / self._pixels_a_metre
        return self._references.shaded(self._photograph.shade(raster, look, metres), raster, shown, metres)


def _beyond(portrait: Portrait, canvas: CropWindow, scale: float) -> Beyond:
    """How far the person is continued where a ``canvas`` of ``scale`` pixels a metre ends with the photograph."""
    height, width = portrait.image.shape[:2]
    right, bottom = width - canvas.left - canvas.width / canvas.scale, height - canvas.top - canvas.height / canvas.scale
    reach = round(tuning.BEYOND * scale)
    return Beyond(*(reach if kept * canvas.scale < 1 else 0 for kept in (canvas.left, canvas.top, right, bottom)))
