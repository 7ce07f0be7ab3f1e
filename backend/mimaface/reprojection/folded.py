"""Finds pixels for hidden parts of the head: those of the mirror side, or, for hair, those beside the outline.

Hair is folded over at the outline and goes on behind it, so that it keeps its strands and its grain. The sheet is less steep on the side of
the head that turns into view, so that ears and hair are stretched evenly, not torn: a frontal photograph shows the surface from cheek to ear in
a few pixels, and the fitted ear never matches the photographed one to the pixel.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse.csgraph import dijkstra

from mimaface.face.fit import FittedFace
from mimaface.face.head import Head
from mimaface.face.pose import FacePose
from mimaface.geometry.camera import Camera, to_camera
from mimaface.geometry.interpolation import pixels_under, smoothstep
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
    """Metres (V,) along edges of ``triangles`` of ``still`` (V, 3) to the nearest ``sure`` vertex (V,), ∞ without a path; and its index (V,)."""
    ways = adjacency(triangles, len(still)).tocoo()
    ways.data = np.linalg.norm(still[ways.row] - still[ways.col], axis=1)
    far, _, nearest = dijkstra(ways.tocsr(), indices=np.flatnonzero(sure), return_predecessors=True, min_only=True)
    return far, nearest


def _jumps(folded: Array, still: Array, triangles: Array, used: Array, sure: Array) -> Array:
    """(V,) bool: ``used`` vertices whose ``folded`` place (V, 3), metres, is much further from a neighbour's than in ``still`` (V, 3):
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
    """Medians of the ``colours`` (V, 3) of ``hair`` and of ``skin`` (V,) vertices; where one has none, its median is the other's."""
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


@dataclass(frozen=True, eq=False)
class TurnedSides:
    """Which knots of the person warp come nearer to the camera of the photograph when a pose shows more of their side.

    nearer (R, C, 3): metres, head frame, by which each does at most; aside (R, C, 2): how far it is to the right and up from the head's
    middle, 1 at its sides; viewed (3,): unit vector, head frame, to the camera of the photograph.
    """

    nearer: Array
    aside: Array
    viewed: Array

    @staticmethod
    def of(place: Array, knots: Array, depth: Array, camera: Camera, fit: FittedFace) -> TurnedSides:
        """place (R, C, 3): metres, head frame, of ``knots`` (R, C, 2), pixels of the canvas, that are ``depth`` (R, C) metres away."""
        pixel = -float(fit.translation[2]) / camera.focal
        steps = pixel * (knots[-1, -1] - knots[0, 0]) / (np.array(knots.shape[1::-1]) - 1)
        even = less_steep(depth, tuning.STEEPEST_SIDE * steps)
        nearer = (camera.unproject(knots, even) - camera.unproject(knots, depth)) @ fit.rotation
        return TurnedSides(nearer, np.clip(place[..., :2] / tuning.SIDE_AWAY, -1, 1), to_camera(fit.rotation, fit.translation))

    def seen(self, place: Array, pose: FacePose) -> Array:
        """Where the knots (R, C, 3) of ``place``, metres in the head frame, are in ``pose``."""
        away = self.away(pose)
        return place if away is None else np.asarray(place + away)

    def away(self, pose: FacePose) -> Array | None:
        """Metres (R, C, 3), head frame, that the knots have come nearer in ``pose``; none where no side is so far turned into view."""
        turned = (to_camera(pose.rotation, pose.translation) - self.viewed)[:2]
        if np.linalg.norm(turned) * np.sqrt(2) <= tuning.SIDE_TURNED[0]:
            return None
        share = smoothstep(*tuning.SIDE_TURNED, self.aside @ turned)
        return np.asarray(share[..., None] * self.nearer)


def less_steep(depth: Array, rise: Array) -> Array:
    """The deepest surface (R, C) before ``depth`` (R, C) that changes by at most ``rise`` (2,) from one column, and from one row, to the next."""
    result = depth
    for axis, most in ((1, rise[0]), (0, rise[1])):
        ramp = np.expand_dims(most * np.arange(depth.shape[axis]), 1 - axis)
        onwards = np.minimum.accumulate(result - ramp, axis) + ramp
        backwards = np.flip(np.minimum.accumulate(np.flip(result + ramp, axis), axis), axis) - ramp
        result = np.minimum(onwards, backwards)
    return np.asarray(result)
