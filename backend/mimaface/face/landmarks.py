"""Faces and their 478 landmarks in a picture: Google's face landmarker (Apache-2.0), run by LiteRT on the CPU.

Kartynnik et al. 2019, "Real-time Facial Surface Geometry from Monocular Video on Mobile GPUs"; Bazarevsky et al. 2019,
"BlazeFace". The networks are in ``assets/``; decoding follows their published model cards.
"""

from __future__ import annotations

import functools
import threading
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from mimaface.protocol.arrays import Array

from . import tuning
from .head import ASSETS
from .networks import open_network, run_network

DETECTOR_SIDE, MESH_SIDE = 128, 256
TILINGS = (1, 2, 4, 8)  # the whole picture, then ever smaller overlapping windows: finds small faces
UPSIDE_DOWN = 2  # windows a side up to which upside-down faces are searched, too: in the whole picture, and where none is found
ALWAYS = 4  # windows a side that are always looked through; finer ones cost 0.2 s, and only while too few faces have been found


@dataclass(frozen=True, eq=False)
class DetectedFace:
    """box (4,): left, top, right, bottom; keypoints (6, 2): eyes (image left first), nose, mouth, ears; all in pixels."""

    box: Array
    keypoints: Array
    score: float

    @property
    def area(self) -> float:
        return float(np.prod(self.box[2:] - self.box[:2]))


@dataclass(frozen=True, eq=False)
class Landmarks:
    """points (478, 3): u, v in pixels of the picture, z on the same scale (toward the camera is negative); presence 0–1."""

    points: Array
    presence: float


class FaceLandmarker:
    """Detector and mesh network. Safe from several threads: one call runs at a time."""

    def __init__(self, folder: Path = ASSETS) -> None:
        self._lock = threading.Lock()
        self._detector = open_network(folder / "face_detector.tflite")
        self._mesh = open_network(folder / "face_landmarks.tflite")

    @staticmethod
    @functools.cache
    def load() -> FaceLandmarker:
        """The shared instance. Raises :class:`InvalidCheckpoint` when a network is missing or damaged."""
        return FaceLandmarker()

    def detect(self, image: Array, tiles: int = 1, turned: bool = False) -> list[DetectedFace]:
        """Faces in an RGB picture (H, W, 3) uint8 by windows of which ``tiles`` and more go side by side, largest first.

        Faces tilted by up to 100° to either side are found; with ``turned``, the others.
        """
        height, width = image.shape[:2]
        extent = max(height, width) / tiles * (1.0 if tiles == 1 else 1.5)
        found: list[DetectedFace] = []
        for top in _starts(height, extent, tiles):
            for left in _starts(width, extent, tiles):
                found += self._detect_in(image, left, top, extent, turned)
        return sorted(_without_overlaps(found), key=lambda face: -face.area)

    def landmarks(self, image: Array, face: DetectedFace) -> Landmarks:
        """The 478 points of a detected face, refined once on a crop around the first estimate."""
        eyes = face.keypoints[1] - face.keypoints[0]
        size = tuning.CROP_MARGIN * float(max(face.box[2:] - face.box[:2]))
        first = self._run_mesh(image, face.box.reshape(2, 2).mean(0), size, float(np.arctan2(eyes[1], eyes[0])))
        return self.follow(image, first.points)

    def follow(self, image: Array, previous: Array) -> Landmarks:
        """The 478 points near where they were before, ``previous`` (478, 3): no detector run."""
        eyes = previous[[263, 362], :2].mean(0) - previous[[33, 133], :2].mean(0)
        angle = float(np.arctan2(eyes[1], eyes[0]))
        cos, sin = np.cos(angle), np.sin(angle)
        turned = previous[:468, :2] @ np.array([[cos, -sin], [sin, cos]])
        low, high = turned.min(0), turned.max(0)
        centre = np.array([[cos, -sin], [sin, cos]]) @ ((low + high) / 2)
        return self._run_mesh(image, centre, tuning.CROP_MARGIN * float(max(high - low)), angle)

    def faces(self, image: Array, least: int = 1) -> list[Landmarks]:
        """Landmarks of every face, largest first; detections that the mesh network does not confirm are dropped.

        Small faces beside large ones are looked for, the smallest only while fewer than ``least`` have been found.
        """
        every: list[Landmarks] = []
        for tiles in TILINGS:
            if tiles > ALWAYS and len(every) >= least:
                break
            found = self.detect(image, tiles)
            if tiles == 1 or (tiles <= UPSIDE_DOWN and not every):
                found += self.detect(image, tiles, turned=True)
            if every and tiles > 1:
                sure = tuning.FURTHER_SCORE, tuning.FURTHER_SIDE
                found = [face for face in found if face.score >= sure[0] and face.box[2] - face.box[0] >= sure[1]]
                found = [face for face in found if not any(_same(face.box, _box(known.points)) for known in every)]
            marked = [self.landmarks(image, face) for face in found]
            every = _one_of_each([*every, *(marks for marks in marked if marks.presence >= tuning.SURE_PRESENCE)])
        return sorted(every, key=lambda found: -float(np.prod(np.ptp(found.points[:468, :2], axis=0))))

    def _detect_in(self, image: Array, left: float, top: float, extent: float, turned: bool) -> list[DetectedFace]:
        crop = crop_square(image, np.array([left + extent / 2, top + extent / 2]), extent, 0.0, DETECTOR_SIDE)
        if turned:
            crop = crop[::-1, ::-1]
        with self._lock:
            raw, score = run_network(self._detector, crop[None].astype(np.float32) / 127.5 - 1.0)
        if raw.shape[-1] == 1:
            raw, score = score, raw
        probability = 1 / (1 + np.exp(-np.clip(score[0, :, 0], -50, 50)))
        result = []
        for index in np.flatnonzero(probability >= tuning.MIN_SCORE):
            numbers = raw[0, index].reshape(8, 2) / DETECTOR_SIDE
            centre, size = numbers[0] + _anchors()[index], numbers[1]
            corners, keypoints = np.stack([centre - size / 2, centre + size / 2]), numbers[2:] + _anchors()[index]
            if turned:
                corners, keypoints = 1 - corners[::-1], 1 - keypoints
            box = (corners * extent + [left, top]).ravel()
            keypoints = keypoints * extent + [left, top]
            result.append(DetectedFace(box, keypoints, float(probability[index])))
        return result

    def _run_mesh(self, image: Array, centre: Array, size: float, angle: float) -> Landmarks:
        size = max(size, 8.0)
        crop = crop_square(image, centre, size, angle, MESH_SIDE)
        with self._lock:
            outputs = run_network(self._mesh, crop[None].astype(np.float32) / 255.0)
        points = next(value for value in outputs if value.size == 478 * 3).reshape(478, 3).astype(np.float64)
        logit = float(next(value for value in outputs if value.shape == (1, 1, 1, 1)).ravel()[0])
        cos, sin = np.cos(angle), np.sin(angle)
        offset = (points[:, :2] / MESH_SIDE - 0.5) * size
        place = offset @ np.array([[cos, sin], [-sin, cos]]) + centre
        scaled = np.concatenate([place, points[:, 2:] * size / MESH_SIDE], axis=1)
        return Landmarks(scaled, 1 / (1 + float(np.exp(-np.clip(logit, -50, 50)))))


