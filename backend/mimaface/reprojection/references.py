"""Further photographs of the person: each replaces the portrait where it is nearer to a frame's pose.

Each is projected on the same posed head as the portrait and mixed into it layer by layer, by shares of each region of the head. A photograph
is near where its expression is within a millimetre or two and its view within a few degrees. Shares are smooth functions of the pose, so
motion never makes them jump, and 0 for distant photographs, which then change nothing.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace

import numba
import numpy as np
from scipy.ndimage import laplace

from mimaface.face.fit import FittedFace
from mimaface.face.head import Head
from mimaface.face.mouth import tongue_out
from mimaface.face.portrait import Portrait
from mimaface.face.pose import FacePose
from mimaface.geometry.camera import Camera, to_camera
from mimaface.geometry.interpolation import smoothstep
from mimaface.geometry.rasterise import Raster
from mimaface.protocol.arrays import Array

from . import tuning
from .body import Beyond, Body
from .crops import choose_canvas, choose_window, cut_out
from .kernels import MARGIN_UNIT, MOUTH, SKIN
from .likeness import in_light_of
from .person_warp import Box, PersonWarp, Rows
from .photograph import Look, Photograph
from .projection import kinds_of_triangles


@dataclass(frozen=True, eq=False)
class Shown:
    """One reference in one frame: its share (V,) of each vertex, how it looks, and where its sheet's knots are (K, 3)."""

    reference: Reference
    share: Array
    look: Look
    knots: Array

    @property
    def reached(self) -> Array:
        """(P, 3) of the knots, between which something of the person is."""
        return self.knots[self.reference.sheet.fixed.shown]

    def opaque(self, follow: Array) -> Shown:
        """See :meth:`Look.opaque`."""
        return replace(self, look=self.look.opaque(follow))


class Reference:
    """One further photograph, at the size that the head has in the output, or its own if that is smaller."""

    def __init__(self, picture: Portrait, main: Photograph, scale: float) -> None:
        fit = picture.fit
        height, width = picture.image.shape[:2]
        size = round(max(height, width) * min(scale / fit.scale, 1.0))
        window = choose_canvas(picture, choose_window(picture, size, "photo"))
        camera = fit.camera.window(window.left, window.top, window.scale, window.width, window.height)
        image = cut_out(picture.image, window)
        head = main.projection.head
        shape = head.posed(fit.identity, fit.blendshapes, fit.gaze)
        image = in_light_of(main.projection, image, shape, camera.project(shape @ fit.rotation.T + fit.translation), camera)
        alpha = None if picture.alpha is None else cut_out(picture.alpha, window)
        self.photograph = Photograph(image, fit, camera, alpha, main.fit.blendshapes)
        self.sheet = PersonWarp(self.photograph.projection, fit, Body(fit, 0.0), Beyond())
        sharp = min(window.scale * fit.scale / scale, detail(self.photograph) / max(detail(main), 1e-6), 1.0)
        self.near = Nearness.of(fit, sharp * shown_of(self.photograph))


