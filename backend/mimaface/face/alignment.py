"""Head pose and blendshapes from the brightness of the skin: a frame is aligned with a reference frame of the same face, near its landmarks'
estimate.

Landmarks of a network slide over the skin by a few millimetres, which turns the head by degrees. The skin itself does not: points of the
posed head keep their brightness from frame to frame (Lucas and Kanade 1981; directly on a surface: Engel et al. 2018), up to a gain and
an offset. Gauss–Newton from coarse to fine, robust to what is occluded or has changed (Geman and McClure 1985), with the landmarks'
pose as a Gaussian prior. Blendshapes follow in the same way under the pose that was found (Thies et al. 2016), near the landmarks' own; lips
and lids stay as far apart as the landmarks have them, and lips and brows near where they are in the picture, for skin around an open mouth
looks different and tells less. At last the head is turned aside by the hair beside the face, too: it lies deeper, so that a turn is not taken
for a move.
"""

from __future__ import annotations

import functools
import io
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numba
import numpy as np
from PIL import Image
from scipy.ndimage import gaussian_filter
from scipy.spatial import cKDTree

from mimaface.geometry.camera import Camera, to_camera
from mimaface.geometry.interpolation import sample_into
from mimaface.geometry.least_squares import bounded_solve, rotation_vector
from mimaface.geometry.rasterise import vertex_normals
from mimaface.protocol.arkit import BLENDSHAPE_NAMES
from mimaface.protocol.arrays import Array

from . import tuning
from .fit import Estimate, LandmarkModel
from .head import Head
from .networks import SIDE, PersonSegmenter

REGIONS = ("face", "brows", "lids", "lips", "ears")
# Standard deviations of the prior: three of the rotation (radians) and of the translation (metres), then gain and offset (levels of 0–255)
PRIOR = np.array([*tuning.ALIGNED_TURN, *tuning.ALIGNED_MOVE, 0.3, 30.0])
# Unknowns that hair decides: yaw, x, and the light. With pitch by hair, outlines were nearer to the films', and open mouths further from them
TURN = np.array([1, 3, 6, 7])
# Blendshapes that move skin: not the eyes' directions, and not the tongue
SHOWN = np.array([not name.startswith(("eyeLook", "tongue")) for name in BLENDSHAPE_NAMES])
# landmarks of the lips' outer and inner edges, and of the brows: expressions move them furthest
LIPS = (
    0, 13, 14, 17, 37, 39, 40, 61, 78, 80, 81, 82, 84, 87, 88, 91, 95, 146, 178, 181, 185, 191, 267, 269, 270, 291, 308, 310, 311, 312, 314, 317,
    318, 321, 324, 375, 402, 405, 409, 415,
)  # fmt: skip
BROWS = (46, 52, 53, 55, 63, 65, 66, 70, 105, 107, 276, 282, 283, 285, 293, 295, 296, 300, 334, 336)


