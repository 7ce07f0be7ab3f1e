"""Eyelids on the mesh: they stop where they meet, and stand as far open as the landmarks.

The head's own blink takes the upper lid 4 mm past the lower one, and the eye's corner with it (:class:`ClosingLids`). On the mesh a half-closed
eye is nearly shut, because its blink's way is shorter. Tracking fits landmarks as the network predicts them, and the network predicts some
opening where an eye is shut. So :class:`LidRims` moves an upper lid until the eye's opening, as a share of the photograph's, equals the opening
of the model's landmarks, as a share of how far a whole blink closes them.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array

from mimaface.geometry.interpolation import smoothstep
from mimaface.protocol.arkit import BLENDSHAPE_INDEX
from mimaface.protocol.arrays import Array

from .correction import field_answers, landmarks_on_mesh
from .fit import FittedFace, LandmarkModel
from .head import Head

# landmarks of the upper lid from near the inner corner to near the outer one, and opposite ones of the lower lid; outer corners
UPPER = ((398, 384, 385, 386, 387, 388, 466), (173, 157, 158, 159, 160, 161, 246))
LOWER = ((382, 381, 380, 374, 373, 390, 249), (155, 154, 153, 145, 144, 163, 7))
CORNERS, INNER = ((263,), (33,)), ((362,), (133,))
MEETS = 0.0005  # metres above the lower lid's edge where an upper lid stops. Higher: closed lids lie higher, and leave a slit
LID_THICK = 0.001  # metres in front of the eyeball that a lid stays at least, if it was. Higher: fuller lids
CORNER_SINKS = 0.001  # metres that the outer corner of an eye sinks in a blink. Higher: closed lids slant
REACH = 0.020, 0.032  # metres from the eye's middle: what moves with the lid is whole up to the first, still from the second
COUNT = len(UPPER[0])
BLINKS = ("eyeBlinkLeft", "eyeBlinkRight")
WAS_OPEN = 0.001, 0.003  # metres between a photograph's lids, from which its opening has shares. Higher: narrow eyes move as the mesh does
CLOSES = 0.95, 0.80  # share of the opening from which an eye closes, and does wholly. Higher: eyes that stay open change
SHUT = 0.10  # share of the opening up to which lids are shut: the network reads some gap on lashes. Higher: fewer slits
LARGEST = 0.006  # metres that a lid is moved at most. Higher: wild poses are followed further


@dataclass(frozen=True, eq=False)
class ClosingLids:
    """Of one fitted face: centres of its eyeballs (2, 3), and of its photograph, head frame, metres: how far each upper lid lies
    past the place where it meets (2, K), and the height of the outer corners (2,)."""

    centres: Array
    past: Array
    corners: Array

    @staticmethod
    def of(shape: Array, centres: Array) -> ClosingLids:
        """shape (V, 3): the mesh in the photograph's expression, head frame, metres; centres (2, 3) of the eyeballs."""
        places = [lid_rows(side) @ shape for side in range(2)]
        count = len(UPPER[0])
        past = np.stack([_past(place[:, 1]) for place in places])
        return ClosingLids(centres, past, np.array([place[2 * count, 1] for place in places]))

    def offset(self, shape: Array) -> Array:
        """Returns the offset (V, 3) of ``shape`` (V, 3), a posed mesh, after which its upper lids end where they meet the lower ones."""
        result = np.zeros_like(shape)
        count = len(UPPER[0])
        for side in range(2):
            height = (lid_rows(side) @ shape)[:, 1]
            more = np.maximum(_past(height) - self.past[side], 0)
            corner = max(self.corners[side] - CORNER_SINKS - height[2 * count], 0.0)
            if not more.any() and not corner:
                continue
            near, answer = lid_answers(side)
            lifted = answer[:, :count] @ more + answer[:, 2 * count] * corner
            old = shape[near] - self.centres[side]
            around = np.sqrt(np.maximum(old[:, 1] ** 2 + old[:, 2] ** 2 - (old[:, 1] + lifted) ** 2, 0))  # on its way around the eyeball
            front = np.where(old[:, 2] > 0, np.minimum(around - old[:, 2], np.abs(lifted)), 0.0)
            new = old + np.stack([0 * lifted, lifted, front], axis=1)
            away = np.linalg.norm(new, axis=1)
            least = np.minimum(np.linalg.norm(old, axis=1), Head.load().eye_radius + LID_THICK)
            result[near] += new * np.maximum(least / away, 1.0)[:, None] - old
        return result


def lower_lids(shape: Array, centres: Array) -> Array:
    """(2,) pitch in radians, seen from the eyes' centres (2, 3), of the middle of each lower lid's edge; shape (V, 3), head frame."""
    count = len(UPPER[0])
    middle = np.stack([(lid_rows(side) @ shape)[count + 2 : count + 5].mean(0) for side in range(2)]) - centres
    return np.asarray(np.arctan2(middle[:, 1], middle[:, 2]))


