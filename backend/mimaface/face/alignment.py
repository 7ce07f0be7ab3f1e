"""Head pose from the brightness of the skin: a frame is aligned with a reference frame of the same face, near its landmarks' pose.

Landmarks of a network slide over the skin by a few millimetres, which turns the head by degrees. The skin itself does not: points of the
posed head keep their brightness from frame to frame (Lucas and Kanade 1981; directly on a surface: Engel et al. 2018), up to a gain and
an offset. Gauss–Newton from coarse to fine, robust to what is occluded or has changed (Geman and McClure 1985), with the landmarks'
pose as a Gaussian prior.
"""

from __future__ import annotations

import functools
import io
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import gaussian_filter

from mimaface.geometry.camera import Camera
from mimaface.geometry.interpolation import sample_into
from mimaface.geometry.rasterise import vertex_normals

from . import tuning
from .fit import Estimate, rotation_vector
from .head import Head

Array = NDArray[Any]
REGIONS = ("face", "brows", "lids", "lips", "ears")
# Standard deviations of the prior: three of the rotation (radians) and of the translation (metres), then gain and offset (levels of 0–255)
PRIOR = np.array([*tuning.ALIGNED_TURN, *tuning.ALIGNED_MOVE, 0.3, 30.0])


@dataclass(frozen=True, eq=False)
class HeadPicture:
    """The head of one frame: a small grey picture ``jpeg`` of width × height ``size`` (2,), at most ``tuning.ALIGNED_SIDE`` a side, which shows the
    frame's pixels from ``corner`` (2,) on, enlarged by ``scale`` (2,) along u and v. It takes about 5 kB."""

    jpeg: bytes
    size: Array
    corner: Array
    scale: Array

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
        return cls(file.getvalue(), shown, corner.astype(float), shown / size)

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

    def millimetre(self, camera: Camera, estimate: Estimate) -> float:
        """Pixels of this picture that a millimetre of the head takes."""
        return float(camera.focal / -estimate.translation[2] * self.scale.mean() / 1000)


class Reference:
    """One frame of a face, which others are aligned with."""

    def __init__(self, picture: HeadPicture, camera: Camera, estimate: Estimate) -> None:
        self._camera = camera
        head, rows = Head.load(), _rows()
        self._neutral = head.shape(estimate.identity, np.zeros(head.expression_size))[rows].astype(np.float64)
        normals = vertex_normals(head.shape(estimate.identity, estimate.blendshapes), head.skin_triangles())[rows].astype(np.float64)
        self._shape = self._neutral + np.tensordot(estimate.blendshapes, _basis(), axes=1)
        layers = list(picture.layers(camera, estimate))
        shown = picture.shows(self._shape, normals, camera, estimate, layers[0])[2] > tuning.ALIGNED_FACING
        self._kept, self._normals, self._neutral, self._shape = shown, normals[shown], self._neutral[shown], self._shape[shown]
        self._brightness = [picture.shows(self._shape, self._normals, camera, estimate, each)[0] for each in layers]

    def aligned(self, picture: HeadPicture, estimate: Estimate) -> Estimate:
        """``estimate`` of another frame, which ``picture`` shows, with rotation and translation aligned with the reference."""
        moved = self._neutral + np.tensordot(estimate.blendshapes, _basis()[:, self._kept], axes=1)
        # what the expression has moved is known less well
        trust = 1 / (1 + np.square(np.linalg.norm(moved - self._shape, axis=1) / tuning.ALIGNED_STILL))
        away = np.zeros(len(PRIOR))  # of the landmarks' pose, and of the reference's light
        for layers, brightness in zip(picture.layers(self._camera, estimate), self._brightness):
            for _ in range(tuning.ALIGNED_ROUNDS):
                step = self._step(picture, layers, brightness, moved, trust, estimate, away)
                if step is None:
                    return estimate
                away = away + step
                estimate = replace(
                    estimate, rotation=rotation_vector(step[:3]) @ estimate.rotation, translation=estimate.translation + step[3:6]
                )
                if np.abs(step[:6] / PRIOR[:6]).max() < tuning.ALIGNED_LEAST:
                    break
        return estimate

    def _step(
        self, picture: HeadPicture, layers: Array, brightness: Array, moved: Array, trust: Array, estimate: Estimate, away: Array
    ) -> Array | None:
        """The Gauss–Newton step (8,) of pose, gain and offset; None where too little of the head is seen."""
        now, slopes, facing = picture.shows(moved, self._normals, self._camera, estimate, layers)
        good = facing > tuning.ALIGNED_FACING
        if good.sum() < tuning.ALIGNED_POINTS:
            return None
        now, slopes, facing, expected = now[good], slopes[good], facing[good], brightness[good]
        light = np.stack([expected - expected.mean(), np.ones_like(expected)], axis=1)
        jacobian = np.concatenate([slopes, -light], axis=1)
        missed = now - expected - light @ away[6:]
        # standard deviation, 1.4826 medians of a normal distribution
        noise = max(1.4826 * float(np.median(np.abs(missed))), tuning.ALIGNED_NOISE)
        weight = trust[good] * np.minimum(1, 2 * facing) / (1 + np.square(missed / (2 * noise)))
        weight *= tuning.ALIGNED_INDEPENDENT / (len(now) * noise**2)
        weighted = jacobian * weight[:, None]
        hessian = weighted.T @ jacobian + np.diag(PRIOR**-2)
        return np.asarray(np.linalg.solve(hessian, -(weighted.T @ missed + away / PRIOR**2)))


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
    """(52, K, 3) float64: what the blendshapes do to :func:`_rows`."""
    return Head.load().blendshapes[:, _rows()].astype(np.float64)
