"""Limits gaze to the opening of the lids, so that no iris is wholly behind a lid and the eye all white."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mimaface.face.head import Head, gaze_rotation
from mimaface.face.lids import lower_lids
from mimaface.protocol.arrays import Array

from . import tuning
from .eyes import lid_tables
from .kernels import LID_BINS, LID_SPAN


@dataclass(frozen=True, eq=False)
class GazeLimits:
    """Of one photograph: centres (2, 3) of its eyeballs, head frame, metres, and how far beyond its lids, in radians of pitch, the middle of
    each iris may lie, below and above (2, 2): at least as far as it does there."""

    centres: Array
    beyond: Array

    @staticmethod
    def of(shape: Array, centres: Array, gaze: Array) -> GazeLimits:
        """shape (V, 3): the mesh of the photograph, head frame, metres; gaze (2, 2) in it."""
        low, high = _lids(shape, centres, gaze)
        radius = float(np.arcsin(tuning.IRIS_RADIUS / Head.load().eye_radius))
        beyond = np.stack([low - gaze[:, 1], gaze[:, 1] - high], axis=1)
        return GazeLimits(centres, np.maximum(beyond, tuning.IRIS_HIDDEN * radius))

    def within(self, shape: Array, gaze: Array) -> Array:
        """Gaze (2, 2) whose irises the lids of the posed mesh ``shape`` (V, 3) leave in view; both eyes are lifted or lowered alike, by what
        the wider one needs."""
        low, high = _lids(shape, self.centres, gaze)
        more = np.clip(gaze[:, 1], low - self.beyond[:, 0], np.maximum(high, low) + self.beyond[:, 1]) - gaze[:, 1]
        wider = int(np.argmax(high - low))
        return np.stack([gaze[:, 0], gaze[:, 1] + more[wider]], axis=1) if more[wider] else gaze


def _lids(shape: Array, centres: Array, gaze: Array) -> tuple[Array, Array]:
    """Returns the pitch (2,) of the lower and (2,) of the upper lid of each eye, in radians about its centre, at the yaw of its gaze."""
    tables = lid_tables(shape, centres)
    yaws = np.linspace(-LID_SPAN, LID_SPAN, LID_BINS)
    return lower_lids(shape, centres), np.array([np.interp(gaze[side, 0], yaws, tables[side]) for side in range(2)])


def turn_eyes(shape: Array, centres: Array, before: Array, after: Array) -> None:
    """Turn the eyeballs of ``shape`` (V, 3), which look as ``before`` (2, 2) says, in place, so that they look as ``after`` (2, 2)."""
    turns = gaze_rotation(after) @ np.swapaxes(gaze_rotation(before), -1, -2)
    for side, name in enumerate(("eye_left", "eye_right")):
        ball = Head.load().vertices_of(name)
        shape[ball] = (shape[ball] - centres[side]) @ turns[side].T + centres[side]