class References:
    """All further photographs of one portrait."""

    def __init__(self, portrait: Portrait, main: Photograph, camera: Camera) -> None:
        """camera is the output's."""
        self._near = Nearness.of(portrait.fit, shown_of(main))
        self._camera, self._main = camera, main
        scale = camera.focal / -float(portrait.fit.translation[2])
        self._every = [Reference(picture, main, scale) for picture in portrait.references]
        photographs = [main, *(each.photograph for each in self._every)]
        seen = [each.projection.teeth for each in photographs if len(each.projection.teeth)]
        for each in photographs if seen else []:
            if not len(each.projection.teeth):
                each.paint_teeth(np.median(seen, axis=0))

    def shares(self, pose: FacePose) -> Array:
        """(K, V) of :func:`mimaface.reprojection.references.shares`."""
        if not self._every:
            return np.empty((0, len(self._main.projection.trust)))
        return shares(Nearness.of(pose), self._near, [each.near for each in self._every])

    def bent(self, offset: Array, pose: FacePose) -> Array:
        """``offset`` (V, 3), the portrait's correction, with those of the references by their shares."""
        result = offset
        for each, share in zip(self._every, self.shares(pose)):
            if share.any():
                theirs = each.photograph.projection.correction.at(pose.blendshapes)
                result = result + share[:, None] * (theirs - offset)
        return np.asarray(result)

    def shown(self, posed: Array, pose: FacePose) -> list[Shown]:
        """What has a share of a frame, ready to be shaded."""
        result = []
        for each, share in zip(self._every, self.shares(pose)):
            if share.any():
                rigid = each.photograph.in_pose(pose)
                look = each.photograph.look(posed, rigid, pose, None, tongue_out(pose.blendshapes, self._main.fit.blendshapes))
                result.append(Shown(each, share, look, each.sheet.moved_onto(self._camera, pose, posed - rigid)))
        return result

    def shaded(self, base: Array, raster: Raster, shown: list[Shown], pixel: float) -> Array:
        """``base`` (h, w, 5), as :meth:`Photograph.shade` gives it, with the references mixed in."""
        projection = self._main.projection
        result = base.copy() if shown else base
        for each in shown:
            part = (each.share[projection.triangles].max(1) > 0)[raster.triangle] & raster.covered
            wanted = Raster(np.where(part, raster.triangle, np.int32(-1)), raster.barycentric, raster.depth)
            theirs = each.reference.photograph.shade(wanted, each.look, pixel)
            mix_in(result, base, theirs, wanted.triangle, raster.barycentric, projection.triangles, projection.kind, each.share)
        return result

    def sheets(self, base: Array, kept: Array, shown: list[Shown], part: Box, rows: Rows) -> tuple[Array, Array]:
        """The sheet ``base`` (h, w, 4) of ``rows`` of a ``part`` of the canvas and how much of it is ``kept`` (h, w), as
        :meth:`PersonWarp.render` gives them, with the references' mixed in."""
        sheet, whole = base, kept
        for each in shown:
            theirs, share = each.reference.sheet.render_onto(each.knots, each.share, part, rows)
            sheet = sheet + share[..., None] * (theirs - base)
            whole = whole + share * (1 - kept)
        return sheet, whole


def detail(photograph: Photograph) -> float:
    """Returns the sharpness of the face: its mean difference from pixel to pixel, relative to its brightness."""
    projection = photograph.projection
    place = np.floor(projection.place[projection.head.region("face") & (projection.trust > 0.6), :2]).astype(int)
    height, width = projection.matte.shape
    column, row = place[((place >= 0) & (place < [width, height])).all(1)].T
    grey = projection.image.astype(np.float32).mean(-1)
    return float(np.abs(laplace(grey))[row, column].mean() / max(grey[row, column].mean(), 1.0)) if len(row) else 0.0


def shown_of(photograph: Photograph) -> Array:
    """Returns the visible share (R,) of each region, 0 to 1; that of the inside of the mouth grows with its opening."""
    projection = photograph.projection
    open_ = (projection.source.margin[..., MOUTH] > MARGIN_UNIT).sum() / projection.head_width**2
    result = np.ones(len(REGIONS))
    result[REGIONS.index("inside")] = min(open_ / tuning.WIDE_OPEN, 1.0)
    return result


@numba.njit(cache=True, nogil=True)
def mix_in(  # house: compiled, so it takes arrays one by one
    result: Array, base: Array, theirs: Array, found: Array, weights: Array, triangles: Array, kind: Array, share: Array
) -> None:
    """To ``result`` (h, w, 5), share (V,) of the way from ``base`` to ``theirs`` is added; skin that theirs does not show counts less."""
    height, width = found.shape
    for y in range(height):
        for x in range(width):
            index = found[y, x]
            if index < 0:
                continue
            part = 0.0
            for corner in range(3):
                part += weights[y, x, corner] * share[triangles[index, corner]]
            if kind[index] == SKIN:
                part *= 1 - theirs[y, x, 4]
            for channel in range(5):
                result[y, x, channel] += part * (theirs[y, x, channel] - base[y, x, channel])


REGIONS = ("inside", "lips", "lid_left", "lid_right", "iris_left", "iris_right", "front", "left", "right")


@dataclass(frozen=True, eq=False)
class Nearness:
    """What of one photograph is compared: blendshapes (52,), the direction of the camera from the head (3,), gaze (2, 2); quality (R,):
    how sharp each region is against the portrait's, and how much of it is seen, 0 to 1."""

    blendshapes: Array
    view: Array
    gaze: Array
    quality: Array

    @classmethod
    def of(cls, pose: FacePose | FittedFace, quality: Array | float = 1.0) -> Nearness:
        view = to_camera(pose.rotation, pose.translation)
        return cls(np.asarray(pose.blendshapes), view, np.asarray(pose.gaze), np.broadcast_to(quality, len(REGIONS)))

    def away(self, other: Nearness) -> Array:
        """(R,) squared distances between two, one a region."""
        change = self.blendshapes - other.blendshapes
        moved = np.einsum("rab,a,b->r", stirred(), change, change) / tuning.NEAR_MOVED**2
        turned = np.arccos(np.clip(self.view @ other.view, -1, 1))
        looked = ((self.gaze - other.gaze) ** 2).sum(1)
        gaze = np.array([0, 0, *looked, *looked, 0, 0, 0])
        return np.asarray(moved + (turned / tuning.NEAR_TURNED) ** 2 + gaze / tuning.NEAR_LOOKED**2)


