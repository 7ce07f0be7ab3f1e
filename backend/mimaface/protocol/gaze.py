"""Gaze from ``eyeLook*`` blendshapes, for mocap files without eye columns and for the rig in Blender."""

from __future__ import annotations

import math

import numpy as np

from .arkit import BLENDSHAPE_INDEX
from .arrays import Array

# radians of eye rotation at eyeLook* = 1; larger values rotate further
LOOK_YAW, LOOK_PITCH = math.radians(30.0), math.radians(25.0)
# (eye, axis) in the order of ``MotionClip.gaze``: radians at 1, blendshape with positive sign, blendshape with negative sign
LOOKS = {
    ("left", "yaw"): (LOOK_YAW, "eyeLookOutLeft", "eyeLookInLeft"),
    ("left", "pitch"): (LOOK_PITCH, "eyeLookUpLeft", "eyeLookDownLeft"),
    ("right", "yaw"): (LOOK_YAW, "eyeLookInRight", "eyeLookOutRight"),
    ("right", "pitch"): (LOOK_PITCH, "eyeLookUpRight", "eyeLookDownRight"),
}


def gaze_from_blendshapes(blendshapes: Array) -> Array:
    """Returns gaze (T, 2, 2) in radians from the eyeLook* blendshapes (T, 52)."""
    columns = [
        most * (blendshapes[:, BLENDSHAPE_INDEX[plus]] - blendshapes[:, BLENDSHAPE_INDEX[minus]])
        for most, plus, minus in LOOKS.values()
    ]
    return np.stack(columns, axis=1).reshape(len(blendshapes), 2, 2)
