"""Lids that stand as far open as the landmarks say: on the mesh a half-closed eye is nearly shut, for its blink's way is shorter.

The tracker explains lids by landmarks that move as the network sees them, and the network reads some gap where an eye is shut. So an
upper lid is put where it leaves the share of the photograph's opening that the model's landmarks do, of what they do in a whole blink.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mimaface.geometry.interpolation import smoothstep
from mimaface.protocol.arkit import BLENDSHAPE_INDEX

from .closing_lids import LOWER, UPPER, lid_answers, lid_rows
from .fit import FittedFace, LandmarkModel

Array = NDArray[Any]
COUNT = len(UPPER[0])
BLINKS = ("eyeBlinkLeft", "eyeBlinkRight")
WAS_OPEN = 0.001, 0.003  # metres between a photograph's lids, from which its opening has shares. Higher: narrow eyes move as the mesh does
CLOSES = 0.95, 0.80  # share of the opening from which an eye closes, and does wholly. Higher: eyes that stay open change
SHUT = 0.10  # share of the opening up to which lids are shut: the network reads some gap on lashes. Higher: fewer slits
LARGEST = 0.006  # metres that a lid is moved at most. Higher: wild poses are followed further


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
