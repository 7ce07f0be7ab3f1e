"""Flattens lips of the mesh until they meet in the line of the photograph: very thin lips are outside of the head model's range.

Without this the lips of the mesh lie over each other; the one in front shows pixels of the other, and tears as they part. Each lip is
flattened between its outer edge and the line where they meet.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mimaface.geometry.interpolation import smoothstep

from .lip_curves import COLUMNS, follow_columns, outer_edges, rims

Array = NDArray[Any]
# metres that lips lie over each other, at the median, between which they are flattened: full lips that touch do by 2 to 3 mm. Higher: fewer are
OVERLAPS = 0.0032, 0.0045
LEFT = 0.0008  # metres of it that are left. Higher: a softer line between closed lips, and less of it at the right lip
THINNEST = 0.4  # of a lip's height on the mesh that it keeps. Lower: very thin lips have their own height; triangles that fold


def thinning(shape: Array) -> Array:
    """What to add to ``shape`` (V, 3), the mesh in the photograph's expression, head frame, metres, so that its lips meet in a line."""
    result = np.zeros_like(shape)
    found = rims(shape)
    over = found.lower - found.upper
    if not np.isfinite(over).all():  # a mesh that is folded across
        return result
    share = float(smoothstep(*OVERLAPS, np.median(over[np.abs(COLUMNS) < 0.5])))
    if share == 0:
        return result
    line = 0.5 * (found.lower + found.upper)
    for side, (outer, rim, up) in enumerate(zip(outer_edges(shape, found), (found.upper, found.lower), (1, -1))):
        way, height = up * (line - rim) - 0.5 * LEFT, np.maximum(up * (outer - rim), 1e-4)
        lost = share * np.clip(way / height, 0, 1 - THINNEST)
        near, follows, lost_here = follow_columns(shape, found, side, lost)
        outer_here = follow_columns(shape, found, side, outer)[2]
        result[near, 1] += up * follows * lost_here * np.maximum(up * (outer_here - shape[near, 1]), 0)
    return result
