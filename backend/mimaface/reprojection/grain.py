"""Adds grain to skin that the photograph hides: closing lids get the pores, noise or brushstrokes of the cheek below them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter

from mimaface.face.correction import Correction
from mimaface.face.fit import FittedFace
from mimaface.face.head import Head
from mimaface.geometry.camera import Camera
from mimaface.geometry.interpolation import pixels_under
from mimaface.protocol.arkit import BLENDSHAPE_INDEX
from mimaface.protocol.arrays import Array

from . import tuning
from .eyes import around_eyes
from .kernels import SKIN


@dataclass(frozen=True, eq=False)
class Grain:
    """detail (h, w, 1) float32: the share by which pixels of the cheeks are lighter than what is around them; place (V, 3) float32: u and v in
    it that skin without a pixel of its own takes, and how much of it, 0 or 1."""

    detail: Array
    place: Array

    @staticmethod
    def of(image: Array, source_kind: Array, fit: FittedFace, camera: Camera, correction: Correction, head_width: float) -> Grain:
        """image (H, W, 3) uint8 of ``camera``, of which ``source_kind`` (H, W) shows what; head_width: pixels across the head in it."""
        near, below = _on_cheeks(fit, camera, correction)
        place = np.zeros((len(Head.load().vertices), 3), np.float32)
        row, column = pixels_under(below, *source_kind.shape)
        on_skin = source_kind[row, column] == SKIN
        if not on_skin.any():
            return Grain(np.zeros((1, 1, 1), np.float32), place)
        reach = round(4 * tuning.GRAIN_SIZE * head_width) + 1
        top, left = max(row.min() - reach, 0), max(column.min() - reach, 0)
        part = np.s_[top : row.max() + reach, left : column.max() + reach]
        place[near] = np.column_stack([below[:, 0] - left, below[:, 1] - top, on_skin])
        return Grain(_detail(image[part], source_kind[part] == SKIN, tuning.GRAIN_SIZE * head_width)[..., None], place)


def _on_cheeks(fit: FittedFace, camera: Camera, correction: Correction) -> tuple[Array, Array]:
    """Vertices (N,) around the eyes, and the pixels (N, 2) that lie as far apart on the cheek as they do on closed lids."""
    head = Head.load()
    closed = fit.blendshapes.copy()
    closed[[BLENDSHAPE_INDEX["eyeBlinkLeft"], BLENDSHAPE_INDEX["eyeBlinkRight"]]] = 1
    near = np.flatnonzero(around_eyes())
    shape = (head.posed(fit.identity, closed, fit.gaze) + correction.at(closed))[near]
    shape[:, 1] -= tuning.GRAIN_BELOW
    return near, camera.project(shape @ fit.rotation.T + fit.translation)[:, :2]


def _detail(image: Array, skin: Array, size: float) -> Array:
    """(h, w) float32: see :class:`Grain`; of ``image`` (h, w, 3), where it is ``skin`` (h, w), finer than ``size`` pixels."""
    bright = image.mean(2, dtype=np.float32)
    share = skin.astype(np.float32)
    around = gaussian_filter(bright * share, size) / np.maximum(gaussian_filter(share, size), 1e-3)
    detail = np.where(skin, bright / np.maximum(around, 1) - 1, 0)
    usual = tuning.GRAIN_MOST * np.median(np.abs(detail[skin]))  # excludes moles, rims of glasses and strands
    return np.asarray(tuning.GRAIN_GAIN * np.clip(detail, -usual, usual), np.float32)
