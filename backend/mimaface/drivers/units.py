"""Unit detection for takes: radians or degrees, shares or percent."""

from __future__ import annotations

import numpy as np

from mimaface.protocol.arrays import Array

# radians. Larger angles are taken for degrees: no recorded head or eye turns so far
LARGEST_HEAD_ANGLE, LARGEST_EYE_ANGLE = 1.75, 1.6
# Median head speed in radians per second above which angles are degrees, and seconds that a take must last for this test. Talking
# heads move at 0.1 to 0.5, shaken ones at 2; a nearly still head in degrees exceeds 3.
LARGEST_HEAD_SPEED, SHORTEST_TAKE = 3.0, 0.5
# blendshape value that half of the frames must exceed to be percent; 1 is nominal, exaggerated takes reach 1.5
LARGEST_SHARE = 2.0


def in_radians(head: Array, eyes: Array, time: Array, wanted: str) -> tuple[Array, Array, list[str]]:
    """Returns head (T, 3) and eye angles (T, 2, 2) in radians, and notes on what was taken for degrees; NaN is ignored.

    wanted: "degrees", "radians", or "" to detect the unit of head and eyes separately.
    """
    seen = np.isfinite(head).all(axis=1)
    moves = np.linalg.norm(np.diff(head[seen], axis=0), axis=1)
    long = seen.sum() > 2 and np.ptp(time[seen]) >= SHORTEST_TAKE
    fast = bool(long and np.median(moves / np.maximum(np.diff(time[seen]), 1e-3)) > LARGEST_HEAD_SPEED)
    turned = wanted == "degrees" or (wanted == "" and (_largest(head) > LARGEST_HEAD_ANGLE or fast))
    aside = wanted == "degrees" or (wanted == "" and _largest(eyes) > LARGEST_EYE_ANGLE)
    notes = []
    for what, yes, largest in (("head angles", turned, _largest(head)), ("eye angles", aside, _largest(eyes))):
        if yes and not wanted:
            notes.append(f"the {what} go up to {largest:.3g}: read as degrees; if they are radians, use --angles radians (Blender: Angles)")
    return (np.deg2rad(head) if turned else head), (np.deg2rad(eyes) if aside else eyes), notes


def as_shares(blendshapes: Array, wanted: str) -> tuple[Array, list[str]]:
    """Returns blendshapes (T, 52) as shares of 1, and notes when they were taken for percent or are large; NaN is ignored."""
    strongest = np.nanmax(np.where(np.isfinite(blendshapes), np.abs(blendshapes), 0.0), axis=1)
    largest = float(strongest.max())
    if wanted == "percent" or (wanted == "" and np.median(strongest) > LARGEST_SHARE):
        note = f"the blendshapes go up to {largest:.4g}: read as percent; if they are shares of 1, use --values shares (Blender: Values)"
        return blendshapes / 100, [] if wanted else [note]
    if largest > LARGEST_SHARE and not wanted:
        return blendshapes, [f"some blendshapes go up to {largest:.4g}, far above 1; if they are percent, use --values percent (Blender: Values)"]
    return blendshapes, []


def _largest(values: Array) -> float:
    return float(np.abs(values[np.isfinite(values)]).max(initial=0.0))
