"""The body: it follows the head, less with the distance from the base of the neck; and is continued where the photograph's border cuts it off.

Beyond the border hair is rounded off, and arms and shoulders are continued straight, with colours mirrored at the border. That is visible only
when the person moves away from the border."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.ndimage import uniform_filter

from mimaface.face.fit import FittedFace
from mimaface.face.pose import FacePose
from mimaface.geometry.camera import Camera
from mimaface.geometry.interpolation import smoothstep
from mimaface.protocol.arrays import Array

from . import tuning
from .kernels import Continued
from .projection import Projection

SOON = 0.01  # metres that the shoulders go until they are cut out of the photograph


class Body:
    """How far the shoulders move with the head, and the share of that for each point of the body.

    A small translation of the head moves the neck alone; of a larger one the shoulders take a growing part. Rotations of the head never
    move them. follows: 0, the shoulders stay, to 1, they take all of a large translation.
    """

    def __init__(self, fit: FittedFace, follows: float) -> None:
        self.follows = follows
        self._place = fit.translation
        self._base = fit.translation + fit.rotation @ tuning.NECK_BASE

    def shift(self, pose: FacePose) -> Array:
        """(3,) metres, camera frame: how far the shoulders go with a head in ``pose``."""
        moved = pose.translation - self._place
        far = self._leaves(moved) ** 2
        return np.asarray(self.follows * far / (far + tuning.NECK_TAKES**2) * moved)

    def loose(self, pose: FacePose) -> float:
        """0 while the shoulders stay, rising to 1 soon after they begin to go with a head in ``pose``."""
        return float(smoothstep(0.0, SOON, np.array(self.follows * self._leaves(pose.translation - self._place))))

    def _leaves(self, moved: Array) -> float:
        """Returns the metres of a head's translation ``moved`` (3,) that exceed what the neck takes alone."""
        return max(float(np.linalg.norm(moved)) - tuning.NECK_ALONE, 0.0)

    def share(self, points: Array) -> Array:
        """(…) share of :meth:`shift` that ``points`` (…, 3) of the photograph, metres, camera frame, take: 1 at the neck's base, 0 far from it."""
        return 1 - smoothstep(*tuning.BODY_REACH, np.linalg.norm(points - self._base, axis=-1))

    def neck(self, camera: Camera) -> float:
        """The row of a picture of ``camera`` in which the neck's base is."""
        return float(camera.project(self._base)[1])


class Beyond(NamedTuple):
    """Pixels beyond each border of a picture."""

    left: int = 0
    top: int = 0
    right: int = 0
    bottom: int = 0


def person_beyond(projection: Projection, beyond: Beyond, neck: float, head: Array) -> tuple[Continued, Array]:
    """Colours (H', W') of the person and its matte (H', W') float32, of a picture with so many pixels ``beyond`` its borders.

    neck: the row of the neck's base; above it the person at the left and right border is hair, below it shoulders and arms;
    head (H', W') bool: where the fitted head is.
    """
    matte, (height, width) = projection.matte, projection.matte.shape
    rows = mirrored(height, beyond.top, beyond.bottom, *_beside_face(projection))
    columns = mirrored(width, beyond.left, beyond.right, width, width)
    person = Continued(projection.person, rows.astype(np.int32), columns.astype(np.int32))
    if not any(beyond):
        return person, matte
    result = np.zeros((len(rows), len(columns)), np.float32)
    across = np.s_[beyond.left : beyond.left + width]
    result[beyond.top : beyond.top + height, across] = matte
    result[: beyond.top, across] = rounded_off(matte[0], beyond.top)[::-1]
    result[beyond.top + height :, across] = matte[-1]
    low = smoothstep(-tuning.NECK_SOFT, tuning.NECK_SOFT, (np.arange(height) - neck) / projection.head_width)[:, None]
    for wide, picture, inward in ((beyond.left, matte, 1), (beyond.right, matte[:, ::-1], -1)):
        hair = rounded_off(picture[:, 0], wide).T
        side = hair + low * (_went_on(picture, wide, neck, projection.head_width) - hair)
        side = np.pad(side, ((beyond.top, beyond.bottom), (0, 0)), "edge")
        side[: beyond.top] *= rounded_off(np.ones(1), beyond.top)[::-1] if beyond.top and not picture[0, 0] > 0.5 else 1
        place = np.s_[: beyond.left] if inward > 0 else np.s_[beyond.left + width :]
        result[:, place] = side[:, ::-1] if inward > 0 else side
    outside = np.ones(result.shape, bool)
    outside[beyond.top : beyond.top + height, across] = False
    soft = uniform_filter(head.astype(np.float32), 3)
    return person, np.where(outside, np.maximum(result, soft), result)


def mirrored(size: int, before: int, after: int, first: int, last: int) -> Array:
    """(before + size + after,) index of the pixel at each place along an axis; beyond its ends the ``first`` and ``last``, mirrored to and fro."""
    early, late = np.arange(before)[::-1] % (2 * first), np.arange(after) % (2 * last)
    early, late = np.minimum(early, 2 * first - 1 - early), np.minimum(late, 2 * last - 1 - late)
    return np.concatenate([early, np.arange(size), size - 1 - late])


def rounded_off(border: Array, reach: int) -> Array:
    """The matte (reach, N) beyond a border whose pixels have ``border`` (N,): half an ellipse over each run of the person, as the outline of
    a head that is cut off; a run over the whole border goes straight on."""
    inside = border > 0.5
    away = np.arange(reach)[:, None] + 0.5
    if inside.all():
        return np.ones((reach, len(border)), np.float32)
    edges = np.flatnonzero(np.diff(np.concatenate([[False], inside, [False]]).astype(int)))
    high = np.zeros(len(border))
    for start, stop in edges.reshape(-1, 2):
        # a run that the picture's corner cuts off is half of one
        first, last = 2 * start - stop if start == 0 else start, 2 * stop - start if stop == len(border) else stop
        place = np.arange(start, stop) + 0.5
        high[start:stop] = tuning.ROUNDED * np.sqrt((place - first) * (last - place))
    return np.asarray(np.clip(high - away + 0.5, 0, 1), np.float32)


def _went_on(matte: Array, reach: int, neck: float, head_width: float) -> Array:
    """Returns the matte (H, reach) beyond the left border of ``matte`` (H, W): below row ``neck`` the outline goes straight on."""
    column = np.arange(matte.shape[0])
    inner = min(max(round(tuning.OUTLINE_AHEAD * head_width), 1), matte.shape[1] - 1)
    tops = [np.flatnonzero((matte[:, x] > 0.5) & (column > neck - head_width * tuning.NECK_SOFT)) for x in (0, inner)]
    slope = (tops[0][0] - tops[1][0]) / inner if all(len(top) for top in tops) else 0.0
    drop = np.clip(slope, 0, tuning.STEEPEST) * (np.arange(reach) + 1)
    rows = np.clip(column[:, None] - drop, 0, len(column) - 1)
    return np.asarray(np.interp(rows.ravel(), column, matte[:, 0]).reshape(rows.shape), np.float32)


def _beside_face(projection: Projection) -> tuple[int, int]:
    """Rows of hair between the picture's upper border and the face, and of neck between the face and the lower border."""
    face, height = projection.place[projection.head.region("face", "lips", "lids"), 1], len(projection.matte)
    above, below = np.clip([face.min(), height - face.max()], tuning.LEAST_BESIDE, height)
    return int(above), int(below)
