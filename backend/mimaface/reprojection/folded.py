"""Finds pixels for hidden parts of the head: those of the mirror side, or, for hair, those beside the outline.

Hair is folded over at the outline and goes on behind it, so that it keeps its strands and its grain.
"""

from __future__ import annotations

import numpy as np
from scipy.sparse.csgraph import dijkstra

from mimaface.face.head import Head
from mimaface.geometry.camera import Camera
from mimaface.geometry.interpolation import pixels_under
from mimaface.geometry.mesh import adjacency, edges
from mimaface.geometry.rasterise import raster_strips
from mimaface.protocol.arrays import Array

from . import tuning


def partners(
    image: Array, still: Array, place: Array, normals: Array, seen: Array, mirror_trust: Array, camera: Camera
) -> tuple[Array, Array]:  # fmt: skip
    """Returns a pixel for each hidden vertex (V, 3): u, v and metres of depth; and its trust (V,), 0 to 1.

    still (V, 3): metres, camera frame, with ``normals`` (V, 3), at ``place`` (V, 3) of the photograph ``image`` (H, W, 3) uint8, which shows
    them by ``seen`` (V,), and their mirror partners by ``mirror_trust`` (V,).
    """
    head = Head.load()
    skin, scalp = head.skin_triangles(), head.region("scalp")
    hair = skin[scalp[skin].all(1)]
    result, trust = place[head.mirror], mirror_trust.copy()
    on_scalp = np.zeros(len(place), bool)
    on_scalp[hair] = True
    sure = on_scalp & (seen > tuning.SURE_TRUST)
    if not sure.any():
        return result, trust
    near, outline = _way_from(sure, still, hair)
    hidden = np.flatnonzero(on_scalp & ~sure & np.isfinite(near))
    metre = camera.focal / -float(still[sure, 2].mean())
    usual = usual_colours(image[pixels_under(place, *image.shape[:2])], sure, np.asarray(head.region("face") & (seen > tuning.SURE_TRUST)))
    above = scalp & (head.vertices[:, 1] > head.vertices[head.region("ears"), 1].max())
    depth, inside = _hair_in(image, place, skin, np.asarray(above[skin].all(1)), usual)
    wide, inwards = _before_outline(inside, place, normals, metre)
    start, reach = outline[hidden], tuning.FOLD_WITHIN * wide[outline[hidden]]
    folded = place.copy()
    folded[hidden, :2] = place[start, :2] + (metre * reach * np.tanh(near[hidden] / reach))[:, None] * inwards[start]
    around = adjacency(hair, len(place))
    count = np.maximum(around.sum(1), 1)[:, None]
    for _ in range(tuning.FOLD_SMOOTHING):
        folded[hidden, :2] = (around @ folded[:, :2] / count)[hidden]
    pixel = pixels_under(folded[hidden], *depth.shape)
    folded[hidden, 2] = np.where(np.isfinite(depth[pixel]), depth[pixel], place[hidden, 2])
    used = np.zeros(len(place), bool)
    used[hidden] = (trust[hidden] < tuning.FOLD_MIRRORED) & np.isfinite(depth[pixel]) & inside[pixel] & (reach > tuning.FOLD_LEAST)
    used &= ~_jumps(folded / [metre, metre, 1], still, hair, used, sure) & ~_beside_hair(folded, hair[used[hair].all(1)], inside)
    beside = ~used & (around @ used > 0) & (sure | (trust == 0))  # from their other side to a folded place there is anything on the way
    result[used | beside], trust[used | beside] = folded[used | beside], (used | sure)[used | beside]
    return result, trust


def _way_from(sure: Array, still: Array, triangles: Array) -> tuple[Array, Array]:
    """Metres (V,) over ``triangles`` of ``still`` (V, 3) to the nearest ``sure`` vertex (V,), ∞ where there is no way, and which that is (V,)."""
    ways = adjacency(triangles, len(still)).tocoo()
    ways.data = np.linalg.norm(still[ways.row] - still[ways.col], axis=1)
    far, _, nearest = dijkstra(ways.tocsr(), indices=np.flatnonzero(sure), return_predecessors=True, min_only=True)
    return far, nearest


