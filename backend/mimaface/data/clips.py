"""Selection of a source frame and a driven window from a tracked video, with the reason for rejecting a clip."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image
from scipy.ndimage import laplace

from mimaface.protocol.arrays import Array
from mimaface.protocol.motion import MotionClip
from mimaface.reprojection.crops import CropWindow

SHARPNESS_SIDE = 96  # pixels to which a face is scaled before its sharpness is measured, for comparability
FACE_LANDMARKS = 468  # landmarks of the face; the others are irises
LARGEST_STEP = 0.25  # face heights between neighbouring frames. Larger steps are cuts, or another face
LARGEST_PAUSE = 1.6  # frame intervals. Longer pauses are gaps
RATE = 25.0  # frames per second to which faster videos are reduced


class Rejected(Exception):
    """A clip that cannot be used. ``reason`` is a fixed short name for statistics, ``detail`` contains the numbers."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason, self.detail = reason, detail


@dataclass(frozen=True)
class Limits:
    """Requirements for clips. Face size is the larger side of the landmarks' box.

      face        pixels of the recorded face
      confidence  of the landmarker, 0–1
      sharpness   variance of the Laplacian in 8-bit grey levels at 96 pixels per face
      fit         mean distance of fitted and detected landmarks, as a share of the face
      motion      mean distance of landmarks from their mean position, likewise
      outside     share of landmarks that may leave the crop
    """

    face: float = 70.0
    confidence: float = 0.8
    sharpness: float = 40.0
    fit: float = 0.035
    motion: float = 0.010
    outside: float = 0.02


@dataclass(frozen=True, eq=False)
class Tracked:
    """A tracked video of T frames: its motion, and the face's sharpness (T,) in each frame, NaN without a face."""

    motion: MotionClip
    sharpness: Array

    @property
    def points(self) -> Array:
        """(T, 468, 2) pixels."""
        assert self.motion.landmarks is not None
        return np.asarray(self.motion.landmarks[:, :FACE_LANDMARKS, :2])

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
    """Returns the variance of the Laplacian of a face (Pech-Pacheco et al. 2000) in image (H, W, 3) uint8 around points (P, 2); 0
    outside.
    """
    low = np.clip(np.floor(points.min(0)), 0, [image.shape[1], image.shape[0]]).astype(int)
    high = np.clip(np.ceil(points.max(0)), 0, [image.shape[1], image.shape[0]]).astype(int)
    if (high - low < 8).any():
        return 0.0
    face = Image.fromarray(image[low[1] : high[1], low[0] : high[0]]).convert("L")
    face = face.resize((SHARPNESS_SIDE, SHARPNESS_SIDE), Image.Resampling.BOX)
    return float(laplace(np.asarray(face, np.float64)).var())


def choose(clip: Tracked, frames: int, limits: Limits, seed: int) -> Choice:
    """Returns the window of ``frames`` with most motion and a random one of the calmer half of the frames outside it.

    Raises :class:`Rejected` with the first requirement that leaves no window.
    """
    time, count = clip.motion.time, len(clip.motion)
    if count < frames + 1:
        raise Rejected("too short", f"{count} frames, {frames + 1} are needed")
    period = float(np.median(np.diff(time)))
    step = max(round(1 / (period * RATE)), 1)
    face = clip.face
    moved = np.linalg.norm(np.diff(clip.points.mean(1), axis=0), axis=1) / face[1:]
    linked = np.concatenate([[True], (moved < LARGEST_STEP) & (np.diff(time) < LARGEST_PAUSE * period)])
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
    """Returns the first frames of all windows of ``frames``, every ``step``-th, whose frames are all good (T,) and linked (T,) to
    the previous one.
    """
    span = step * (frames - 1) + 1
    broken = np.concatenate([[0], np.cumsum(~good)])
    torn = np.concatenate([[0], np.cumsum(~linked)])
    first = np.arange(max(len(good) - span + 1, 0))
    whole = (broken[first + span] == broken[first]) & (torn[first + span] == torn[first + 1])
    return np.asarray(first[whole])


def motion_of(points: Array) -> float:
    """Returns the mean distance of points (F, P, 2) from their mean positions, in face heights."""
    size = float(np.ptp(points, axis=1).max(1).mean())
    return float(np.linalg.norm(points - points.mean(0), axis=2).mean() / max(size, 1e-6))


def choose_source(clip: Tracked, good: Array, driven: Array, seed: int) -> int:
    """Returns a good frame (T,) suited as a portrait: nearly frontal, eyes open; outside the window ``driven`` if possible."""
    outside = good.copy()
    outside[driven] = False
    candidates = np.flatnonzero(outside if outside.any() else good)
    # 2·|w| of a unit quaternion falls with the angle; blendshapes are summed, so grimaces rank below speech
    turned = 1 - np.abs(clip.motion.head_quat[candidates, 0])
    effort = turned * 20 + clip.motion.blendshapes[candidates].sum(1) / 10
    calm = candidates[np.argsort(effort, kind="stable")[: (len(candidates) + 1) // 2]]
    return int(np.random.default_rng(seed).choice(np.sort(calm)))


def check_inside(points: Array, frame: CropWindow, limits: Limits) -> None:
    """Raises :class:`Rejected` when landmarks (F, P, 2), in pixels of the video, leave the crop in any frame."""
    side = np.array([frame.width, frame.height]) / frame.scale
    corner = np.array([frame.left, frame.top])
    outside = ((points < corner) | (points > corner + side)).any(2).mean(1)
    if outside.max() > limits.outside:
        raise Rejected("leaves the crop", f"{100 * outside.max():.0f} % of the face in one frame")