@dataclass(frozen=True, eq=False)
class HeadPicture:
    """The head of one frame: a small grey picture ``jpeg`` of width × height ``size`` (2,), at most ``tuning.ALIGNED_SIDE`` a side, which shows the
    frame's pixels from ``corner`` (2,) on, enlarged by ``scale`` (2,) along u and v; and landmarks ``held`` (L, 2), see :func:`_held_rows`, in
    pixels of the frame. It takes about 5 kB."""

    jpeg: bytes
    size: Array
    corner: Array
    scale: Array
    held: Array

    @classmethod
    def of(cls, image: Array, points: Array) -> HeadPicture | None:
        """Crops a frame (H, W, 3) uint8 around its landmarks (478, 3); None where they lie outside of it."""
        low, high = points[:, :2].min(0), points[:, :2].max(0)
        reach = tuning.CROP_MARGIN / 2 * float(max(high - low))
        edge = np.array(image.shape[1::-1])
        corner = np.clip(np.floor((low + high) / 2 - reach), 0, edge).astype(int)
        size = np.clip(np.ceil((low + high) / 2 + reach), 0, edge).astype(int) - corner
        if size.min() < 8:
            return None
        shown = np.maximum(np.rint(size * min(1.0, tuning.ALIGNED_SIDE / max(size))), 1).astype(int)
        crop = np.ascontiguousarray(image[corner[1] : corner[1] + size[1], corner[0] : corner[0] + size[0]])
        small = Image.fromarray(crop).convert("L").resize((int(shown[0]), int(shown[1])), Image.Resampling.BOX)
        file = io.BytesIO()
        small.save(file, "JPEG", quality=tuning.ALIGNED_QUALITY)
        held = points[LandmarkModel.load().index[_held_rows()[0]], :2].copy()
        return cls(file.getvalue(), shown, corner.astype(float), shown / size, held)

    def brightness(self) -> Array:
        """(h, w) float32, 0–255."""
        with Image.open(io.BytesIO(self.jpeg)) as picture:
            return np.asarray(picture, np.float32)

    def layers(self, camera: Camera, estimate: Estimate) -> Iterator[Array]:
        """For each of ``tuning.ALIGNED_BLUR``: brightness, 0–255, and its slopes along u and v (h, w, 3) float32."""
        grey, pixels = self.brightness(), self.millimetre(camera, estimate)
        for blur in tuning.ALIGNED_BLUR:
            blurred = gaussian_filter(grey, blur * pixels)
            yield np.stack([blurred, *np.gradient(blurred)[::-1]], axis=-1)

    def shows(self, shape: Array, normals: Array, camera: Camera, estimate: Estimate, layers: Array) -> tuple[Array, Array, Array]:
        """:func:`compared` for points (K, 3) of a head that is posed as ``estimate`` before ``camera``."""
        centre = np.array(camera.centre) - self.corner
        return compared(shape, normals, estimate.rotation, estimate.translation, camera.focal, centre, self.scale, layers)

    def missed(self, camera: Camera, estimate: Estimate) -> Array:
        """(L, 3) metres, camera frame, from the held landmarks that an ``estimate`` has to the picture's, at the same depth."""
        placed = LandmarkModel.load().points(estimate.identity, estimate.blendshapes)[_held_rows()[0]] @ estimate.rotation.T + estimate.translation
        return np.asarray(camera.unproject(self.held, -placed[:, 2]) - placed)

    def millimetre(self, camera: Camera, estimate: Estimate) -> float:
        """Pixels of this picture that a millimetre of the head takes."""
        return float(camera.focal / -estimate.translation[2] * self.scale.mean() / 1000)


