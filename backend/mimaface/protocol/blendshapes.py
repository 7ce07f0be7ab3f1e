"""What blendshapes do together: ``mouthClose`` closes lips until they meet, whatever opens them, in frames and on the rig in Blender; ``eyeLook*``
turn the eyes, for mocap files without eye columns and for the rig."""

from __future__ import annotations

import math

import numpy as np

from .arkit import BLENDSHAPE_INDEX
from .arrays import Array

# Lip opening of each blendshape at 1, averaged along the mouth, as a share of the 22 mm that mouthClose at 1 closes.
PARTING = {
    "jawOpen": 0.965, "mouthUpperUpLeft": 0.14, "mouthUpperUpRight": 0.14, "mouthFunnel": 0.123, "mouthShrugUpper": 0.111,
    "mouthLowerDownLeft": 0.074, "mouthLowerDownRight": 0.074, "jawForward": 0.034,
}  # fmt: skip
PRESSED = 0.1  # mouthClose beyond contact that presses the lips. Raised: lips overlap, which looks torn


def closed_no_further(blendshapes: Array, own: Array) -> Array:
    """Returns ``blendshapes`` (T, 52) in [0, 1] with mouthClose limited to lip contact, offset by the portrait's ``own`` (52,)
    mouthClose.
    """
    close = BLENDSHAPE_INDEX["mouthClose"]
    meet = blendshapes[:, [BLENDSHAPE_INDEX[name] for name in PARTING]] @ np.array(list(PARTING.values())) + PRESSED + own[close]
    result = np.array(blendshapes)
    result[:, close] = np.minimum(blendshapes[:, close], meet)
    return result


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
