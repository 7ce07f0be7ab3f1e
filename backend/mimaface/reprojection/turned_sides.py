"""Makes the sheet less steep on the side of the head that turns into view, so that ears and hair are stretched evenly, not torn.

A frontal photograph shows the surface from cheek to ear in a few pixels, and the fitted ear never matches the photographed one to the
pixel. On a sheet as steep as the head, a turn would spread pieces of the ear over the cheek.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mimaface.face.fit import FittedFace
from mimaface.face.pose import FacePose
from mimaface.geometry.camera import Camera
from mimaface.geometry.interpolation import smoothstep
from mimaface.protocol.arrays import Array

from . import tuning


@dataclass(frozen=True, eq=False)
class TurnedSides:
    """Which knots of the person warp come nearer to the camera of the photograph when a pose shows more of their side.

    nearer (R, C, 3): metres, head frame, by which each does at most; aside (R, C, 2): how far it is to the right and up from the head's
    middle, 1 at its sides; viewed (3,): unit vector, head frame, to the camera of the photograph.
    """

    nearer: Array
    aside: Array
    viewed: Array

    @staticmethod
    def of(place: Array, knots: Array, depth: Array, camera: Camera, fit: FittedFace) -> TurnedSides:
        """place (R, C, 3): metres, head frame, of ``knots`` (R, C, 2), pixels of the canvas, that are ``depth`` (R, C) metres away."""
        pixel = -float(fit.translation[2]) / camera.focal
        steps = pixel * (knots[-1, -1] - knots[0, 0]) / (np.array(knots.shape[1::-1]) - 1)
        even = less_steep(depth, tuning.STEEPEST_SIDE * steps)
        nearer = (camera.unproject(knots, even) - camera.unproject(knots, depth)) @ fit.rotation
        return TurnedSides(nearer, np.clip(place[..., :2] / tuning.SIDE_AWAY, -1, 1), _to_camera(fit.rotation, fit.translation))

    def seen(self, place: Array, pose: FacePose) -> Array:
        """Where the knots (R, C, 3) of ``place``, metres in the head frame, are in ``pose``."""
        away = self.away(pose)
        return place if away is None else np.asarray(place + away)

    def away(self, pose: FacePose) -> Array | None:
        """Metres (R, C, 3), head frame, that the knots have come nearer in ``pose``; none where no side is so far turned into view."""
        turned = (_to_camera(pose.rotation, pose.translation) - self.viewed)[:2]
        if np.linalg.norm(turned) * np.sqrt(2) <= tuning.SIDE_TURNED[0]:
            return None
        share = smoothstep(*tuning.SIDE_TURNED, self.aside @ turned)
        return np.asarray(share[..., None] * self.nearer)


def less_steep(depth: Array, rise: Array) -> Array:
    """The deepest surface (R, C) before ``depth`` (R, C) that changes by at most ``rise`` (2,) from one column, and from one row, to the next."""
    result = depth
    for axis, most in ((1, rise[0]), (0, rise[1])):
        ramp = np.expand_dims(most * np.arange(depth.shape[axis]), 1 - axis)
        onwards = np.minimum.accumulate(result - ramp, axis) + ramp
        backwards = np.flip(np.minimum.accumulate(np.flip(result + ramp, axis), axis), axis) - ramp
        result = np.minimum(onwards, backwards)
    return np.asarray(result)


def _to_camera(rotation: Array, translation: Array) -> Array:
    """(3,) unit vector, head frame, to the camera from a head at ``translation`` (3,) metres that is turned by ``rotation`` (3, 3)."""
    return np.asarray(-translation @ rotation / np.linalg.norm(translation))