class Reference:
    """One frame of a face, which others are aligned with."""

    def __init__(self, picture: HeadPicture, camera: Camera, estimate: Estimate, with_hair: bool = True) -> None:
        """with_hair: whether the others show the hair as it is here, as frames of one video do, not photographs of several days."""
        self._rotation, self._missed = estimate.rotation, picture.missed(camera, estimate) @ estimate.rotation
        head, rows = Head.load(), _rows()
        beside = hair_beside(picture, camera, estimate) if with_hair else np.zeros((0, 3))
        self._neutral = np.concatenate([head.shape(estimate.identity, np.zeros(head.expression_size))[rows], beside])
        normals = vertex_normals(head.shape(estimate.identity, estimate.blendshapes), head.skin_triangles())[rows]
        normals = np.concatenate([normals, np.broadcast_to(to_camera(estimate.rotation, estimate.translation), beside.shape)])
        self._basis = np.concatenate([_basis(), np.zeros((head.expression_size, *beside.shape))], axis=1)
        self._shape = self._moved(estimate)
        layers = list(picture.layers(camera, estimate))
        shown = picture.shows(self._shape, normals, camera, estimate, layers[0])[2] > tuning.ALIGNED_FACING
        self._basis, self._normals, self._neutral, self._shape = self._basis[:, shown], normals[shown], self._neutral[shown], self._shape[shown]
        self._skin = int(shown[: len(rows)].sum())  # of the points: the others are hair
        self._moves = np.ascontiguousarray(self._basis[SHOWN].transpose(1, 2, 0))  # (K, 3, blendshapes)
        self._brightness = [picture.shows(self._shape, self._normals, camera, estimate, each)[0] for each in layers]

    def aligned(self, picture: HeadPicture, camera: Camera, estimate: Estimate) -> Estimate:
        """``estimate`` of another frame or photograph, taken by ``camera``, which ``picture`` shows, with rotation, translation and
        blendshapes aligned with the reference."""
        layers = list(picture.layers(camera, estimate))
        estimate, away = self._posed(picture, camera, layers, estimate, np.zeros(len(PRIOR)))
        estimate = self._expressed(picture, camera, layers[-1], estimate, away[6:])
        return self._posed(picture, camera, layers, estimate, away, with_hair=True)[0]

    def _posed(
        self, picture: HeadPicture, camera: Camera, every: list[Array], estimate: Estimate, away: Array, with_hair: bool = False
    ) -> tuple[Estimate, Array]:
        """``estimate`` with rotation and translation aligned by the skin, or its turn by skin and hair, from the coarsest of ``every`` layer (h, w,
        3) to the finest; and how far it is then ``away`` (8,) from the landmarks' pose and the reference's light, in the units of ``PRIOR``."""
        count, free = (len(self._shape), TURN) if with_hair else (self._skin, np.arange(len(PRIOR)))
        moved = self._moved(estimate)[:count]
        # what the expression has moved is known less well
        trust = 1 / (1 + np.square(np.linalg.norm(moved - self._shape[:count], axis=1) / tuning.ALIGNED_STILL))
        for layers, brightness in zip(every, self._brightness):
            for _ in range(tuning.ALIGNED_ROUNDS):
                seen = self._seen(picture, camera, layers, brightness, moved, estimate, away[6:])
                if seen is None:
                    return estimate, away
                hessian, gradient = seen.equations(seen.slopes, trust, tuning.ALIGNED_INDEPENDENT)
                step = np.zeros(len(PRIOR))
                step[free] = np.linalg.solve((hessian + np.diag(PRIOR**-2))[np.ix_(free, free)], -(gradient + away / PRIOR**2)[free])
                away = away + step
                estimate = replace(
                    estimate, rotation=rotation_vector(step[:3]) @ estimate.rotation, translation=estimate.translation + step[3:6]
                )
                if np.abs(step[:6] / PRIOR[:6]).max() < tuning.ALIGNED_LEAST:
                    break
        return estimate, away

    def _expressed(self, picture: HeadPicture, camera: Camera, layers: Array, estimate: Estimate, light: Array) -> Estimate:
        """``estimate`` with blendshapes aligned, too; ``light`` (2,): gain and offset against the reference."""
        start = estimate.blendshapes[SHOWN]
        moves, wanted = self._held(picture, camera, estimate)
        near = np.diag(np.full(len(start), tuning.EXPRESSED**-2)) + _openings(estimate.rotation) + moves @ moves.T
        pulled = moves @ wanted
        for _ in range(tuning.EXPRESSED_ROUNDS):
            seen = self._seen(picture, camera, layers, self._brightness[-1], self._moved(estimate)[: self._skin], estimate, light)
            if seen is None:
                return estimate
            by_point = seen.slopes[:, 3:] @ estimate.rotation
            hessian, gradient = seen.equations((by_point[:, None] @ self._moves[seen.points])[:, 0], None, tuning.EXPRESSED_INDEPENDENT)
            now, last = estimate.blendshapes[SHOWN], len(start)
            hessian[:last, :last] += near
            gradient[:last] += near @ (now - start) - pulled
            hessian[last:, last:] += np.diag(PRIOR[6:] ** -2)
            gradient[last:] += light / PRIOR[6:] ** 2
            free = np.full(2, np.inf)
            step = bounded_solve(hessian, -gradient, np.append(-now, -free), np.append(1 - now, free))
            light, blendshapes = light + step[last:], estimate.blendshapes.copy()
            blendshapes[SHOWN] = np.clip(now + step[:last], 0, 1)
            estimate = replace(estimate, blendshapes=blendshapes)
        return estimate

    def _held(self, picture: HeadPicture, camera: Camera, estimate: Estimate) -> tuple[Array, Array]:
        """By how much blendshapes move landmarks of lips and brows in the picture (blendshapes, 2L), and how far those are to move to be as far
        from the picture's as they are in the reference (2L,), both in standard deviations."""
        turned = np.linalg.norm(estimate.rotation - self._rotation) / np.sqrt(2)  # twice the sine of half the angle
        noise = np.hypot(_held_rows()[1], tuning.HELD_TURNED * turned) * np.sqrt(tuning.CORRELATION)
        moves = (_held_moves() @ estimate.rotation.T)[..., :2] / noise[:, None]
        off = (picture.missed(camera, estimate) - self._missed @ estimate.rotation.T)[:, :2]
        return moves.reshape(len(moves), -1), (tuning.HELD * off / noise[:, None]).ravel()

    def _moved(self, estimate: Estimate) -> Array:
        """The reference's points (K, 3), head frame, with the blendshapes of ``estimate``."""
        return np.asarray(self._neutral + np.tensordot(estimate.blendshapes, self._basis, axes=1))

    def _seen(
        self, picture: HeadPicture, camera: Camera, layers: Array, brightness: Array, moved: Array, estimate: Estimate, light: Array
    ) -> Seen | None:
        """What the picture shows of the points ``moved``, all or the first; None where it shows too few of them."""
        now, slopes, facing = picture.shows(moved, self._normals[: len(moved)], camera, estimate, layers)
        good = np.flatnonzero(facing > tuning.ALIGNED_FACING)
        if len(good) < tuning.ALIGNED_POINTS:
            return None
        expected = brightness[good]
        by_light = np.stack([expected - expected.mean(), np.ones_like(expected)], axis=1)
        return Seen(good, now[good] - expected - by_light @ light, slopes[good], -by_light, facing[good])


