"""Puts the rims of open lips on those of the photograph: the network sets an upper one up to 3 mm too high, into the lip.

What lies between would be taken for a part of the mouth's inside, and dark red would hang over the teeth that are continued from it. A rim is
the edge at which the picture gets much brighter, where teeth begin, or much darker, where none are.
"""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter1d

from mimaface.geometry.camera import Camera
from mimaface.geometry.interpolation import pixels_under, smoothstep
from mimaface.protocol.arrays import Array

from .fit import FittedFace
from .lip_curves import COLUMNS, depth_of_rims, follow_columns, rims
from .thin_lips import STEP, lowest_way

# metres that lips are apart, at the median, between which their rims are looked for. Higher: fewer are
APART = 0.002, 0.004
OUT, IN = 0.0015, 0.0040  # metres from a rim, into its lip and into the opening, where it is looked for. Higher: further
WITHIN = 0.45  # of the opening there, the same: the other half is the other lip's. Higher: tongues and lower teeth are taken for a lip
BLUR = 0.0004  # metres over which the picture is smoothed before edges are looked for. Higher: less noise, less exact
# of the lips' brightness by which it changes in EDGE metres at an edge that is followed. Higher: fewer faint ones
EDGE, STRONG = 0.0010, (0.10, 0.25)
NEAR = 0.0035  # metres from the landmarks' rim at which an edge counts 1 less. Higher: further ones are followed


def open_rims(shape: Array, fit: FittedFace, camera: Camera, image: Array) -> Array:
    """What to add to ``shape`` (V, 3), the mesh in the expression of ``image`` (H, W, 3) uint8, whose camera is ``camera``, head frame, metres,
    so that the rims of its open lips lie on the photograph's."""
    result, found = np.zeros_like(shape), rims(shape)
    gap = found.upper - found.lower
    if not np.isfinite(gap).all() or fit.placed:  # a hand knows better
        return result
    share = float(smoothstep(*APART, np.median(gap[np.abs(COLUMNS) < 0.5])))
    if share == 0:
        return result
    steps = np.arange(-round(OUT / STEP), round(IN / STEP) + 1) * STEP
    across, depth = found.middle + found.half * COLUMNS, depth_of_rims(shape, found)
    for side, (rim, into) in enumerate(((found.upper, -1), (found.lower, 1))):
        height = rim[:, None] + into * steps
        points = np.stack([np.broadcast_to(across[:, None], height.shape), height, np.broadcast_to(depth[:, None], height.shape)], axis=-1)
        place = camera.project(points.reshape(-1, 3) @ fit.rotation.T + fit.translation)
        bright = image[pixels_under(place, *image.shape[:2])].mean(1).reshape(height.shape)
        moved = into * share * _way_to_edge(bright, steps, gap)
        near, follows, moved_here = follow_columns(shape, found, side, moved)
        result[near, 1] += follows * moved_here
    return result


def _way_to_edge(bright: Array, steps: Array, gap: Array) -> Array:
    """(K,) metres from a rim into the opening to its edge in the picture.

    bright (K, S): brightness at ``steps`` (S,) metres into it; gap (K,): metres to the other rim.
    """
    smooth = gaussian_filter1d(bright, BLUR / STEP, axis=1, mode="nearest")
    half = max(round(0.5 * EDGE / STEP), 1)
    lip = np.maximum(np.median(smooth[:, : round(OUT / STEP)], axis=1), 16.0)[:, None]
    rise = np.zeros_like(smooth)
    rise[:, half:-half] = (smooth[:, 2 * half :] - smooth[:, : -2 * half]) / lip
    # the first strong edge is the lip's: what gets dark below teeth, or bright below the dark, is not
    up, down = (np.maximum(sign * rise, 0) for sign in (1, -1))
    clear = np.maximum(up - _before(down, half), down - _before(up, half))
    clear *= steps < WITHIN * gap[:, None]
    edge = smoothstep(*STRONG, clear) * clear / np.maximum(clear.max(1, keepdims=True), STRONG[0])
    row = lowest_way((steps / NEAR) ** 2 - edge)
    columns = np.arange(len(row))
    sure = gaussian_filter1d(smoothstep(*STRONG, clear[columns, row]), 1.0, mode="nearest")
    return np.asarray(sure * gaussian_filter1d(steps[row], 0.7, mode="nearest"))


def _before(values: Array, half: int) -> Array:
    """(K, S) the largest of ``values`` (K, S) in each row up to there, an edge's own width aside."""
    most = np.maximum.accumulate(values, axis=1)
    return np.concatenate([np.zeros((len(values), half)), most[:, :-half]], axis=1)
