"""The body follows the head: its points move with the base of the neck, less with their distance from it."""

from __future__ import annotations

import numpy as np

from mimaface.face.fit import FittedFace
from mimaface.face.pose import FacePose
from mimaface.geometry.camera import Camera
from mimaface.geometry.interpolation import smoothstep
from mimaface.protocol.arrays import Array

from . import tuning

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
        """(…) of :meth:`shift` by which ``points`` (…, 3) metres, camera frame, of the photograph go along: 1 at the neck's base, 0 far off."""
        return 1 - smoothstep(*tuning.BODY_REACH, np.linalg.norm(points - self._base, axis=-1))

    def neck(self, camera: Camera) -> float:
        """The row of a picture of ``camera`` in which the neck's base is."""
        return float(camera.project(self._base)[1])
