"""The one rule by which ``mouthClose`` closes lips: until they meet, whatever parts them, in frames and on the rig in Blender."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .arkit import BLENDSHAPE_INDEX

Array = NDArray[Any]
# how far each blendshape at 1 parts the lips, mean along the mouth, as a share of the 22 mm by which mouthClose at 1 brings them together
PARTING = {
    "jawOpen": 0.965, "mouthUpperUpLeft": 0.14, "mouthUpperUpRight": 0.14, "mouthFunnel": 0.123, "mouthShrugUpper": 0.111,
    "mouthLowerDownLeft": 0.074, "mouthLowerDownRight": 0.074, "jawForward": 0.034,
}  # fmt: skip
PRESSED = 0.1  # of mouthClose beyond that, and what the portrait has: pressed lips; raised, they slide over each other, which looks torn


def closed_no_further(blendshapes: Array, own: Array) -> Array:
    """``blendshapes`` (T, 52) in [0, 1] with mouthClose held where the lips meet; a portrait whose ``own`` (52,) press them begins there."""
    close = BLENDSHAPE_INDEX["mouthClose"]
    meet = blendshapes[:, [BLENDSHAPE_INDEX[name] for name in PARTING]] @ np.array(list(PARTING.values())) + PRESSED + own[close]
    result = np.array(blendshapes)
    result[:, close] = np.minimum(blendshapes[:, close], meet)
    return result