def _jumps(folded: Array, still: Array, triangles: Array, used: Array, sure: Array) -> Array:
    """(V,) bool: ``used`` vertices from which it is much further to a neighbour's ``folded`` place (V, 3), metres, than over ``still`` (V, 3):
    where hair of the left meets that of the right, or what is behind an ear the ear."""
    first, second = edges(triangles)
    far = np.linalg.norm(folded[first] - folded[second], axis=1) > tuning.FOLD_FURTHER * np.linalg.norm(still[first] - still[second], axis=1)
    result = np.zeros(len(used), bool)
    result[first[far & used[first] & (used | sure)[second]]] = True
    return result


def _beside_hair(folded: Array, triangles: Array, inside: Array) -> Array:
    """(V,) bool: vertices of ``triangles`` between whose ``folded`` places (V, 2 or more) there is something else than the hair ``inside`` (H, W)."""
    result = np.zeros(len(folded), bool)
    for shares in ((1, 1, 1), (1, 1, 0), (0, 1, 1), (1, 0, 1)):
        between = np.tensordot(np.array(shares) / sum(shares), folded[triangles], (0, 1))
        result[triangles[~inside[pixels_under(between, *inside.shape)]]] = True
    return result


def usual_colours(colours: Array, hair: Array, skin: Array) -> tuple[Array, Array]:
    """Median of the ``colours`` (V, 3) of ``hair`` and of ``skin`` (V,); without any of the one, both of the other."""
    hair, skin = (hair, skin) if hair.any() and skin.any() else (hair | skin, hair | skin)
    if not hair.any():
        return np.zeros(3), np.zeros(3)
    return np.median(colours[hair], 0), np.median(colours[skin], 0)


def like_hair(colours: Array, usual: tuple[Array, Array]) -> Array:
    """(…) bool: whether ``colours`` (…, 3) are at least as near to the ``usual`` one of hair as to that of skin."""
    hair, skin = ((colours - colour) ** 2 for colour in usual)  # summed by channels: a norm along so short an axis takes four times as long
    return np.asarray(np.sqrt(hair[..., 0] + hair[..., 1] + hair[..., 2]) <= np.sqrt(skin[..., 0] + skin[..., 1] + skin[..., 2]))


def _hair_in(image: Array, place: Array, skin: Array, above_ears: Array, usual: tuple[Array, Array]) -> tuple[Array, Array]:
    """The depth (H, W) of the head in ``image``, whose triangles are ``skin`` (N, 3), and where hair is seen (H, W) bool: what looks like it,
    and, for a hat has many colours, all of the scalp (N,) above the ears."""
    depth, hair = np.empty(image.shape[:2], np.float32), np.zeros(image.shape[:2], bool)
    for rows, raster in raster_strips(place, skin, *image.shape[:2]):
        depth[rows] = raster.depth
        hair[rows] = raster.covered & (above_ears[raster.triangle] | like_hair(image[rows].astype(np.float32), usual))
    return depth, hair


def _before_outline(hair: Array, place: Array, normals: Array, metre: float) -> tuple[Array, Array]:
    """Returns the length (V,), in metres of ``metre`` pixels, of ``hair`` (H, W) from each vertex in its direction (V, 2) away from the outline."""
    inwards = normals[:, :2] * [-1, 1]  # rows go down
    inwards /= np.maximum(np.linalg.norm(inwards, axis=1, keepdims=True), 1e-9)
    away = np.arange(tuning.HAIR_STEP, tuning.FOLD_WIDEST, tuning.HAIR_STEP)
    points = place[:, None, :2] + metre * away[:, None] * inwards[:, None]
    inside = hair[pixels_under(points.reshape(-1, 2), *hair.shape)].reshape(points.shape[:2])
    return np.where(inside.all(1), tuning.FOLD_WIDEST, away[inside.argmin(1)]), inwards