def shares(now: Nearness, portrait: Nearness, others: list[Nearness]) -> Array:
    """(K, V): the share of each of the K other photographs at every vertex of a frame; the portrait has the rest."""
    known = [portrait, *others]
    away = np.stack([now.away(each) for each in known])
    # heavy tails (Student's t): between two that are far from one another the change takes its share of the way, and is no jump
    cost = tuning.NEAR_POWER * np.log1p(away / (2 * tuning.NEAR_POWER)) - np.log(np.maximum([each.quality for each in known], tuning.QUALITY_LEAST))
    cost[0] -= tuning.PORTRAIT_FIRST
    cost[1:] += tuning.IN_ORDER * np.arange(len(others))[:, None]
    score = np.exp(cost.min(0) - cost)
    score = np.maximum(score - tuning.SHARE_LEAST, 0) / (1 - tuning.SHARE_LEAST)
    score[1:] *= smoothstep(0.0, tuning.SHARE_FROM_REST, np.sqrt(away[0]))
    return np.asarray((score / score.sum(0))[1:] @ regions(), np.float32)


@functools.cache
def regions() -> Array:
    """(R, V): how far each vertex belongs to each of REGIONS; they add up to 1."""
    head = Head.load()
    place = head.vertices
    result = np.zeros((len(REGIONS), len(place)))
    lips = place[head.region("lips")].mean(0)
    front = smoothstep(0.0, 0.03, place[:, 2])
    result[1] = front * (1 - smoothstep(*tuning.NEAR_LIPS, np.linalg.norm((place - lips)[:, :2], axis=1)))
    for side in range(2):
        away = np.linalg.norm((place - head.eye_centres[side])[:, :2] * [0.8, 1.0], axis=1)
        result[2 + side] = front * (1 - smoothstep(*tuning.NEAR_EYE, away))
    rest = np.clip(1 - result.sum(0), 0, 1)
    beside = np.maximum(smoothstep(*tuning.NEAR_SIDE, np.abs(place[:, 0])), 1 - smoothstep(0.02, 0.05, place[:, 2]))
    left = smoothstep(-0.03, 0.03, place[:, 0])
    result[6], result[7], result[8] = rest * (1 - beside), rest * beside * left, rest * beside * (1 - left)
    result /= result.sum(0)
    inner = _inside()
    result[:, inner] = 0.0
    result[0, inner] = 1.0
    for side, name in enumerate(("eye_left", "eye_right")):
        ball = head.vertices_of(name)
        result[:, ball] = 0.0
        result[4 + side, ball] = 1.0
    return result


@functools.cache
def stirred() -> Array:
    """(R, 52, 52): mean over a region of the products of what two blendshapes move it, m²."""
    head = Head.load()
    skin = np.stack([_felt(head, index) for index in range(len(REGIONS))])
    skin /= skin.sum(1, keepdims=True)
    moves = np.asarray(head.blendshapes, np.float64)
    return np.stack([np.einsum("avd,v,bvd->ab", moves, share, moves, optimize=True) for share in skin])


def _felt(head: Head, region: int) -> Array:
    """(V,) where the expression of a region is felt: what is in the mouth by the lips, an iris by its lids."""
    if region <= 1:
        return np.asarray(head.region("lips") * 1.0)
    if region <= 5:
        side = head.vertices[:, 0] > 0
        return np.asarray((head.region("lids") & (side if region % 2 == 0 else ~side)) * 1.0)
    return np.asarray(regions()[region])


def _inside() -> Array:
    """(V,) bool: teeth, tongue and lining."""
    head = Head.load()
    triangles, kind = head.drawn_triangles(), kinds_of_triangles(head)
    result = np.zeros(len(head.vertices), bool)
    result[triangles[kind >= MOUTH]] = True
    result[triangles[kind < MOUTH]] = False
    return result
