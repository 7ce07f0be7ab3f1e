"""The head model meets the outline of the person in the photograph: it is extended to hair and hats, and its ears lie as close as they do there.

Hair and hat form a shell around the skull and turn with it. Hair that hides an ear lies over the ear.
"""

from __future__ import annotations

import numpy as np
from scipy.ndimage import distance_transform_edt

from mimaface.face.fit import FittedFace
from mimaface.face.head import Head
from mimaface.geometry.camera import Camera
from mimaface.geometry.interpolation import pixels_under
from mimaface.geometry.mesh import adjacency, edges, harmonic_extension
from mimaface.geometry.rasterise import raster_strips, vertex_normals
from mimaface.protocol.arrays import Array

from . import tuning


def hair_offset(fit: FittedFace, camera: Camera, shape: Array, image: Array, matte: Array) -> Array:
    """How far (V, 3) the vertices of ``shape`` (V, 3), metres in the head frame, move outwards so that hair fits inside.

    image (H, W, 3) uint8 is what ``camera`` sees; matte (H, W): see :mod:`mimaface.reprojection.matte`.
    """
    head = Head.load()
    skin = head.skin_triangles()
    still = shape @ fit.rotation.T + fit.translation
    hair = head.region("scalp") | _hidden_ears(head, camera.project(still), image)
    ears = hair & head.region("ears")
    smooth = np.where(ears[:, None], harmonic_extension(shape, ~ears, skin), shape) if ears.any() else shape
    normals = vertex_normals(smooth, skin)
    limit = _way_out(fit, camera, smooth, normals, matte)
    sure = hair & np.isfinite(limit) & (np.abs(_facing(fit, smooth, normals)) < tuning.SILHOUETTE_COSINE)
    if sure.sum() < 5:  # an outline that is cut off
        return np.zeros_like(shape)
    inner = skin[hair[skin].all(1)]
    thick = np.where(hair, harmonic_extension(np.where(sure, limit, 0.0)[:, None], sure, inner)[:, 0], 0.0)
    first, second = edges(skin)
    neighbours = np.maximum(np.bincount(first, minlength=len(thick)), 1)
    for _ in range(tuning.HAIR_SMOOTHING):
        around = np.bincount(first, thick[second], len(thick)) / neighbours
        thick = np.where(hair, 0.5 * (thick + around), 0.0)
    return np.asarray(smooth - shape + np.clip(np.minimum(thick, limit), 0, tuning.HAIR_THICKEST)[:, None] * normals)


def ears_offset(fit: FittedFace, camera: Camera, shape: Array, matte: Array) -> Array:
    """How far (V, 3) the ears of ``shape`` (V, 3), metres in the head frame, move so that none lies beside the person of ``matte`` (H, W), as
    ``camera`` sees it: ears of the model that are larger than the photographed ones, or stand off further, would come out behind them."""
    head, result = Head.load(), np.zeros_like(shape)
    ears = np.flatnonzero(head.region("ears"))
    around = adjacency(head.skin_triangles(), len(shape))[ears]
    pixel = -float(fit.translation[2]) / camera.focal
    first = camera.project(shape[ears] @ fit.rotation.T + fit.translation)
    (top, bottom), (left, right) = pixels_under(np.stack([first.min(0), first.max(0)]), *matte.shape)
    person = matte[top : bottom + 1, left : right + 1] > 0.5
    if not person.any():
        return result
    nearest = distance_transform_edt(~person, return_distances=False, return_indices=True)[::-1]  # (2, h, w): columns and rows
    for _ in range(tuning.EAR_ROUNDS):
        place = camera.project((shape + result)[ears] @ fit.rotation.T + fit.translation)
        row, column = pixels_under(place[:, :2] - [left, top], *person.shape)
        off = pixel * (nearest[:, row, column].T - np.stack([column, row], axis=1))
        result[ears] += off * [1, -1] @ fit.rotation[:2]
        for _ in range(tuning.EAR_SMOOTHING):
            result[ears] = around @ result / around.sum(1)[:, None]
    return result


def _way_out(fit: FittedFace, camera: Camera, shape: Array, normals: Array, matte: Array) -> Array:
    """Metres (V,) from a vertex along its normal to the outline of the person in the photograph; ∞ where the outline is not visible."""
    still, outwards = shape @ fit.rotation.T + fit.translation, normals @ fit.rotation.T
    away = np.arange(0, tuning.HAIR_THICKEST, tuning.HAIR_STEP)
    points = still[:, None] + away[:, None] * outwards[:, None]
    u, v = np.moveaxis(camera.project(points.reshape(-1, 3)).reshape(points.shape)[..., :2].astype(int), -1, 0)
    height, width = matte.shape
    inside = (u >= 0) & (u < width) & (v >= 0) & (v < height)
    person = ~inside | (matte[np.clip(v, 0, height - 1), np.clip(u, 0, width - 1)] > 0.5)
    return np.where(person.all(1) | ~inside[:, 0], np.inf, away[person.argmin(1)])


def _facing(fit: FittedFace, shape: Array, normals: Array) -> Array:
    """(V,) cosine between surface and line of sight."""
    still, outwards = shape @ fit.rotation.T + fit.translation, normals @ fit.rotation.T
    return np.asarray(-(outwards * still).sum(1) / np.linalg.norm(still, axis=1))


def _hidden_ears(head: Head, place: Array, image: Array) -> Array:
    """(V,) bool: vertices of ears that look like the hair above them rather than like the face; ``place`` (V, 3): u, v, depth.

    An ear that is turned away is taken to be as the other one.
    """
    height, width = image.shape[:2]
    row, column = pixels_under(place, height, width)
    depth = np.concatenate([raster.depth for _, raster in raster_strips(place, head.skin_triangles(), height, width)])
    seen = np.abs(place[:, 2] - depth[row, column]) < 0.004  # metres behind the nearest surface
    colour = image[row, column].astype(np.float64)
    ears, face, scalp = (head.region(name) for name in ("ears", "face", "scalp"))
    if not (face & seen).any() or not (scalp & seen).any():
        return np.zeros(len(place), bool)
    skin, hair = np.median(colour[face & seen], 0), np.median(colour[scalp & seen], 0)
    like_hair = np.linalg.norm(colour - hair, axis=1) < np.linalg.norm(colour - skin, axis=1)
    sides = [ears & (head.vertices[:, 0] > 0), ears & (head.vertices[:, 0] <= 0)]
    votes = [float(like_hair[side & seen].mean()) if (side & seen).sum() >= 15 else None for side in sides]
    result = np.zeros(len(place), bool)
    for side, vote, other in zip(sides, votes, votes[::-1]):
        known = vote if vote is not None else other
        result |= side & (known is not None and known > 0.5)
    return result
