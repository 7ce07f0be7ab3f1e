# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads the pose of an evaluated rig, and makes motions of such poses, for takes and previews."""

from __future__ import annotations

import bpy
import numpy as np

from ..protocol.arkit import BLENDSHAPE_NAMES
from ..protocol.motion import MotionClip
from ..protocol.rotation import matrix_to_quaternion
from .rig import EYES, LARGEST_GAZE, head_offset, head_rotation

OUTPUTS = tuple(f"out_{name}" for name in BLENDSHAPE_NAMES)
GAZES = tuple(f"out_gaze_{eye}_{axis}" for eye in EYES for axis in ("yaw", "pitch"))


def values_of(posed: bpy.types.Object) -> np.ndarray:
    """Returns the pose (68,) of an evaluated rig: 52 blendshapes, gaze (2, 2), rotation (3, 3) and offset (3,) of the head."""
    return np.concatenate(
        [[posed[name] for name in OUTPUTS], [posed[name] for name in GAZES], head_rotation(posed).ravel(), head_offset(posed)]
    )


def motion_of(values: np.ndarray, rate: float = 25.0) -> MotionClip:
    """Returns a motion of poses (F, 68) at ``rate`` frames per second, relative to the portrait (neutral "rest")."""
    count = len(values)
    shapes, gaze, rotation, place = np.split(values, np.cumsum([len(OUTPUTS), len(GAZES), 9]), axis=1)
    return MotionClip(  # created once, because every creation checks the arrays
        time=np.arange(count) / rate, blendshapes=np.clip(shapes, -1.0, 1.0), gaze=np.clip(gaze, -LARGEST_GAZE, LARGEST_GAZE).reshape(count, 2, 2),
        head_quat=matrix_to_quaternion(rotation.reshape(count, 3, 3)), head_pos=place, valid=np.ones((count, 3), bool),
        confidence=np.ones((count, 3)), meta={"source": "blender", "fps": rate},
    )  # fmt: skip
