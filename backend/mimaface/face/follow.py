"""Follows one face frame by frame, without later frames: the identity comes from the first ones; head poses are aligned with a reference frame."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mimaface.geometry.camera import Camera
from mimaface.geometry.smoothing import OneEuro
from mimaface.geometry.threads import one_thread
from mimaface.protocol.arrays import Array
from mimaface.protocol.rotation import continuous_quaternions, matrix_to_quaternion

from . import tuning
from .alignment import HeadPicture, Reference
from .fit import Estimate, gaze_from_irises, lid_opening
from .landmarks import FaceLandmarker, Landmarks
from .track import next_estimate, shared_identity

# Faces from which the identity is made, and the least seconds between two. Raised: an identity nearer to the truth, as one turns one's head
# meanwhile, and a longer wait until the face is followed (each face takes 0.1 to 0.25 s of one core beside the seconds)
IDENTITY_FACES, IDENTITY_APART = 4, 0.15


@dataclass(frozen=True, eq=False)
class Followed:
    """blendshapes (52,); head_quat (4,), w, x, y, z, and head_pos (3,), metres: head → camera; gaze (2, 2), radians, head frame."""

    blendshapes: Array
    head_quat: Array
    head_pos: Array
    gaze: Array


class Follower:
    """Tracks a face through frames that are added in order; stores only the last frame's estimate."""

    def __init__(self) -> None:
        self._landmarker = FaceLandmarker.load()
        self._found: Landmarks | None = None
        self._first: list[tuple[Array, Camera]] = []  # faces for the identity, until there are enough
        self._identity: Array | None = None
        self._estimate: Estimate | None = None  # of the last frame's landmarks, where it showed a face
        self._reference: Reference | None = None  # the first frame whose head could be one
        self._quaternion: Array | None = None
        self._seconds = float("-inf")  # of the last face
        self._gaze = OneEuro(tuning.GAZE_CUTOFF, tuning.GAZE_SPEED)

    @property
    def sees_face(self) -> bool:
        """Whether the last frame showed a face."""
        return self._found is not None

    @property
    def measured(self) -> bool:
        """Whether the identity is known."""
        return self._identity is not None

    def add(self, seconds: float, image: Array) -> Followed | None:
        """One frame (H, W, 3) uint8 at ``seconds``: the face in it; None without one, and until the identity is known."""
        self._found = self._look(image)
        if self._found is None:
            self._estimate = None
            return None
        camera, points = Camera.for_image(image.shape[1], image.shape[0]), self._found.points
        with one_thread():
            if self._identity is None:
                if seconds - self._seconds >= IDENTITY_APART:
                    self._first.append((points, camera))
                    self._seconds = seconds
                if len(self._first) < IDENTITY_FACES:
                    return None
                self._identity, self._first = shared_identity(self._first), []
            self._estimate = next_estimate(points, camera, self._identity, self._estimate, seconds - self._seconds)
            self._seconds = seconds
            return self._followed(seconds, points, camera, self._aligned(image, points, camera, self._estimate))

    def _aligned(self, image: Array, points: Array, camera: Camera, estimate: Estimate) -> Estimate:
        picture = HeadPicture.of(image, points)
        if picture is None:
            return estimate
        if self._reference is None:
            self._reference = Reference(picture, camera, estimate)
        return self._reference.aligned(picture, camera, estimate)

    def _look(self, image: Array) -> Landmarks | None:
        """Returns the face near the last one, else the largest. Small faces are not searched, which would take long."""
        if self._found is not None:
            near = self._landmarker.follow(image, self._found.points)
            if near.presence >= tuning.MIN_PRESENCE:
                return near
        for face in self._landmarker.detect(image)[:1]:
            found = self._landmarker.landmarks(image, face)
            if found.presence >= tuning.MIN_PRESENCE:
                return found
        return None

    def _followed(self, seconds: float, points: Array, camera: Camera, estimate: Estimate) -> Followed:
        quaternion = matrix_to_quaternion(estimate.rotation)
        if self._quaternion is not None:
            quaternion = continuous_quaternions(np.stack([self._quaternion, quaternion]))[1]
        self._quaternion = quaternion
        gaze = self._gaze.value
        if gaze is None or lid_opening(points).mean() > tuning.CLOSED_EYE:  # held while the eyes are shut
            gaze = self._gaze.next(np.clip(gaze_from_irises(points, camera, estimate) * tuning.GAZE_GAIN, -1.0, 1.0), seconds)
        return Followed(estimate.blendshapes, quaternion, estimate.translation, gaze)
