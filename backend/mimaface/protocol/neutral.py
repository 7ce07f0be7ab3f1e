"""Selection of a take's neutral frame: a calm face with the head near its median pose."""

from __future__ import annotations

import numpy as np

from .arrays import Array
from .rotation import head_angles_to_matrix, matrix_to_head_angles, matrix_to_quaternion, quaternion_to_matrix

# Deviation of the head from its median that counts as much as one full blendshape (a shut eye, an open jaw); twice the deviation
# counts fourfold. Raised: the calmest face wins, wherever the head is. A glance aside is 20° and more, a talking head sways by
# less than 8°.
HEAD_DEVIATION = np.deg2rad(8.0)  # radians of the head's rotation
GAZE_DEVIATION = np.deg2rad(8.0)  # radians, mean of both eyes; saccades are 10° and more
POSITION_DEVIATION = 0.04  # metres; leaning is 0.05 and more


def unrest(blendshapes: Array, head_quat: Array, head_pos: Array, gaze: Array, valid: Array) -> Array:
    """(T,) how far each frame is from calm: the strength of its blendshapes, and how far head and gaze are from the take's medians, inf for
    frames that were not seen; arrays as in ``MotionClip``."""
    seen = valid[:, 0] if valid[:, 0].any() else np.ones(len(valid), bool)
    result = np.abs(blendshapes).sum(1).astype(np.float64)
    turned = seen & valid[:, 1] if (seen & valid[:, 1]).any() else seen
    angles = matrix_to_head_angles(quaternion_to_matrix(head_quat))
    usual = matrix_to_quaternion(head_angles_to_matrix(np.median(angles[turned], axis=0)))
    result += np.square(2 * np.arccos(np.minimum(np.abs(head_quat @ usual), 1.0)) / HEAD_DEVIATION)
    looking = seen & valid[:, 2] if (seen & valid[:, 2]).any() else seen
    aside = np.linalg.norm(gaze.mean(1) - np.median(gaze[looking].mean(1), axis=0), axis=1)
    result += np.square(aside / GAZE_DEVIATION)
    known = np.isfinite(head_pos).all(1)
    if (seen & known).any():
        leant = np.linalg.norm(head_pos - np.median(head_pos[seen & known], axis=0), axis=1)
        result += np.where(known, np.square(leant / POSITION_DEVIATION), 0.0)
    return np.where(seen, result, np.inf)
