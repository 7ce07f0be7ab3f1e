"""Lips that open as smooth closed curves: on the mesh an open jaw leaves a lower lip with straight sides that meet in a point.

Between the corners of the mouth the visible rims get the curve that inner lips have on faces: an arch that is fuller than a parabola. In a
pucker or a funnel the opening is narrower than the mouth, round, and the lips are closed beside it.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.sparse import csr_array

from mimaface.geometry.interpolation import smoothstep
from mimaface.geometry.mesh import single_edges
from mimaface.protocol.arkit import BLENDSHAPE_INDEX
from mimaface.protocol.arrays import Array

from .correction import landmarks_on_mesh
from .fit import LandmarkModel
from .head import Head
from .lip_rims import heights_across

DOWN = np.array([1.0, -1.0, 1.0])  # turns a head upside down
COLUMNS = np.linspace(-0.96, 0.96, 17)  # of half the mouth's width, at which rims are looked at. More: finer, slower
# the arch (1 - |t|^FULL)^ROUND of inner lips over t, -1 to 1 from corner to corner: fitted by eye to the landmarks of open mouths in six
# films (0.95 of the depth at 0.3, 0.82 at 0.55, 0.6 at 0.75). Raised, FULL: squarer; ROUND: more pointed
FULL, ROUND = 2.2, 0.76
CORNERS = 78, 308  # landmarks where the lips meet, the subject's right and left
# metres that the jaw at 1 takes a lip down, in the middle and at the corner, which parts upper from lower lips
PARTS_AT, PARTS = (0.0, 0.020), (-0.017, -0.0121)
# metres above and below the line of the lips between which skin moves with a rim. Higher: more of cheeks and chin does
ABOVE, BELOW = (0.008, 0.030), (0.014, 0.050)
INSIDE = 0.004, 0.022  # the same behind them, for the mouth's lining
# of half the mouth's width that it is open, between which its rims take the arch: in speech and smiles they are where the landmarks say, from
# which an earlier arch took 0.2 dB on open mouths of six films. Higher: later
OPEN = 0.6, 1.1
JAW = 0.1, 0.25  # of jawOpen more than in the photograph, the same: lips that it shows open keep their shape. Higher: later
PARTED = 0.0, 0.0015  # metres between the lips, the same: closed ones are let alone
PUCKERED = 0.25, 0.85  # of a pucker and a funnel together, between which the opening gets narrow
NARROWED = 0.42  # of the mouth's width that is closed in one. Higher: a smaller, rounder opening
OVERLAP = 0.0006  # metres that lips lie over each other where they are closed beside an opening. Higher: a flatter seam
ROUNDS = {"mouthPucker": 0.8, "mouthFunnel": 0.8}  # share of each in the sum that PUCKERED bounds. Higher: the opening is narrow earlier


@dataclass(frozen=True, eq=False)
class LipCurves:
    """Of one photograph: its blendshapes (52,), whose own pucker is in its lips already."""

    fitted: Array

    def offset(self, shape: Array, blendshapes: Array) -> Array:
        """What to add to ``shape`` (V, 3), the mesh under ``blendshapes`` (52,), so that its lips open as a smooth curve."""
        result = np.zeros_like(shape)
        moved = np.asarray(blendshapes, np.float64) - self.fitted
        rounded = sum(share * max(moved[BLENDSHAPE_INDEX[name]], 0.0) for name, share in ROUNDS.items())
        narrow = float(smoothstep(*PUCKERED, np.array(rounded)))
        wide = float(smoothstep(*JAW, moved[BLENDSHAPE_INDEX["jawOpen"]]))
        if narrow == 0 and wide == 0:
            return result
        found = rims(shape)
        upper, lower, centre = found.upper, found.lower, len(COLUMNS) // 2
        gap = upper[centre] - lower[centre]
        if not np.isfinite(upper - lower).all():  # lips of a mesh that is folded across
            return result
        strength = max(wide * float(smoothstep(*OPEN, np.array(gap / found.half))), narrow) * float(smoothstep(*PARTED, np.array(gap)))
        if strength == 0:
            return result
        seam = found.line + narrow * (0.5 * (upper[centre] + lower[centre]) - found.line[centre]) * (1 - COLUMNS**2)
        arch = _arch(COLUMNS / (1 - NARROWED * narrow))
        closed = narrow * OVERLAP * (arch == 0)
        wanted_upper = seam + (upper[centre] - seam[centre]) * arch - closed
        wanted_lower = seam + (lower[centre] - seam[centre]) * arch + closed
        if upper[centre] < seam[centre]:
            wanted_upper = upper
        for side, missed in enumerate((wanted_upper - upper, wanted_lower - lower)):
            near, follows, lifted = follow_columns(shape, found, side, 0.5 * (missed + missed[::-1]))
            result[near, 1] += strength * follows * lifted
        return result


class Rims(NamedTuple):
    """Of a mesh, metres, head frame: x of the ``middle`` between the corners of its mouth, ``half`` their distance, and at COLUMNS of that, heights
    (K,): of the ``line`` between the corners, and of the visible rims of the ``upper`` and the ``lower`` lip."""

    middle: float
    half: float
    line: Array
    upper: Array
    lower: Array


def rims(shape: Array, columns: Array = COLUMNS) -> Rims:
    """Of ``shape`` (V, 3), the mesh, head frame, metres; infinite heights where no lip is."""
    mouth = _mouth()
    right, left = mouth.corners @ shape
    middle, half = float(0.5 * (right[0] + left[0])), float(0.5 * (left[0] - right[0]))
    upper, lower = (_highest(mirror * shape[edges], middle + half * columns) for edges, mirror in ((mouth.upper, DOWN), (mouth.lower, 1.0)))
    line = 0.5 * (right[1] + left[1]) + 0.5 * (left[1] - right[1]) * columns
    return Rims(middle, half, line, -upper, lower)


def outer_edges(shape: Array, found: Rims) -> tuple[Array, Array]:
    """Heights (K,) at COLUMNS of the upper lip's top and of the lower lip's bottom."""
    mouth, columns = _mouth(), found.middle + found.half * COLUMNS
    return _highest(shape[mouth.upper], columns), -_highest(DOWN * shape[mouth.lower], columns)


def depth_of_rims(shape: Array, found: Rims) -> Array:
    """(K,) metres forward, head frame, of where the lips of ``shape`` (V, 3) meet at COLUMNS: the mean of both rims."""
    mouth, columns = _mouth(), found.middle + found.half * COLUMNS
    depths = []
    for edges, rim in ((mouth.upper, found.upper), (mouth.lower, found.lower)):
        heights = heights_across(shape[edges], columns)
        depths.append(np.take_along_axis(heights_across(shape[edges][..., [0, 2, 1]], columns), np.abs(heights - rim).argmin(0)[None], 0)[0])
    return np.asarray(0.5 * (depths[0] + depths[1]))


def _highest(edges: Array, across: Array) -> Array:
    """(K,) of ``edges`` (E, 2, 3) at the places ``across`` (K,)."""
    return np.asarray(-heights_across(DOWN * edges, across).min(0))


def follow_columns(shape: Array, found: Rims, side: int, values: Array) -> tuple[Array, Array, Array]:
    """Vertices (N,) near the upper lip, ``side`` 0, or the lower, 1; the share of its rim's motion that they take (N,), 0 to 1; and ``values``
    (K,), given at COLUMNS, interpolated at them (N,), 0 at the corners of the mouth."""
    mouth = _mouth()
    across = np.clip((shape[mouth.near, 0] - found.middle) / found.half, -1, 1)
    return mouth.near, mouth.follows[side], np.interp(across, *_ended(values))


def _arch(across: Array) -> Array:
    """Height of an opening, 0 to 1, by the share ``across`` of its half width."""
    return np.asarray(np.maximum(1 - np.abs(across) ** FULL, 0) ** ROUND)


def _ended(values: Array) -> tuple[Array, Array]:
    """Places and ``values`` (K,) at COLUMNS, and nothing at the corners."""
    return np.concatenate([[-1.0], COLUMNS, [1.0]]), np.concatenate([[0.0], values, [0.0]])


@dataclass(frozen=True, eq=False)
class _Mouth:
    """Of the head: edges (E, 2) of the upper and of the lower lip; rows (2, V) of the right and the left corner; vertices (N,) that go
    along with the upper, and with the lower lip (2, N), 0 to 1."""

    upper: Array
    lower: Array
    corners: csr_array
    near: Array
    follows: Array


@functools.cache
def _mouth() -> _Mouth:
    head = Head.load()
    place, lips = head.vertices, head.region("lips")
    down = head.blendshapes[BLENDSHAPE_INDEX["jawOpen"]][:, 1]
    below = down < np.interp(np.abs(place[:, 0]), PARTS_AT, PARTS)
    edges = single_edges(head.triangles[head.part("skin")])
    upper, lower = (edges[(lips & side)[edges].all(1)] for side in (~below, below))
    line = place[lips].mean(0)
    row = {int(landmark): k for k, landmark in enumerate(LandmarkModel.load().index)}
    corners = landmarks_on_mesh()[0][[row[landmark] for landmark in CORNERS]]
    front = np.percentile(place[lips, 2], 60)
    deep = 1 - smoothstep(*INSIDE, front - place[:, 2])
    away = place[:, 1] - line[1]
    follows = np.stack(
        [~below * (1 - smoothstep(*ABOVE, away)), below * (1 - smoothstep(*BELOW, -away))]
    )
    inside = np.zeros(len(place), bool)
    inside[head.vertices_of("mouth_inside")] = True
    solid = np.zeros(len(place), bool)
    solid[head.vertices_of("skin", "mouth_inside")] = True
    follows = follows * solid * np.where(inside & ~lips, deep, 1.0) * (place[:, 2] > 0.06)
    near = np.flatnonzero(follows.any(0))
    return _Mouth(upper, lower, corners, near, follows[:, near])

