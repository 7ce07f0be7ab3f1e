# SPDX-License-Identifier: GPL-3.0-or-later
"""Reduces the keys of the mocap layer, within a tolerance."""

from __future__ import annotations

import bpy
import numpy as np

from . import bake, compat
from .rig import POSITION_CHANNELS

METRES = 0.1  # metres that the tolerance weighs like a whole blendshape or a radian. Higher: fewer keys of the head's position


def reduce_layer(rig: bpy.types.Object, tolerance: float) -> tuple[int, int]:
    """Reduce every curve of the mocap layer; return the number of keys before and after."""
    before = after = 0
    for path, curve in compat.fcurves_of(rig).items():
        if not path.startswith('["mocap_'):
            continue
        keys = bake.keys_of(curve)
        points = keys if all(point.interpolation == "LINEAR" for point in curve.keyframe_points) else _sampled(curve, keys)
        kept = points[needed(points, tolerance * (METRES if path.strip('[]"') in POSITION_CHANNELS else 1.0))]
        kept = kept if len(kept) < len(keys) else keys
        before, after = before + len(keys), after + len(kept)
        if len(kept) < len(keys):
            curve.keyframe_points.clear()
            bake.key_curve(curve, kept)
    return before, after


def _sampled(curve: bpy.types.FCurve, keys: np.ndarray) -> np.ndarray:
    """Returns (N, 2) frame and value of a curve with non-linear parts: its keys and every whole frame between them."""
    frames = np.union1d(keys[:, 0], np.arange(np.ceil(keys[0, 0]), keys[-1, 0]))
    return np.array([[frame, curve.evaluate(frame)] for frame in frames])


def needed(keys: np.ndarray, tolerance: float) -> np.ndarray:
    """Returns (N,) bool: the keys (N, 2) whose polyline is within ``tolerance`` in value of all keys (Douglas and Peucker 1973)."""
    kept = np.zeros(len(keys), bool)
    kept[[0, -1]] = True
    parts = [(0, len(keys) - 1)]
    while parts:
        first, last = parts.pop()
        inner = keys[first + 1 : last]
        if not len(inner):
            continue
        away = np.abs(np.interp(inner[:, 0], keys[[first, last], 0], keys[[first, last], 1]) - inner[:, 1])
        if away.max() > tolerance:
            middle = first + 1 + int(away.argmax())
            kept[middle] = True
            parts += [(first, middle), (middle, last)]
    return kept