def crop_square(image: Array, centre: Array, size: float, angle: float, side: int) -> Array:
    """A square of ``size`` pixels around ``centre`` (2,), turned by ``angle`` radians → (side, side, 3) uint8, black outside."""
    reach = size * (abs(np.cos(angle)) + abs(np.sin(angle))) / 2 + 2
    low = np.maximum(np.floor(centre - reach), 0).astype(int)
    high = np.minimum(np.ceil(centre + reach).astype(int), [image.shape[1], image.shape[0]])
    if (high - low < 2).any():
        return np.zeros((side, side, 3), np.uint8)
    part = Image.fromarray(image[low[1] : high[1], low[0] : high[0]])
    shrink = max(int(size / side / 1.2), 1)
    part = part.reduce(shrink) if shrink > 1 else part
    step = size / side / shrink
    cos, sin = np.cos(angle) * step, np.sin(angle) * step
    start = (centre - low) / shrink - np.array([cos - sin, sin + cos]) * side / 2
    matrix = (cos, -sin, start[0], sin, cos, start[1])
    return np.asarray(part.transform((side, side), Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR))


def _starts(length: int, extent: float, tiles: int) -> list[float]:
    if tiles == 1 or length <= extent:
        return [(length - extent) / 2]
    count = int(np.ceil(length / (extent / 1.5)))
    return [float(value) for value in np.linspace(0, length - extent, max(count, 2))]


def _without_overlaps(faces: list[DetectedFace]) -> list[DetectedFace]:
    unique: list[DetectedFace] = []
    for face in sorted(faces, key=lambda item: -item.score):
        if all(_overlap(face.box, other.box) < tuning.MAX_OVERLAP for other in unique):
            unique.append(face)
    return unique


def _one_of_each(faces: list[Landmarks]) -> list[Landmarks]:
    """The faces without duplicates: of two boxes on one face, the one with the higher presence."""
    unique: list[Landmarks] = []
    for face in sorted(faces, key=lambda item: -item.presence):
        if not any(_same(_box(face.points), _box(other.points)) for other in unique):
            unique.append(face)
    return unique


def _box(points: Array) -> Array:
    """left, top, right, bottom (4,) of landmarks (478, 3)."""
    return np.concatenate([points[:468, :2].min(0), points[:468, :2].max(0)])


def _shared(a: Array, b: Array) -> float:
    """Pixels² that two boxes (4,) share."""
    return float(np.prod(np.maximum(np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2]), 0)))


def _same(a: Array, b: Array) -> bool:
    """Returns whether most of the smaller of two boxes (4,) lies in the other one."""
    return _shared(a, b) > tuning.SAME_FACE * float(min(np.prod(a[2:] - a[:2]), np.prod(b[2:] - b[:2])))


def _overlap(a: Array, b: Array) -> float:
    """Intersection over union of two boxes (4,)."""
    shared = _shared(a, b)
    return shared / (float(np.prod(a[2:] - a[:2]) + np.prod(b[2:] - b[:2])) - shared + 1e-9)


@functools.cache
def _anchors() -> Array:
    """Centres (896, 2) of the detector's anchors, 0–1: stride 8 twice, then stride 16 six times per cell."""
    rows = []
    for cells, repeats in ((16, 2), (8, 6)):
        y, x = np.mgrid[:cells, :cells]
        centres = np.stack([x.ravel() + 0.5, y.ravel() + 0.5], axis=1) / cells
        rows.append(np.repeat(centres, repeats, axis=0))
    return np.concatenate(rows)