def hair_beside(picture: HeadPicture, camera: Camera, estimate: Estimate) -> Array:
    """Points (P, 3), head frame, of the person beside the bald head and above its chin, as ``picture`` shows them: at the depth of the skull's
    middle, where an outline stays as the head turns."""
    head, away = Head.load(), -float(estimate.translation[2])
    skin = head.shape(estimate.identity, estimate.blendshapes)[np.unique(head.skin_triangles())]
    place = camera.project(skin @ estimate.rotation.T + estimate.translation)[:, :2]
    metre = camera.focal / away
    axes = [np.arange(low, low + size, tuning.HAIR_EVERY * metre) for low, size in zip(picture.corner, picture.size / picture.scale)]
    pixels = np.stack(np.meshgrid(*axes), axis=-1).reshape(-1, 2)
    points = (camera.unproject(pixels, away) - estimate.translation) @ estimate.rotation
    far = cKDTree(place).query(pixels)[0] / metre
    column, row = ((pixels - picture.corner) * picture.scale / picture.size * SIDE).astype(int).T
    grey = np.repeat(picture.brightness().astype(np.uint8)[..., None], 3, axis=2)
    person = PersonSegmenter.load()(grey)[row, column] > tuning.HAIR_PERSON
    low, high = tuning.HAIR_BESIDE
    return np.asarray(points[person & (low < far) & (far < high) & (points[:, 1] > tuning.HAIR_DOWN)])


@dataclass(frozen=True, eq=False)
class Seen:
    """Of the reference's ``points`` (S,), what a frame shows: how much brighter than expected they are, ``missed`` (S,), ``slopes`` (S, 6) of that
    by the pose and ``by_light`` (S, 2) by gain and offset, and the cosines ``facing`` (S,) of :func:`compared`."""

    points: Array
    missed: Array
    slopes: Array
    by_light: Array
    facing: Array

    def equations(self, jacobian: Array, trust: Array | None, independent: float) -> tuple[Array, Array]:
        """Hessian and gradient of unknowns, by which the points' brightness has ``jacobian`` (S, U), and of the light after them; ``trust``: weights
        of all of the reference's points, else 1; ``independent``: how many of them count."""
        # standard deviation, 1.4826 medians of a normal distribution
        noise = max(1.4826 * float(np.median(np.abs(self.missed))), tuning.ALIGNED_NOISE)
        weight = np.minimum(1, 2 * self.facing) / (1 + np.square(self.missed / (2 * noise)))
        weight *= independent / (len(self.missed) * noise**2) * (1 if trust is None else trust[self.points])
        whole = np.concatenate([jacobian, self.by_light], axis=1)
        weighted = whole * weight[:, None]
        return weighted.T @ whole, weighted.T @ self.missed


