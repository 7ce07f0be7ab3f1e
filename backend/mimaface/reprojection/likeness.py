"""Matches a reference to the portrait's light by a smooth gain over the head, estimated on skin that both show."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import uniform_filter

from mimaface.geometry.camera import Camera
from mimaface.geometry.interpolation import fill_holes
from mimaface.geometry.rasterise import rasterise, vertex_normals
from mimaface.protocol.arrays import Array

from . import tuning
from .projection import Projection


def in_light_of(portrait: Projection, image: Array, shape: Array, place: Array, camera: Camera) -> Array:
    """``image`` (H, W, 3) uint8, whose head ``shape`` (V, 3), head frame, lies at ``place`` (V, 3), in the portrait's light."""
    head = portrait.head
    normals = vertex_normals(shape, head.triangles)
    terms = np.concatenate([np.ones((len(normals), 1)), normals], axis=1)
    raster = rasterise(place, portrait.triangles, camera.height, camera.width)
    both = (portrait.trust > 0.5) & head.region("face") & _seen(place, raster.depth)
    if both.sum() < 100:
        return image
    width = float(np.ptp(place[:, 0]))
    theirs = _colours(image, place[both], width)
    ours = _colours(portrait.image, portrait.place[both], portrait.head_width)
    change = _fit(terms[both], np.log((ours + tuning.LIGHT_FLOOR) / (theirs + tuning.LIGHT_FLOOR)))
    gain = np.clip(terms @ change, -tuning.LIGHT_LARGEST, tuning.LIGHT_LARGEST).astype(np.float32)
    field = fill_holes(raster.interpolate(portrait.triangles, gain), raster.covered)
    field = uniform_filter(field, (2 * max(round(0.03 * width), 1) + 1,) * 2 + (1,), mode="nearest")
    return np.asarray(np.clip((image + tuning.LIGHT_FLOOR) * np.exp(field) - tuning.LIGHT_FLOOR, 0, 255).round().astype(np.uint8))


def _fit(terms: Array, wanted: Array) -> Array:
    """(4, 3): brightness and direction of the light by which colours differ, from terms (P, 4) and logarithms (P, 3)."""
    weights = np.ones(len(terms))
    result = np.zeros((terms.shape[1], wanted.shape[1]))
    for _ in range(tuning.LIGHT_ROUNDS):
        ridge = np.diag([0.0, *([tuning.LIGHT_STIFF * weights.sum()] * 3)])
        middle = (weights[:, None] * terms).sum(0) / weights.sum()
        away = terms - middle * [0, 1, 1, 1]  # brightness is that of the middle of the face
        result = np.linalg.solve(away.T @ (weights[:, None] * away) + ridge, away.T @ (weights[:, None] * wanted))
        error = np.linalg.norm(wanted - away @ result, axis=1)
        weights = 1 / (1 + (error / tuning.LIGHT_OFF) ** 2)
        whole = result.copy()
        whole[0] -= middle[1:] @ result[1:]
    return whole


def _colours(image: Array, place: Array, head_width: float) -> Array:
    """RGB (P, 3) of ``image`` around ``place`` (P, 3)."""
    reach = max(round(tuning.LIGHT_AROUND * head_width), 1)
    soft = uniform_filter(image.astype(np.float32), (2 * reach + 1, 2 * reach + 1, 0 + 1), mode="nearest")
    row = np.clip(place[:, 1].astype(int), 0, image.shape[0] - 1)
    column = np.clip(place[:, 0].astype(int), 0, image.shape[1] - 1)
    return np.asarray(soft[row, column])


def _seen(place: Array, depth: Array) -> Array:
    """(V,) bool: vertices that no nearer surface hides in their picture."""
    height, width = depth.shape
    inside = (place[:, 0] >= 0) & (place[:, 0] < width) & (place[:, 1] >= 0) & (place[:, 1] < height)
    row, column = np.clip(place[:, 1].astype(int), 0, height - 1), np.clip(place[:, 0].astype(int), 0, width - 1)
    return np.asarray(inside & (place[:, 2] - depth[row, column] < 0.004))
