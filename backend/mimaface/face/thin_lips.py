"""Flattens lips of the mesh until they meet in the line of the photograph, which very thin ones, and most others, do not.

Without this the lips of the mesh lie over each other, because they are thicker than the photograph's, or its landmarks are off by a millimetre. The
one in front shows pixels of the other, and tears, and takes the dark line between the two with it as they part. Each lip is flattened
between its outer edge and the line where they meet: that dark line, where the photograph shows one.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.ndimage import gaussian_filter1d

from mimaface.geometry.camera import Camera
from mimaface.geometry.interpolation import pixels_under, smoothstep
from mimaface.protocol.arrays import Array

from .fit import FittedFace
from .lip_curves import COLUMNS, depth_of_rims, follow_columns, outer_edges, rims

# metres that lips lie over each other, at the median, between which they are flattened: full lips that touch do by 2 to 3 mm. Higher: fewer are
OVERLAPS = 0.0032, 0.0045
LEFT = 0.0008  # metres of it that are left. Higher: a softer line between closed lips, and less of it at the right lip
THINNEST = 0.4  # of a lip's height on the mesh that it keeps. Lower: very thin lips have their own height; triangles that fold
TOUCH = 0.0005  # metres between the mesh's rims, at the median, from which lips are open, and no line is looked for. Higher: it is, in openings
STEP, STEPS = 0.00025, 18  # metres between the heights at which it is looked for, and how many there are to either side. More: further
STEEPEST = 2  # of them from one column to the next. Higher: it follows shadows out of the seam
BESIDE = 0.0018  # metres above and below it where lips have their own brightness. Higher: thicker lines are found, fewer thin ones
# of that brightness, how much darker it is, median over the mouth, between which it is followed. Higher: fewer faint lines
DARKER = 0.06, 0.14


class Seam(NamedTuple):
    """The dark line between closed lips: its ``height`` (K,) at COLUMNS, head frame, metres, and how ``sure`` it is, 0 to 1."""

    height: Array
    sure: float


NO_SEAM = Seam(np.zeros(len(COLUMNS)), 0.0)


def thinning(shape: Array, seam: Seam = NO_SEAM) -> Array:
    """What to add to ``shape`` (V, 3), the mesh in the photograph's expression, head frame, metres, so that its lips meet in a line."""
    result = np.zeros_like(shape)
    found = rims(shape)
    over = found.lower - found.upper
    if not np.isfinite(over).all():  # a mesh that is folded across
        return result
    share = max(float(smoothstep(*OVERLAPS, np.median(over[np.abs(COLUMNS) < 0.5]))), seam.sure)
    line = 0.5 * (found.lower + found.upper)
    line += seam.sure * (seam.height - line)
    if share == 0:
        return result
    for side, (outer, rim, up) in enumerate(zip(outer_edges(shape, found), (found.upper, found.lower), (1, -1))):
        way, height = up * (line - rim) - 0.5 * LEFT, np.maximum(up * (outer - rim), 1e-4)
        lost = share * np.clip(way / height, 0, 1 - THINNEST)
        near, follows, lost_here = follow_columns(shape, found, side, lost)
        outer_here = follow_columns(shape, found, side, outer)[2]
        result[near, 1] += up * follows * lost_here * np.maximum(up * (outer_here - shape[near, 1]), 0)
    return result


def seam_of(shape: Array, fit: FittedFace, camera: Camera, image: Array) -> Seam:
    """Where the lips of a photograph meet; an open mouth has no such line.

    shape (V, 3): the mesh in the expression of ``image`` (H, W, 3) uint8, whose camera is ``camera``.
    """
    found = rims(shape)
    over = found.lower - found.upper
    if not np.isfinite(over).all() or np.median(over) < -TOUCH:
        return NO_SEAM
    steps = STEP * np.arange(STEPS, -STEPS - 1, -1)
    middle = 0.5 * (found.lower + found.upper)
    height = middle[:, None] + steps
    across = np.broadcast_to((found.middle + found.half * COLUMNS)[:, None], height.shape)
    depth = np.broadcast_to(depth_of_rims(shape, found)[:, None], height.shape)
    points = np.stack([across, height, depth], axis=-1) @ fit.rotation.T + fit.translation
    bright = image[pixels_under(camera.project(points.reshape(-1, 3)), *image.shape[:2])].mean(1).reshape(height.shape)
    bright = gaussian_filter1d(bright, 1.0, axis=1, mode="nearest")
    row = lowest_way(bright)
    columns, beside = np.arange(len(COLUMNS)), round(BESIDE / STEP)
    lips = [bright[columns, np.clip(row + side, 0, 2 * STEPS)] for side in (-beside, beside)]
    darker = 1 - bright[columns, row] / np.maximum(np.minimum(*lips), 1)
    return Seam(gaussian_filter1d(middle + steps[row], 0.7, mode="nearest"), float(smoothstep(*DARKER, np.median(darker))))


def lowest_way(cost: Array) -> Array:
    """(K,) the row of each column of ``cost`` (K, R) on the way across of the least sum, which climbs by at most STEEPEST rows a column."""
    total, came = cost.copy(), np.zeros(cost.shape, int)
    moves = range(-STEEPEST, STEEPEST + 1)
    for column in range(1, len(cost)):
        before = np.stack([_shifted(total[column - 1], move) for move in moves])
        best = before.argmin(0)
        total[column] += before.min(0)
        came[column] = np.arange(cost.shape[1]) + best - STEEPEST
    way = [int(total[-1].argmin())]
    for column in range(len(cost) - 1, 0, -1):
        way.append(int(came[column, way[-1]]))
    return np.array(way[::-1])


def _shifted(values: Array, by: int) -> Array:
    """``values`` (R,), each from ``by`` places on, infinite beyond their ends."""
    padded = np.pad(values, STEEPEST, constant_values=np.inf)
    return padded[STEEPEST + by : STEEPEST + by + len(values)]
