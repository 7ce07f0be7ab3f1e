"""Opens the lips as far as the landmarks of the pose do: on the mesh they open less where several blendshapes act at once.

Tracking fits landmarks as the network predicts them. The mesh's own blendshapes move its vertices otherwise: a broad smile leaves the upper
lip up to 6 mm too low. So the visible rims, found on the mesh of every pose, are moved to the landmarks of that pose, and the skin around them by
a smooth field, whose response to each rim is prepared once.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array

from mimaface.geometry.interpolation import smoothstep
from mimaface.geometry.mesh import single_edges
from mimaface.protocol.arkit import BLENDSHAPE_INDEX
from mimaface.protocol.arrays import Array
from mimaface.protocol.blendshapes import PARTING

from .correction import field_answers, landmarks_on_mesh
from .fit import LandmarkModel
from .head import Head

# landmarks of the lips' inner edges, upper and lower, from the subject's right to the left; the corners are not among them
UPPER, LOWER = (80, 81, 82, 13, 312, 311, 310), (88, 178, 87, 14, 317, 402, 318)
CORNERS = (61, 291)
# metres that the jaw at 1 takes a lip down: the upper one less than the first, the lower one more than the second
UPPER_LIP, LOWER_LIP = -0.008, -0.020
# metres by which landmarks have the lips further apart than in the photograph, between which the rims begin to leave the mesh's lips, and are
# at the landmarks: lips that are nearly closed meet on the mesh alone. Higher: lips part later
PARTED = 0.0005, 0.0030
UNCLOSED = 0.1, 0.5  # share of the opening that mouthClose leaves, between which the same happens. Higher: lips part later
# metres from the middle of the mouth: up to the first, skin moves with the lips, from the second on it is still. Higher: more of the face
REACH = 0.032, 0.055
# of what lips are flattened so that they meet where the photograph's do, how much comes back as they part and roll out; on open mouths of
# five films 0 and 1 are 0.07 dB further. Higher: both rims lie lower
ROLLED = 0.5
LARGEST = 0.010  # metres that a rim is moved at most. Higher: wild poses are followed further


@dataclass(frozen=True, eq=False)
class LipRims:
    """Of one photograph: its blendshapes (52,), the heights of the rims in it (2R + 2,), head frame, metres, and how much higher they are (R,)
    where the lips part."""

    fitted: Array
    at_rest: Array
    rolled: Array

    @staticmethod
    def of(shape: Array, fitted: Array, flattened: Array) -> LipRims:
        """shape (V, 3): the mesh in the photograph's expression ``fitted`` (52,), head frame, metres; flattened (V, 3): the offset in it that
        makes its lips meet where the photograph's do."""
        rims, thick = visible_rims(shape), visible_rims(shape - flattened)
        count = len(UPPER)
        middle, middle_of_thick = (0.5 * (each[:count] + each[count : 2 * count]) for each in (rims, thick))
        half = np.maximum(rims[:count] - middle, 0.0)  # closed lips press on each other: they meet in the middle
        rims[:count], rims[count : 2 * count] = middle + half, middle - half
        return LipRims(fitted, rims, ROLLED * (middle_of_thick - middle))

    def offset(self, shape: Array, blendshapes: Array) -> Array:
        """What to add to ``shape`` (V, 3), the mesh under ``blendshapes`` (52,), so that its lips are where its landmarks are."""
        moved = np.asarray(blendshapes, np.float64) - self.fitted
        wanted = self.at_rest + moved @ _landmark_motion()
        now = visible_rims(shape)
        missed = np.clip(wanted - now, -LARGEST, LARGEST)
        count = len(UPPER)
        more = wanted[:count] - wanted[count : 2 * count] - (self.at_rest[:count] - self.at_rest[count : 2 * count])
        apart = smoothstep(*PARTED, more) * smoothstep(*UNCLOSED, np.array(1 - self._closed(moved)))
        missed[: 2 * count] += np.tile(apart * self.rolled, 2)
        middle = 0.5 * (missed[:count] + missed[count : 2 * count])
        missed[:count] = middle + apart * (missed[:count] - middle)
        missed[count : 2 * count] = middle + apart * (missed[count : 2 * count] - middle)
        near, answer = _answers()
        result = np.zeros_like(shape)
        result[near, 1] = answer @ missed
        return result

    @staticmethod
    def _closed(moved: Array) -> float:
        """The share of the lips' opening that mouthClose closes; ``moved`` (52,): blendshapes less those of the photograph."""
        parts = sum(share * moved[BLENDSHAPE_INDEX[name]] for name, share in PARTING.items())
        return float(max(moved[BLENDSHAPE_INDEX["mouthClose"]], 0.0) / max(parts, 1e-3))


def visible_rims(shape: Array) -> Array:
    """Height (2R + 2,) of the lips' rims, and of the corners, of ``shape`` (V, 3), head frame, metres: the lowest edge of the
    upper lip and the highest of the lower one, at the places of UPPER and LOWER."""
    rows, upper, lower = _rim_rows()
    places = rows @ shape
    count = len(UPPER)
    heights = [
        heights_across(shape[upper], places[:count, 0]).min(0),
        heights_across(-shape[lower] * [-1, 1, 1], places[count : 2 * count, 0]).min(0) * -1,
        places[2 * count :, 1],
    ]
    return np.concatenate(heights)


def heights_across(edges: Array, across: Array) -> Array:
    """(E, R) height at which edges (E, 2, 3) cross the columns ``across`` (R,), infinite where they do not."""
    first, second = edges[:, 0], edges[:, 1]
    width = second[:, 0] - first[:, 0]
    share = (across[None] - first[:, :1]) / np.where(np.abs(width) < 1e-7, 1e-7, width)[:, None]
    height = first[:, 1:2] + share * (second[:, 1:2] - first[:, 1:2])
    return np.where((share >= 0) & (share <= 1), height, np.inf)


@functools.cache
def lips() -> tuple[Array, Array]:
    """(V,) bool each: the upper and the lower lip, without the corners of the mouth."""
    head = Head.load()
    down, both = head.blendshapes[BLENDSHAPE_INDEX["jawOpen"]][:, 1], head.region("lips")
    return both & (down > UPPER_LIP), both & (down < LOWER_LIP)


@functools.cache
def _rim_rows() -> tuple[csr_array, Array, Array]:
    """Rows (2R + 2, V) of the landmarks on the mesh; edges (E, 2) of the upper and of the lower lip."""
    head = Head.load()
    rows = landmarks_on_mesh()[0][_chosen()]
    edges = single_edges(head.triangles[head.part("skin")])
    upper, lower = lips()
    return rows, edges[upper[edges].all(1)], edges[lower[edges].all(1)]


@functools.cache
def _landmark_motion() -> Array:
    """(52, 2R + 2) metres that each blendshape at 1 lifts the landmarks."""
    return np.ascontiguousarray(LandmarkModel.load().blendshapes[:, _chosen(), 1])


@functools.cache
def _answers() -> tuple[Array, Array]:
    """Vertices (N,) that move, and their heights (N, 2R + 2) for one metre of each rim."""
    head = Head.load()
    return field_answers(tuple(_chosen()), head.vertices[head.region("lips")].mean(0), REACH)


@functools.cache
def _chosen() -> list[int]:
    row = {int(landmark): k for k, landmark in enumerate(LandmarkModel.load().index)}
    return [row[landmark] for landmark in UPPER + LOWER + CORNERS]