@numba.njit(cache=True, nogil=True)
def compared(
    shape: Array, normals: Array, rotation: Array, translation: Array, focal: float, centre: Array, scale: Array, layers: Array
) -> tuple[Array, Array, Array]:  # fmt: skip
    """What a picture shows of points ``shape`` (K, 3) with ``normals`` (K, 3), head frame, in a pose.

    centre (2,): the camera's, in pixels of the frame from the picture's corner; scale (2,): pixels of the picture in one of the frame; layers
    (h, w, 3): brightness and its slopes along u and v. → brightness (K,), its derivatives (K, 6) by a small rotation about the camera's axes
    and by the translation, and the cosines (K,) between normals and lines of sight, −1 where a point lies outside the picture.
    """
    height, width = layers.shape[:2]
    now, slopes, facing = np.zeros(len(shape)), np.zeros((len(shape), 6)), np.full(len(shape), -1.0)
    turned, normal, colour = np.empty(3), np.empty(3), np.empty(3)
    for point in range(len(shape)):
        for axis in range(3):
            turned[axis] = normal[axis] = 0.0
            for other in range(3):
                turned[axis] += rotation[axis, other] * shape[point, other]
                normal[axis] += rotation[axis, other] * normals[point, other]
        x, y, z = turned[0] + translation[0], turned[1] + translation[1], turned[2] + translation[2]
        inverse = focal / z
        u, v = (centre[0] - inverse * x) * scale[0], (centre[1] + inverse * y) * scale[1]
        if not (1 < u < width - 1 and 1 < v < height - 1):
            continue
        facing[point] = -(normal[0] * x + normal[1] * y + normal[2] * z) / np.sqrt(x * x + y * y + z * z)
        sample_into(colour, layers, u, v)
        now[point] = colour[0]
        by_u, by_v = colour[1] * scale[0], colour[2] * scale[1]
        by_x, by_y, by_z = -inverse * by_u, inverse * by_v, inverse * (by_u * x - by_v * y) / z
        slopes[point, 0] = turned[1] * by_z - turned[2] * by_y
        slopes[point, 1] = turned[2] * by_x - turned[0] * by_z
        slopes[point, 2] = turned[0] * by_y - turned[1] * by_x
        slopes[point, 3], slopes[point, 4], slopes[point, 5] = by_x, by_y, by_z
    return now, slopes, facing


@functools.cache
def _rows() -> Array:
    """Indices of the vertices whose brightness is compared."""
    return np.flatnonzero(Head.load().region(*REGIONS))[:: tuning.ALIGNED_EVERY]


@functools.cache
def _basis() -> Array:
    """(52, K, 3) float64: how each blendshape moves the vertices of :func:`_rows`."""
    return Head.load().blendshapes[:, _rows()].astype(np.float64)


@functools.cache
def _parted() -> Array:
    """(blendshapes, P, 3) float64, head frame: how the blendshapes :data:`SHOWN` part lips and lids at the model's P pairs of landmarks."""
    model = LandmarkModel.load()
    upper, lower = model.pairs.T
    return np.asarray((model.blendshapes[:, upper] - model.blendshapes[:, lower])[SHOWN])


def _openings(rotation: Array) -> Array:
    """Hessian (blendshapes, blendshapes) of the projected distances between lips and between lids, of standard deviation ``tuning.OPENING_NOISE``."""
    apart = (_parted() @ rotation.T)[..., :2].reshape(len(_parted()), -1) / tuning.OPENING_NOISE
    return np.asarray(apart @ apart.T)


@functools.cache
def _held_rows() -> tuple[Array, Array]:
    """Rows (L,) of the model's landmarks of lips and brows, and the standard deviation (L,) of each, metres."""
    index = LandmarkModel.load().index
    lips, brows = (np.flatnonzero(np.isin(index, landmarks)) for landmarks in (LIPS, BROWS))
    return np.concatenate([lips, brows]), np.repeat([tuning.LIPS_HELD, tuning.BROWS_HELD], [len(lips), len(brows)])


@functools.cache
def _held_moves() -> Array:
    """(blendshapes, L, 3) float64, head frame: how the blendshapes :data:`SHOWN` move the landmarks of :func:`_held_rows`."""
    return np.ascontiguousarray(LandmarkModel.load().blendshapes[SHOWN][:, _held_rows()[0]])
