"""The 52 ARKit face blendshapes: names, order and mirror partners; the gaze of eyeLook*, and the limit of mouthClose.

Bind blendshapes by name, because the order differs between vendors. Frames and the rig in Blender follow the same rules.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
BLENDSHAPE_NAMES: tuple[str, ...] = (
    "eyeBlinkLeft", "eyeLookDownLeft", "eyeLookInLeft", "eyeLookOutLeft", "eyeLookUpLeft", "eyeSquintLeft",
    "eyeWideLeft", "eyeBlinkRight", "eyeLookDownRight", "eyeLookInRight", "eyeLookOutRight", "eyeLookUpRight",
    "eyeSquintRight", "eyeWideRight", "jawForward", "jawLeft", "jawRight", "jawOpen", "mouthClose", "mouthFunnel",
    "mouthPucker", "mouthLeft", "mouthRight", "mouthSmileLeft", "mouthSmileRight", "mouthFrownLeft",
    "mouthFrownRight", "mouthDimpleLeft", "mouthDimpleRight", "mouthStretchLeft", "mouthStretchRight",
    "mouthRollLower", "mouthRollUpper", "mouthShrugLower", "mouthShrugUpper", "mouthPressLeft", "mouthPressRight",
    "mouthLowerDownLeft", "mouthLowerDownRight", "mouthUpperUpLeft", "mouthUpperUpRight", "browDownLeft",
    "browDownRight", "browInnerUp", "browOuterUpLeft", "browOuterUpRight", "cheekPuff", "cheekSquintLeft",
    "cheekSquintRight", "noseSneerLeft", "noseSneerRight", "tongueOut",
)  # fmt: skip

BLENDSHAPE_INDEX: dict[str, int] = {name: index for index, name in enumerate(BLENDSHAPE_NAMES)}

ACTION_NAMES, ACTION_INDEX = BLENDSHAPE_NAMES, BLENDSHAPE_INDEX  # names before schema 2 of motion files, for users' scripts

# radians of eye rotation at eyeLook* = 1; larger values rotate further
LOOK_YAW, LOOK_PITCH = math.radians(30.0), math.radians(25.0)
# (eye, axis) in the order of ``MotionClip.gaze``: radians at 1, blendshape with positive sign, blendshape with negative sign
LOOKS = {
    ("left", "yaw"): (LOOK_YAW, "eyeLookOutLeft", "eyeLookInLeft"),
    ("left", "pitch"): (LOOK_PITCH, "eyeLookUpLeft", "eyeLookDownLeft"),
    ("right", "yaw"): (LOOK_YAW, "eyeLookInRight", "eyeLookOutRight"),
    ("right", "pitch"): (LOOK_PITCH, "eyeLookUpRight", "eyeLookDownRight"),
}
# Lip opening of each blendshape at 1, averaged along the mouth, as a share of the 22 mm that mouthClose at 1 closes.
PARTING = {
    "jawOpen": 0.965, "mouthUpperUpLeft": 0.14, "mouthUpperUpRight": 0.14, "mouthFunnel": 0.123, "mouthShrugUpper": 0.111,
    "mouthLowerDownLeft": 0.074, "mouthLowerDownRight": 0.074, "jawForward": 0.034,
}  # fmt: skip
PRESSED = 0.1  # mouthClose beyond contact that presses the lips. Raised: lips overlap, which looks torn


def mirror_name(name: str) -> str:
    """Returns the mirrored blendshape: ``jawLeft`` → ``jawRight``; names without a side map to themselves."""
    if name.endswith("Left"):
        return name[: -len("Left")] + "Right"
    if name.endswith("Right"):
        return name[: -len("Right")] + "Left"
    return name


def gaze_from_blendshapes(blendshapes: Array) -> Array:
    """Returns gaze (T, 2, 2) in radians from the eyeLook* blendshapes (T, 52)."""
    columns = [
        most * (blendshapes[:, BLENDSHAPE_INDEX[plus]] - blendshapes[:, BLENDSHAPE_INDEX[minus]])
        for most, plus, minus in LOOKS.values()
    ]
    return np.stack(columns, axis=1).reshape(len(blendshapes), 2, 2)


def closed_no_further(blendshapes: Array, own: Array) -> Array:
    """Returns ``blendshapes`` (T, 52) in [0, 1] with mouthClose limited to lip contact, offset by the portrait's ``own`` (52,)
    mouthClose.
    """
    close = BLENDSHAPE_INDEX["mouthClose"]
    meet = blendshapes[:, [BLENDSHAPE_INDEX[name] for name in PARTING]] @ np.array(list(PARTING.values())) + PRESSED + own[close]
    result = np.array(blendshapes)
    result[:, close] = np.minimum(blendshapes[:, close], meet)
    return result
