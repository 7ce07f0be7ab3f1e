"""From the tracking of one video to what a training sample takes of it: a source frame, a driven window, or the reason for neither."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import laplace

from mimaface.protocol.motion import MotionClip
from mimaface.reprojection.crops import CropWindow

Array = NDArray[Any]
SHARPNESS_SIDE = 96  # pixels to which a face is scaled before its sharpness is measured, so that large faces are not "blurred"
OVAL = 468  # landmarks of the face; the rest are irises
JUMP = 0.25  # face heights between neighbouring frames: beyond it the shot was cut or another face is followed
GAP = 1.6  # frame times: a longer pause is a gap
RATE = 25.0  # frames per second that are wanted of faster videos


class Rejected(Exception):
    """A clip is of no use: ``reason`` is a fixed short name to count by, ``detail`` says it with numbers."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason, self.detail = reason, detail


@dataclass(frozen=True)
class Limits:
    """What a clip must reach. Faces are measured by the height or width of their landmarks, whichever is larger.

    face: pixels of the recorded face; confidence: of the landmarker, 0–1; sharpness: variance of the Laplacian, 8-bit grey levels
    at 96 pixels a face; fit: mean distance of fitted and seen landmarks as a share of the face; motion: mean distance of the
    landmarks from their middle place, likewise; outside: share of the landmarks that may leave the crop.
    """

    face: float = 70.0
    confidence: float = 0.8
    sharpness: float = 40.0
    fit: float = 0.035
    motion: float = 0.010
    outside: float = 0.02


@dataclass(frozen=True, eq=False)
class Tracked:
    """One examined video of T frames: its motion, and the sharpness (T,) of the face in each frame, NaN where none was seen."""

    motion: MotionClip
    sharpness: Array

    @property
    def points(self) -> Array:
        """(T, 468, 2) pixels."""
        assert self.motion.landmarks is not None
        return np.asarray(self.motion.landmarks[:, :OVAL, :2])

    @property
    def face(self) -> Array:
        """(T,) pixels: the larger side of the landmarks' box."""
        return np.asarray(np.ptp(self.points, axis=1).max(1))


@dataclass(frozen=True, eq=False)
class Choice:
    """source: frame of the portrait; driven (F,): frames of the window; rate: frames per second of the window."""

    source: int
    driven: Array
    rate: float


def sharpness_of(image: Array, points: Array) -> float:
    """Variance of the Laplacian of the face (Pech-Pacheco et al. 2000) in image (H, W, 3) uint8 around points (P, 2); 0 if outside."""
    low = np.clip(np.floor(points.min(0)), 0, [image.shape[1], image.shape[0]]).astype(int)
    high = np.clip(np.ceil(points.max(0)), 0, [image.shape[1], image.shape[0]]).astype(int)
    if (high - low < 8).any():
        return 0.0
    face = Image.fromarray(image[low[1] : high[1], low[0] : high[0]]).convert("L")
    face = face.resize((SHARPNESS_SIDE, SHARPNESS_SIDE), Image.Resampling.BOX)
    return float(laplace(np.asarray(face, np.float64)).var())


def choose(clip: Tracked, frames: int, limits: Limits, seed: int) -> Choice:
    """The window of ``frames`` that moves most and, drawn by ``seed``, one of the calmer half of the frames outside it.

    Raises :class:`Rejected` with the first requirement that leaves no window.
    """
    time, count = clip.motion.time, len(clip.motion)
    if count < frames + 1:
        raise Rejected("too short", f"{count} frames, {frames + 1} are needed")
    period = float(np.median(np.diff(time)))
    step = max(round(1 / (period * RATE)), 1)
    face = clip.face
    moved = np.linalg.norm(np.diff(clip.points.mean(1), axis=0), axis=1) / face[1:]
    linked = np.concatenate([[True], (moved < JUMP) & (np.diff(time) < GAP * period)])
    seen = clip.motion.valid[:, 0]
    requirements = [
        ("too short", np.ones(count, bool), f"{count} frames, {step * (frames - 1) + 2} are needed"),
        ("tracking gap", seen, f"the face is seen in {seen.sum()} of {count} frames, not long enough in a row"),
        ("face too small", face >= limits.face, f"{np.median(face[seen]):.0f} pixels, {limits.face:.0f} are needed"),
        ("confidence", clip.motion.confidence[:, 0] >= limits.confidence, f"below {limits.confidence}"),
        (
            "blurred",
            clip.sharpness >= limits.sharpness,
            f"sharpness {np.nanmedian(clip.sharpness):.0f} of {limits.sharpness:.0f}",
        ),
    ]
    good = np.ones(count, bool)
    starts = np.zeros(0, int)
    for reason, fulfilled, detail in requirements:
        good &= fulfilled
        starts = windows(good, linked | (reason == "too short"), frames, step)
        if len(starts) == 0:
            raise Rejected(reason, detail)
    reach = step * np.arange(frames)
    motions = np.array([motion_of(clip.points[start + reach]) for start in starts])
    if motions.max() < limits.motion:
        raise Rejected("too little motion", f"{motions.max():.4f} face heights, {limits.motion} are needed")
    driven = starts[int(np.argmax(motions))] + reach
    return Choice(choose_source(clip, good, driven, seed), driven, 1 / (period * step))


def windows(good: Array, linked: Array, frames: int, step: int) -> Array:
    """First frames of all windows of ``frames``, every ``step``-th, in which all are good (T,) and linked (T,) to the one before."""
    span = step * (frames - 1) + 1
    broken = np.concatenate([[0], np.cumsum(~good)])
    torn = np.concatenate([[0], np.cumsum(~linked)])
    first = np.arange(max(len(good) - span + 1, 0))
    whole = (broken[first + span] == broken[first]) & (torn[first + span] == torn[first + 1])
    return np.asarray(first[whole])


def motion_of(points: Array) -> float:
    """How much a face moves: mean distance of points (F, P, 2) from their middle places, in face heights."""
    size = float(np.ptp(points, axis=1).max(1).mean())
    return float(np.linalg.norm(points - points.mean(0), axis=2).mean() / max(size, 1e-6))


def choose_source(clip: Tracked, good: Array, driven: Array, seed: int) -> int:
    """A good frame (T,) that could be a portrait: little turned, eyes open; outside the window ``driven`` where there is one."""
    outside = good.copy()
    outside[driven] = False
    candidates = np.flatnonzero(outside if outside.any() else good)
    # 2·|w| of a unit quaternion falls with the angle; blendshapes count by their sum, so that a grimace is worse than a word
    turned = 1 - np.abs(clip.motion.head_quat[candidates, 0])
    effort = turned * 20 + clip.motion.blendshapes[candidates].sum(1) / 10
    calm = candidates[np.argsort(effort, kind="stable")[: (len(candidates) + 1) // 2]]
    return int(np.random.default_rng(seed).choice(np.sort(calm)))


def check_inside(points: Array, frame: CropWindow, limits: Limits) -> None:
    """Raises :class:`Rejected` when landmarks (F, P, 2), pixels of the video, leave the crop in any frame."""
    side = np.array([frame.width, frame.height]) / frame.scale
    corner = np.array([frame.left, frame.top])
    outside = ((points < corner) | (points > corner + side)).any(2).mean(1)
    if outside.max() > limits.outside:
        raise Rejected("leaves the crop", f"{100 * outside.max():.0f} % of the face in one frame")
