"""The photograph projected onto the fitted head: where each point of the head is in the picture, and how far to trust it.

A point takes its own pixel where it is seen, else the pixel of its mirror partner, else colours spread from seen neighbours.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt
from scipy.sparse import coo_array, diags_array
from scipy.sparse.linalg import spsolve

from mimaface.protocol.arkit import ACTION_INDEX

from .camera import Camera
from .fit import FittedFace
from .head import Head
from .rasterise import rasterise, vertex_normals
from .sampling import bilinear, smoothstep

Array = NDArray[Any]
NOT_DRAWN = ("lashes", "hair")
SKIN, EYE, MOUTH = 1, 2, 3
MOUTH_PARTS = ("teeth_upper", "teeth_lower", "tongue", "mouth_inside")
MOUTH_SHADE = {"teeth_upper": 1.0, "teeth_lower": 0.85, "tongue": 0.85, "mouth_inside": 0.45}
LASH_TRAVEL, LASHES = 0.90, 0.55  # share of a blink's largest travel; how dark the lid's edge is against its skin
LIPS_DEPTH, MOUTH_DARK = 0.090, 0.035  # metres: where the lips are in the head, and how fast it gets dark behind them
DEPTH_BIAS, DEPTH_SOFT = 0.008, 0.008  # metres behind the nearest surface: up to the first it is seen, past both it is hidden
SQUASH_LOW, SQUASH_HIGH = 0.30, 0.75  # share of its true area that a piece of lid shows: folded lids have no pixels to unfold
FACING_LOW, FACING_HIGH = 0.02, 0.16  # cosine between surface and line of sight
# pixels from another surface within which a pixel is not and then is trusted, by kind, at heads up to RIM_HEAD pixels wide
RIM_HEAD = 200
SAME_RIM = 0.8  # the same for points whose expression did not change
RIM = np.array([[0.0, 1.0], [2.5, 7.0], [0.7, 2.0], [0.7, 2.0]], np.float32)
NECK_LOW, NECK_HIGH = -0.150, -0.075  # metres below the eyes: the neck rests below, turns with the head above


@dataclass(frozen=True, eq=False)
class Projection:
    """What a portrait brings to every frame; V vertices, N drawn triangles, source picture H × W.

    place, mirror_place (V, 3): u, v, depth in the source; trust, mirror_trust (V,): facing 0–1; fallback (V, 3): RGB 0–255;
    folded (V,): 1 for lid skin that has no pixels to unfold;
    follow (V,): 1 moves with the head, 0 stays (base of the neck); kind (N,): SKIN, EYE or MOUTH;
    part (N,): the head's own label; at the source pixels: depth and kind (H, W), margin (H, W, 4): pixels to the nearest other surface, by kind.
    """

    head: Head
    camera: Camera
    image: Array
    triangles: Array
    kind: Array
    part: Array
    still: Array
    place: Array
    mirror_place: Array
    trust: Array
    mirror_trust: Array
    fallback: Array
    folded: Array
    follow: Array
    depth: Array
    source_kind: Array
    margin: Array

    @property
    def kind_of_vertex(self) -> Array:
        """(V,) the kind of the triangles around each vertex; SKIN where kinds meet."""
        result = np.zeros(len(self.trust), np.uint8)
        for value in (MOUTH, EYE, SKIN):
            result[self.triangles[self.kind == value]] = value
        return result


def project_portrait(image: Array, fit: FittedFace, camera: Camera) -> Projection:
    """Prepare ``image`` (H, W, 3) uint8, whose camera is ``camera``, for rendering; about 0.2 s at 512²."""
    head = Head.load()
    drawn = np.flatnonzero(~np.isin(head.triangle_part, [head.parts.index(name) for name in NOT_DRAWN]))
    triangles = np.ascontiguousarray(head.triangles[drawn])
    kind = np.full(len(drawn), SKIN, np.uint8)
    for name in ("eye_left", "eye_right"):
        kind[head.triangle_part[drawn] == head.parts.index(name)] = EYE
    for name in MOUTH_PARTS:
        kind[head.triangle_part[drawn] == head.parts.index(name)] = MOUTH

    still = head.posed(fit.identity, fit.actions, fit.gaze) @ fit.rotation.T + fit.translation
    place = camera.project(still)
    raster = rasterise(place, triangles, camera.height, camera.width)
    source_kind = np.where(raster.covered, kind[raster.triangle], 0).astype(np.uint8)
    margin = np.zeros((*source_kind.shape, 4), np.float32)
    for value in (SKIN, EYE, MOUTH):
        here = source_kind == value
        margin[..., value] = distance_transform_edt(here)
    margin *= np.float32(min(RIM_HEAD / max(float(np.ptp(place[:, 0])), 1.0), 1.0))

    normals = vertex_normals(still, triangles)
    view = -still / np.linalg.norm(still, axis=1, keepdims=True)
    facing = (normals * view).sum(1)
    trust = smoothstep(FACING_LOW, FACING_HIGH, facing).astype(np.float32)
    eyes = np.concatenate([head.vertices_of("eye_left"), head.vertices_of("eye_right")])
    trust[eyes] = smoothstep(0.2, 0.4, facing[eyes])
    inner = np.unique(triangles[kind == MOUTH])
    trust[inner] = np.where(head.region("lips")[inner], trust[inner], 1.0)
    lids = head.region("lids")
    folded = np.where(lids, 1 - smoothstep(SQUASH_LOW, SQUASH_HIGH, shown_share(place, still, camera, triangles)), 0.0)
    folded[lash_line(head)] = 1.0
    seen = trust * (1 - folded) * _seen(place, raster.depth)
    neutral = head.vertices
    low = neutral[:, 1] + 0.6 * np.maximum(neutral[:, 2], 0)
    fallback = _fallback_colours(head, image, place, seen, triangles, kind, still, fit, source_kind, margin)
    mirror = head.mirror
    mirror_trust = trust[mirror].copy()
    mirror_trust[eyes] = 0
    return Projection(
        head, camera, image, triangles, kind, head.triangle_part[drawn], still, place, place[mirror], trust, mirror_trust, fallback, folded,
        smoothstep(NECK_LOW, NECK_HIGH, low), raster.depth, source_kind, margin,
    )  # fmt: skip


def shown_share(place: Array, still: Array, camera: Camera, triangles: Array) -> Array:
    """(V,) least share of its area that any triangle around a vertex shows in the picture, 0–1."""
    a, b, c = (place[triangles[:, corner]] for corner in range(3))
    flat = np.abs((b[:, 0] - a[:, 0]) * (c[:, 1] - a[:, 1]) - (b[:, 1] - a[:, 1]) * (c[:, 0] - a[:, 0]))
    x, y, z = (still[triangles[:, corner]] for corner in range(3))
    true = np.linalg.norm(np.cross(y - x, z - x), axis=1) * (camera.focal / a[:, 2]) ** 2
    result = np.ones(len(place))
    for corner in range(3):
        np.minimum.at(result, triangles[:, corner], flat / np.maximum(true, 1e-9))
    return result


def _seen(place: Array, depth: Array) -> Array:
    """(V,) 1 where the vertex is the nearest thing at its pixel of the source, 0 where it is hidden or outside."""
    height, width = depth.shape
    column = np.clip(place[:, 0].astype(int), 0, width - 1)
    row = np.clip(place[:, 1].astype(int), 0, height - 1)
    inside = (place[:, 0] >= 0) & (place[:, 0] < width) & (place[:, 1] >= 0) & (place[:, 1] < height)
    behind = place[:, 2] - depth[row, column]
    return np.asarray(np.where(np.isfinite(behind), 1 - smoothstep(DEPTH_BIAS, 2 * DEPTH_BIAS, behind), 1.0) * inside)


def _fallback_colours(
    head: Head, image: Array, place: Array, trust: Array, triangles: Array, kind: Array, still: Array, fit: FittedFace,
    source_kind: Array, margin: Array,
) -> Array:  # fmt: skip
    """Colours (V, 3) for points that no pixel shows: spread over the skin; by angle on the eyes; shaded in the mouth."""
    height, width = image.shape[:2]
    column = np.clip(place[:, 0].astype(int), 0, width - 1)
    row = np.clip(place[:, 1].astype(int), 0, height - 1)
    seen = image[row, column].astype(np.float64)
    skin = np.unique(triangles[kind == SKIN])
    sure = (trust > 0.6) & ~head.region("lids") & (source_kind[row, column] == SKIN) & (margin[row, column, SKIN] > RIM[SKIN, 1])
    result = _spread(len(trust), triangles[kind == SKIN], seen, sure, skin)
    face = sure & head.region("face")
    result[lash_line(head)] *= LASHES
    normals = vertex_normals(head.vertices, triangles)
    light = np.median(seen[face], axis=0) / 255 if face.any() else np.array([0.7, 0.55, 0.5])
    gain = 255 * light / np.median(head.albedo[head.region("face")], axis=0)
    bright = image[(source_kind == MOUTH) & (margin[..., MOUTH] > RIM[MOUTH, 0])]
    teeth = np.percentile(bright, 85, axis=0) if len(bright) >= 20 and np.percentile(bright, 85) > 110 else None
    for name in MOUTH_PARTS:
        corners = triangles[(head.triangle_part == head.parts.index(name))[_drawn(head)]]
        vertices = np.unique(corners)
        vertices = vertices[~np.isin(vertices, skin)] if name == "mouth_inside" else vertices
        warm = 0.5 * gain.mean() + 0.5 * gain  # teeth take the light's strength and half of its colour
        behind = np.maximum(LIPS_DEPTH - head.vertices[vertices, 2], 0) / MOUTH_DARK
        curve = 0.4 + 0.6 * np.abs(normals[vertices, 2])
        shade = (MOUTH_SHADE[name] * curve * np.exp(-behind))[:, None]
        result[vertices] = (teeth if teeth is not None and name.startswith("teeth") else head.albedo[vertices] * warm) * shade
    centres = head.eye_centres_for(fit.identity) @ fit.rotation.T + fit.translation
    for side, name in enumerate(("eye_left", "eye_right")):
        ball = head.vertices_of(name)
        sure_ball = (
            (source_kind[row[ball], column[ball]] == EYE)
            & (margin[row[ball], column[ball], EYE] > RIM[EYE, 0])
            & (trust[ball] > 0.5)
        )
        # the sphere is ordered in rings around its pole, the pupil
        pole = still[ball[0]] - centres[side]
        angle = np.arccos(np.clip((still[ball] - centres[side]) @ pole / (pole @ pole), -1, 1))
        result[ball] = _by_angle(angle, seen[ball], sure_ball, head.albedo[ball] * gain.mean() * 0.9)
    return np.clip(result, 0, 255).astype(np.float32)


def lash_line(head: Head) -> Array:
    """(V,) bool: the edges of the upper lids, which a blink moves the most."""
    edge = np.zeros(len(head.vertices), bool)
    lids = np.intersect1d(np.flatnonzero(head.region("lids")), head.vertices_of("skin"))
    for name in ("eyeBlinkLeft", "eyeBlinkRight"):
        travel = np.linalg.norm(head.actions[ACTION_INDEX[name]][lids], axis=1)
        edge[lids[travel > LASH_TRAVEL * travel.max()]] = True
    return edge


def _drawn(head: Head) -> Array:
    return np.flatnonzero(~np.isin(head.triangle_part, [head.parts.index(name) for name in NOT_DRAWN]))


def _by_angle(angle: Array, seen: Array, sure: Array, default: Array) -> Array:
    """Median seen colour per ring around the pupil (P, 3); rings that are not seen take the nearest seen one or the default."""
    if sure.sum() < 8:
        return default
    rings = np.round(np.rad2deg(angle) / 3).astype(int)
    known = np.unique(rings[sure])
    colours = np.stack([np.median(seen[sure & (rings == ring)], axis=0) for ring in known])
    if known.max() * 3 > 32:  # the white is one colour: its brightest seen part
        white = known * 3 > 28
        colours[white] = np.maximum(np.percentile(colours[white], 70, axis=0), 0.72 * default[-1])
    nearest = np.abs(rings[:, None] - known[None]).argmin(1)
    return np.asarray(colours[nearest])


def _spread(count: int, triangles: Array, seen: Array, sure: Array, used: Array) -> Array:
    """Harmonic extension over the mesh: sure vertices keep their colour, the others average their neighbours (V, 3)."""
    pairs = np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]])
    pairs = np.concatenate([pairs, pairs[:, ::-1]])
    weights = coo_array((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(count, count)).tocsr()
    weights.data[:] = 1.0
    result = np.tile(np.median(seen[sure], axis=0) if sure.any() else [170.0, 130.0, 115.0], (count, 1))
    free = np.zeros(count, bool)
    free[used] = True
    free &= ~sure
    fixed = np.zeros(count, bool)
    fixed[used] = True
    fixed &= sure
    if not fixed.any() or not free.any():
        return result
    result[fixed] = seen[fixed]
    degree = weights[free].sum(1)
    matrix = diags_array(degree + 1e-4) - weights[free][:, free]
    right = weights[free][:, fixed] @ result[fixed] + 1e-4 * result[free]
    result[free] = spsolve(matrix.tocsc(), right)
    return result


@numba.njit(cache=True, nogil=True)
def texture(
    found: Array, weights: Array, triangles: Array, kind: Array, own: Array, partner: Array, factors: Array, fallback: Array,
    image: Array, source_depth: Array, margin: Array, rim: Array,
) -> Array:  # fmt: skip
    """Colour and opacity (h, w, 4) of a raster of the posed head.

    own, partner (V, 4): u/z, v/z … as homogeneous source position x, y, w and depth; factors (V, 5): trust, mirror trust,
    stillness (1: hardly moved, so its own pixel is right), opacity, sameness (1: moved with the head, but not on it).
    """
    height, width = found.shape
    rows, columns = source_depth.shape
    result = np.zeros((height, width, 4), np.float32)
    colour = np.zeros(3)
    for y in range(height):
        for x in range(width):
            index = found[y, x]
            if index < 0:
                continue
            a, b, c = triangles[index]
            wa, wb, wc = weights[y, x]
            trust = wa * factors[a, 0] + wb * factors[b, 0] + wc * factors[c, 0]
            mirror = wa * factors[a, 1] + wb * factors[b, 1] + wc * factors[c, 1]
            calm = wa * factors[a, 2] + wb * factors[b, 2] + wc * factors[c, 2]
            opacity = wa * factors[a, 3] + wb * factors[b, 3] + wc * factors[c, 3]
            same = wa * factors[a, 4] + wb * factors[b, 4] + wc * factors[c, 4]
            for channel in range(3):
                colour[channel] = wa * fallback[a, channel] + wb * fallback[b, channel] + wc * fallback[c, channel]
            mine = kind[index]
            for attempt in range(2):
                table = partner if attempt == 0 else own
                depth = wa * table[a, 2] + wb * table[b, 2] + wc * table[c, 2]
                u = (wa * table[a, 0] + wb * table[b, 0] + wc * table[c, 0]) / depth
                v = (wa * table[a, 1] + wb * table[b, 1] + wc * table[c, 1]) / depth
                share = mirror if attempt == 0 else trust
                column, row = int(u), int(v)
                if u < 0 or v < 0 or column >= columns or row >= rows:
                    share = 0.0
                else:
                    behind = depth - source_depth[row, column]
                    if behind > DEPTH_BIAS:
                        share *= max(1.0 - (behind - DEPTH_BIAS) / DEPTH_SOFT, 0.0)
                    inside = bilinear(margin, u, v, mine)
                    low = rim[mine, 0] * (1 - same)
                    high = rim[mine, 1] * (1 - same) + SAME_RIM * same
                    share *= min(max((inside - low) / (high - low), 0.0), 1.0)
                if attempt == 1:
                    share = max(share, calm)
                if share > 0:
                    for channel in range(3):
                        colour[channel] += share * (bilinear(image, u, v, channel) - colour[channel])
            for channel in range(3):
                result[y, x, channel] = colour[channel]
            result[y, x, 3] = opacity
    return result


@numba.njit(cache=True, nogil=True)
def warp(image: Array, found: Array, weights: Array, triangles: Array, places: Array) -> Array:
    """``image`` (H, W, 3) looked up where a raster says: places (V, 3) hold u·z, v·z, z; unmapped pixels stay (H, W, 3)."""
    height, width = found.shape
    result = np.empty((height, width, 3), np.float32)
    for y in range(height):
        for x in range(width):
            u, v = x + 0.5, y + 0.5
            index = found[y, x]
            if index >= 0:
                a, b, c = triangles[index]
                wa, wb, wc = weights[y, x]
                depth = wa * places[a, 2] + wb * places[b, 2] + wc * places[c, 2]
                u = (wa * places[a, 0] + wb * places[b, 0] + wc * places[c, 0]) / depth
                v = (wa * places[a, 1] + wb * places[b, 1] + wc * places[c, 1]) / depth
            for channel in range(3):
                result[y, x, channel] = bilinear(image, u, v, channel)
    return result
