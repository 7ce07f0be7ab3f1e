"""Whether a take's numbers are radians or degrees, shares or percent."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
# radians: no recording sees a head turned so far, nor an eye; larger numbers are degrees
FURTHEST_HEAD, FURTHEST_EYE = 1.75, 1.6
# radians a second, median of a take of half a second and more: no head keeps moving so fast, but one in degrees that hardly moves
# would; talking heads have 0.1 to 0.5, shaking ones 2
FASTEST_HEAD, LONG_ENOUGH = 3.0, 0.5
LARGEST_SHARE = 2.0  # of a blendshape, in half of the frames; 1 is nominal, raised takes reach 1.5


def in_radians(head: Array, eyes: Array, time: Array, wanted: str) -> tuple[Array, Array, list[str]]:
    """Head (T, 3) and eyes (T, 2, 2) in radians, and notes on what was taken for degrees; NaN is passed over.

    wanted: "degrees", "radians", or "" for what the numbers show, of head and eyes each.
    """
    seen = np.isfinite(head).all(axis=1)
    moves = np.linalg.norm(np.diff(head[seen], axis=0), axis=1)
    long = seen.sum() > 2 and np.ptp(time[seen]) >= LONG_ENOUGH
    fast = bool(long and np.median(moves / np.maximum(np.diff(time[seen]), 1e-3)) > FASTEST_HEAD)
    turned = wanted == "degrees" or (wanted == "" and (_largest(head) > FURTHEST_HEAD or fast))
    aside = wanted == "degrees" or (wanted == "" and _largest(eyes) > FURTHEST_EYE)
    notes = []
    for what, yes, largest in (("head angles", turned, _largest(head)), ("eye angles", aside, _largest(eyes))):
        if yes and not wanted:
            notes.append(f"the {what} go up to {largest:.3g}: taken for degrees; if they are radians, say --angles radians")
    return (np.deg2rad(head) if turned else head), (np.deg2rad(eyes) if aside else eyes), notes


def as_shares(blendshapes: Array, wanted: str) -> tuple[Array, list[str]]:
    """Blendshapes (T, 52) as shares of 1, and a note when they were taken for percent or are large; NaN is passed over."""
    strongest = np.nanmax(np.where(np.isfinite(blendshapes), np.abs(blendshapes), 0.0), axis=1)
    largest = float(strongest.max())
    if wanted == "percent" or (wanted == "" and np.median(strongest) > LARGEST_SHARE):
        note = f"the blendshapes go up to {largest:.4g}: taken for percent; if they are shares of 1, say --values shares"
        return blendshapes / 100, [] if wanted else [note]
    if largest > LARGEST_SHARE and not wanted:
        return blendshapes, [f"some blendshapes go up to {largest:.4g}, far above 1; if they are percent, say --values percent"]
    return blendshapes, []


def _largest(values: Array) -> float:
    return float(np.abs(values[np.isfinite(values)]).max(initial=0.0))
