"""Limit of ``mouthClose``: lips close until they meet, whatever opens them, in frames and on the rig in Blender."""

from __future__ import annotations

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