def _past(height: Array) -> Array:
    """(K,) metres by which an upper lid lies below the place where it meets the lower one; height (2K + 1,) of the landmarks."""
    count = len(UPPER[0])
    return np.asarray(np.maximum(height[count : 2 * count] + MEETS - height[:count], 0))


@functools.cache
def _chosen(side: int) -> list[int]:
    row = {int(landmark): k for k, landmark in enumerate(LandmarkModel.load().index)}
    return [row[landmark] for landmark in UPPER[side] + LOWER[side] + CORNERS[side]]


@functools.cache
def lid_rows(side: int) -> csr_array:
    """(2K + 1, V) of the landmarks of one eye on the mesh."""
    return landmarks_on_mesh()[0][_chosen(side)]


@functools.cache
def lid_line_rows(side: int) -> csr_array:
    """(K + 2, V) of the landmarks of one eye's upper lid, and its corners, on the mesh: from the inner to the outer one."""
    row = {int(landmark): k for k, landmark in enumerate(LandmarkModel.load().index)}
    return landmarks_on_mesh()[0][[row[landmark] for landmark in (*INNER[side], *UPPER[side], *CORNERS[side])]]


@functools.cache
def lid_answers(side: int) -> tuple[Array, Array]:
    """Vertices (N,) around one eye, and their heights (N, 2K + 1) for one metre of each landmark."""
    return field_answers(tuple(_chosen(side)), Head.load().eye_centres[side], REACH)


@dataclass(frozen=True, eq=False)
class LidRims:
    """Of one photograph, of [left, right] eye: metres between its lids on the mesh (2, K) and as the model has its landmarks (2, K), and
    those in a whole blink (2, K); its ``fitted`` blendshapes (52,)."""

    opening: Array
    landmarks: Array
    shut: Array
    fitted: Array

    @staticmethod
    def of(shape: Array, fit: FittedFace) -> LidRims:
        """shape (V, 3): the mesh in the photograph's expression, head frame, metres."""
        blinks = [BLENDSHAPE_INDEX[name] for name in BLINKS]
        landmarks = _between(LandmarkModel.load().points(fit.identity, fit.blendshapes)[:, 1])
        shut = landmarks + np.tensordot(1 - fit.blendshapes[blinks], _responses()[blinks], axes=1)
        return LidRims(_openings(shape), landmarks, shut, fit.blendshapes)

    def offset(self, shape: Array, blendshapes: Array) -> Array:
        """What to add to ``shape`` (V, 3), the mesh under ``blendshapes`` (52,), so that closing lids are as open as its landmarks."""
        result = np.zeros_like(shape)
        parted = self.landmarks + np.tensordot(np.asarray(blendshapes, np.float64) - self.fitted, _responses(), axes=1)
        share = (parted - self.shut) / np.maximum(self.landmarks - self.shut, 1e-4)
        share = np.maximum(share - SHUT, 0) / (1 - SHUT)
        closes = smoothstep(*CLOSES, share.mean(1, keepdims=True)) * smoothstep(*WAS_OPEN, self.opening)
        more = np.clip(closes * (share * self.opening - _openings(shape)), -LARGEST, LARGEST)
        for side in np.flatnonzero(closes.any(1)):
            near, answer = lid_answers(int(side))
            result[near, 1] += answer[:, :COUNT] @ more[side]
        return result


def _openings(shape: Array) -> Array:
    """(2, K) metres between opposite landmarks of the lids on the mesh ``shape`` (V, 3); 0 where they have passed each other."""
    height = np.stack([(lid_rows(side) @ shape)[:, 1] for side in range(2)])
    return np.asarray(np.maximum(height[:, :COUNT] - height[:, COUNT : 2 * COUNT], 0))


def _between(heights: Array) -> Array:
    """(…, K of the model) → (…, 2, K) metres between opposite landmarks of both eyes' lids."""
    upper, lower = _pairs()
    return np.asarray(heights[..., upper] - heights[..., lower])


@functools.cache
def _pairs() -> tuple[Array, Array]:
    """(2, K) rows of the model's landmarks of the upper and of the lower lids."""
    row = {int(landmark): k for k, landmark in enumerate(LandmarkModel.load().index)}
    upper, lower = (np.array([[row[landmark] for landmark in side] for side in lids]) for lids in (UPPER, LOWER))
    return upper, lower


@functools.cache
def _responses() -> Array:
    """(52, 2, K) metres by which each blendshape at 1 parts the landmarks of the lids; that of one eye does not move the other one, though
    the network reads a winking face so."""
    result = _between(LandmarkModel.load().blendshapes[..., 1])
    for name, row in BLENDSHAPE_INDEX.items():
        if name.startswith("eye"):
            result[row, 1 if name.endswith("Left") else 0] = 0.0
    return result
