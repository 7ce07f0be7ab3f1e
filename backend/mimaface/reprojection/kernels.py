"""Compiled kernels for the colour of every pixel: sampled from the photograph through the posed head, or painted where no photograph shows it.

:mod:`mimaface.reprojection.projection` and :mod:`mimaface.reprojection.eyes` prepare their inputs.
"""

from __future__ import annotations

from typing import Any, NamedTuple, TypeAlias

import numba
import numpy as np

from mimaface.geometry.interpolation import bilinear, sample_into
from mimaface.protocol.arrays import Array

from .tuning import KernelTuning

Corners: TypeAlias = tuple[int, int, int]
Shares: TypeAlias = tuple[float, float, float]
Opacity: TypeAlias = tuple[Array, Array, np.float32]  # from, to (H, W) float32, and how far, 0 to 1
SKIN, EYE, MOUTH, TEETH = 1, 2, 3, 4
MARGIN_UNIT = 4.0  # margins are kept in quarters of such a pixel, −32 to 31.75
TRUST, MIRROR, CALM, OPACITY, SAME, INNER, SHADE, LASH, LASH_AWAY = range(9)  # columns of ``factors``
EYE_REACH = 1.3  # radians from the pupil to the border of an eye picture
LID_BINS, LID_SPAN = 33, 1.1  # columns of a lid table, radians of yaw to either side


class Window(NamedTuple):
    """A ``picture`` (h, w, 3) uint8 of a part of another one, which begins at its column ``left`` and row ``top``."""

    picture: Array
    left: int
    top: int


class Continued(NamedTuple):
    """A ``picture`` (h, w, 3) uint8 that goes on beyond its borders: its ``rows`` (H,) and ``columns`` (W,) int32 at each place."""

    picture: Array
    rows: Array
    columns: Array


class Source(NamedTuple):
    """What a photograph of ``width`` and ``height`` pixels shows of the head, of the part from column ``left`` and row ``top`` on, for around
    it there is nothing: ``depth`` (h, w) in metres, and ``margin`` (h, w, 5) int8, see ``projection.margins``."""

    depth: Array
    margin: Array
    left: int
    top: int
    width: int
    height: int


@numba.njit(cache=True, nogil=True, inline="always")
def triple(values: Array) -> Any:
    """(3,) as a tuple, which compiled code keeps in registers."""
    return values[0], values[1], values[2]


@numba.njit(cache=True, nogil=True, inline="always")
def mix(values: Array, corners: Corners, shares: Shares, column: int) -> float:
    """One column of vertex attributes inside a triangle: at its three corners, and their barycentric shares."""
    a, b, c = corners
    wa, wb, wc = shares
    return float(wa * values[a, column] + wb * values[b, column] + wc * values[c, column])


@numba.njit(cache=True, nogil=True)
def texture(  # house: compiled, so it takes the arrays of Projection and Look one by one
    found: Array, weights: Array, triangles: Array, kind: Array, own: Array, partner: Array, factors: Array, fallback: Array,
    surface: Array, image: Array, inner: Window, source: Source, tuning: KernelTuning,
    eyes: Array, turns: Array, lids: Array, dark: Array, gum: Array, lash: Array, pixel: float,
) -> Array:  # fmt: skip
    """Colour, opacity, and how much of it no pixel of the photograph shows (h, w, 5), of a raster of the posed head.

    own, partner (V, 3): u·z, v·z, z in the source, of a vertex and of its mirror partner; factors (V, 9): trust, mirror trust,
    stillness (1: hardly moved, so its own pixel is right), opacity, sameness (1: moved with the head, but not on it), inner
    (1: opaque even where no pixel is known), shade, lashes, metres above the lid line; fallback (V, 3) RGB;
    surface (V, 4): see ``fallback.surface_coordinates``;
    image (H, W, 3): the photograph; inner: its mouth continued over the lips; tuning: see there;
    eyes (2, S, S, 3) pictures of both eyes, turned by turns (2, 3, 3); lids (2, 33): pitch of the upper lid's edge by yaw;
    dark (3,): RGB deep in the mouth; gum (3,): against the colour of teeth; lash (6,): RGB of the lashes, metres over which
    the line of their roots fades, and they below it, and how dense they are there, 0 to 1; pixel: metres at the head.
    """
    height, width = found.shape
    result = np.zeros((height, width, 5), np.float32)
    colour, seen = np.zeros(3), np.zeros(3)
    for y in range(height):
        for x in range(width):
            index = found[y, x]
            if index < 0:
                continue
            corners, shares = triple(triangles[index]), triple(weights[y, x])
            opacity = mix(factors, corners, shares, OPACITY)
            if opacity <= 0:
                continue
            mine = kind[index]
            same = mix(factors, corners, shares, SAME)
            share, u, v = look_up(own, corners, shares, mine, same, source, tuning)
            share *= mix(factors, corners, shares, TRUST)
            if mine in (MOUTH, EYE):
                share *= same
            share = max(share, mix(factors, corners, shares, CALM))
            unknown = result[y, x, 4] = 1 - share
            if share < 0.999:
                for channel in range(3):
                    colour[channel] = mix(fallback, corners, shares, channel)
                if mine == EYE:
                    paint_eye(colour, surface, corners, shares, eyes, turns, lids, tuning)
                elif mine in (TEETH, MOUTH):
                    shade = mix(factors, corners, shares, SHADE)
                    if mine == TEETH:
                        shade *= paint_tooth(colour, surface, corners, shares, gum, pixel, tuning)
                    for channel in range(3):
                        colour[channel] = dark[channel] + shade * (colour[channel] - dark[channel])
                mirrored = mix(factors, corners, shares, MIRROR)
                if mirrored > 0:
                    found_share, mu, mv = look_up(partner, corners, shares, mine, same, source, tuning)
                    mirrored *= found_share
                    unknown *= 1 - mirrored
                    if mirrored > 0:
                        sample_into(seen, image, mu, mv)
                        for channel in range(3):
                            colour[channel] += mirrored * (seen[channel] - colour[channel])
            if share > 0:
                if mine in (TEETH, MOUTH):
                    sample_within(seen, image, inner, u, v)
                else:
                    sample_into(seen, image, u, v)
                for channel in range(3):
                    colour[channel] += share * (seen[channel] - colour[channel])
            if mine == SKIN:
                lashes = mix(factors, corners, shares, LASH)
                if lashes > 0:
                    away = mix(factors, corners, shares, LASH_AWAY)
                    bare = 1 - np.exp(-((away / lash[3]) ** 2))
                    if away < 0:
                        root = mix(surface, corners, shares, 1) / (1 - tuning.lashes_spread * away)
                        reach = lash[4] * (1 + tuning.lashes_uneven * uneven(root / tuning.lashes_apart))
                        bare *= 1 - lash[5] * np.exp(-((away / reach) ** 2))
                    lashes *= 1 - bare
                    for channel in range(3):
                        colour[channel] += lashes * min(lash[channel] - colour[channel], 0.0)
            for channel in range(3):
                result[y, x, channel] = colour[channel]
            result[y, x, 3] = opacity * max(1 - unknown, mix(factors, corners, shares, INNER))
    return result


@numba.njit(cache=True, nogil=True, inline="always")
def uneven(place: float) -> float:
    """A smooth line through −1 to 1 that are as good as random, one at each whole ``place``."""
    left = np.floor(place)
    first, second = np.sin(left * 12.9898) * 43758.5453, np.sin((left + 1) * 12.9898) * 43758.5453
    first, second = first - np.floor(first), second - np.floor(second)
    way = place - left
    between: float = 2 * (first + way * way * (3 - 2 * way) * (second - first)) - 1
    return between


@numba.njit(cache=True, nogil=True)
def sample_within(colour: Array, image: Array, window: Window, u: float, v: float) -> None:
    """Writes ``image`` (H, W, 3), of which a part is that of a ``window``, at pixel position u, v to ``colour`` (3,); the border repeats."""
    height, width = window.picture.shape[:2]
    x = min(max(u, 0.5), image.shape[1] - 0.5) - window.left
    y = min(max(v, 0.5), image.shape[0] - 0.5) - window.top
    if 0.5 <= x <= width - 0.5 and 0.5 <= y <= height - 0.5:
        sample_into(colour, window.picture, x, y)
    else:
        sample_into(colour, image, u, v)


@numba.njit(cache=True, nogil=True)
def add_grain(layer: Array, found: Array, weights: Array, triangles: Array, place: Array, detail: Array) -> None:
    """Adds the grain of other skin to the parts of ``layer`` (h, w, 5), see :func:`texture`, that no pixel shows, in place; found, weights: its
    raster; place (V, 3), detail (h, w, 1): see ``fallback.Grain``."""
    height, width = found.shape
    for y in range(height):
        for x in range(width):
            index = found[y, x]
            if index < 0 or layer[y, x, 4] <= 0 or place[triangles[index, 0], 2] <= 0:
                continue
            corners, shares = triple(triangles[index]), triple(weights[y, x])
            amount = layer[y, x, 4] * mix(place, corners, shares, 2)
            grained = 1 + amount * bilinear(detail, mix(place, corners, shares, 0), mix(place, corners, shares, 1), 0)
            for channel in range(3):
                layer[y, x, channel] *= grained


@numba.njit(cache=True, nogil=True)
def look_up(
    table: Array, corners: Corners, shares: Shares, mine: int, same: float, source: Source, tuning: KernelTuning
) -> tuple[float, float, float]:
    """How far the photograph shows a point (0–1: inside it, not hidden, not at the rim of another part), and where: u, v."""
    rows, columns = source.depth.shape
    margin = source.margin
    depth = mix(table, corners, shares, 2)
    u = mix(table, corners, shares, 0) / depth
    v = mix(table, corners, shares, 1) / depth
    if u < 0 or v < 0 or u >= source.width or v >= source.height:
        return 0.0, u, v
    x, y = u - source.left, v - source.top
    behind = depth - source.depth[min(max(int(y), 0), rows - 1), min(max(int(x), 0), columns - 1)]
    inside = bilinear(margin, x, y, mine) / MARGIN_UNIT
    if mine in (TEETH, MOUTH):  # an opening that did not change shows what it showed
        inside += same * (bilinear(margin, x, y, MOUTH) / MARGIN_UNIT - inside)
        behind *= 1 - same
    share = 1.0
    if behind > tuning.hidden_from:
        share = max(1.0 - (behind - tuning.hidden_from) / tuning.hidden_over, 0.0)
    low = tuning.margins[mine, 0] + same * (tuning.margins[mine, 2] - tuning.margins[mine, 0])
    high = tuning.margins[mine, 1] + same * (tuning.margins[mine, 3] - tuning.margins[mine, 1])
    return share * min(max((inside - low) / (high - low), 0.0), 1.0), u, v


@numba.njit(cache=True, nogil=True)
def paint_eye(
    colour: Array,
    surface: Array,
    corners: Corners,
    shares: Shares,
    eyes: Array,
    turns: Array,
    lids: Array,
    tuning: KernelTuning,
) -> None:
    """Sample the eye's picture at a direction from its centre, darkened by the shadow of the upper lid."""
    dx = mix(surface, corners, shares, 0)
    dy = mix(surface, corners, shares, 1)
    dz = mix(surface, corners, shares, 2)
    side = 0 if surface[corners[0], 3] < 0.5 else 1
    flat = np.sqrt(dx * dx + dy * dy)
    angle = np.arctan2(flat, dz)
    size = eyes.shape[1]
    scale = 0.5 * size * min(angle / EYE_REACH, 1.0) / max(flat, 1e-9)
    u, v = 0.5 * size + dx * scale, 0.5 * size - dy * scale
    turn = turns[side]
    hx = turn[0, 0] * dx + turn[0, 1] * dy + turn[0, 2] * dz
    hy = turn[1, 0] * dx + turn[1, 1] * dy + turn[1, 2] * dz
    hz = turn[2, 0] * dx + turn[2, 1] * dy + turn[2, 2] * dz
    yaw, pitch = np.arctan2(hx, hz), np.arctan2(hy, np.sqrt(hx * hx + hz * hz))
    place = min(max((yaw / LID_SPAN + 1) * 0.5 * (LID_BINS - 1), 0.0), LID_BINS - 1.001)
    left = int(place)
    lid = lids[side, left] + (place - left) * (lids[side, left + 1] - lids[side, left])
    lit = min(max((lid - pitch) / tuning.lid_shadow_reach, 0.0), 1.0)
    light = 1 - tuning.lid_shadow * (1 - lit) * (1 - lit)
    for channel in range(3):
        colour[channel] = light * bilinear(eyes[side], u, v, channel)


@numba.njit(cache=True, nogil=True)
def paint_tooth(
    colour: Array, surface: Array, corners: Corners, shares: Shares, gum_hue: Array, pixel: float, tuning: KernelTuning
) -> float:
    """Paint crowns with rounded edges, gaps between them, and gum above; lines thinner than a pixel get fainter instead of thinner.

    Returns the share of light that the cheeks leave.
    """
    along = abs(mix(surface, corners, shares, 0))
    up = mix(surface, corners, shares, 1)
    ends = tuning.lower_teeth if surface[corners[0], 2] > 0.5 else tuning.upper_teeth
    start = 0.0
    end = ends[-1]
    for number in range(len(ends)):
        if along < ends[number]:
            end = ends[number]
            break
        start = ends[number]
    middle, half = 0.5 * (start + end), max(0.5 * (end - start), 1e-4)
    across = min(abs(along - middle) / half, 1.0)
    gap = half * (1 - across)
    blur = max(0.5 * pixel, 0.5 * tuning.gap)
    dark = tuning.gap_dark * min(tuning.gap / (2 * blur), 1.0) * np.exp(-((gap / (1.5 * blur)) ** 2))
    edge = (up - tuning.rounded * across**3) / max(pixel, tuning.edge_softness)
    dark = 1 - (1 - dark) * (tuning.beyond_edge + (1 - tuning.beyond_edge) * min(max(edge + 0.5, 0.0), 1.0))
    gum = min(max((up - (tuning.crown - tuning.crown_arch * across * across)) / max(pixel, tuning.gum_softness) + 0.5, 0.0), 1.0)
    light = (1 - dark) * (1 - tuning.bulge + tuning.bulge * (1 - across * across))
    for channel in range(3):
        colour[channel] *= light * (1 - gum) + gum * gum_hue[channel]
    return 1 - min(max((along - tuning.molars) / tuning.molars, 0.0), tuning.molars_dark)


@numba.njit(cache=True, nogil=True, inline="always")
def between(opacity: Opacity, row: int, column: int) -> Any:
    """Returns one pixel of an opacity that lies between two pictures of it."""
    first, second, way = opacity
    if way == 0:
        return first[row, column]
    return first[row, column] + way * (second[row, column] - first[row, column])


@numba.njit(cache=True, nogil=True)
def lift(
    shown: Continued, opacity: Opacity, found: Array, weights: Array, triangles: Array, places: Array, kept: Array, shows: Array
) -> tuple[Array, Array]:
    """What is ``shown`` (H, W) of a picture, of an ``opacity``, looked up where a raster says → its colours times opacity, and opacity
    (h, w, 4) float32, and ``kept`` there (h, w); both are 0 where it says nothing or a triangle that shows nothing of the picture.

    opacity: two (H, W) float32, and how far it is from the first to the second; places (V, 3) hold u·z, v·z, z; kept (V,); shows (N,) bool.
    """
    height, width = found.shape
    picture, rows, columns = shown.picture, len(shown.rows) - 1, len(shown.columns) - 1
    result, share = np.zeros((height, width, 4), np.float32), np.zeros((height, width), np.float32)
    for y in range(height):
        for x in range(width):
            index = found[y, x]
            if index < 0 or not shows[index]:
                continue
            corners, shares = triple(triangles[index]), triple(weights[y, x])
            near = 1.0 / mix(places, corners, shares, 2)
            u = min(max(mix(places, corners, shares, 0) * near - 0.5, 0.0), float(columns))
            v = min(max(mix(places, corners, shares, 1) * near - 0.5, 0.0), float(rows))
            left, top = int(u), int(v)
            right, bottom = min(left + 1, columns), min(top + 1, rows)
            fx, fy = np.float32(u - left), np.float32(v - top)
            a, b = (1 - fx) * (1 - fy) * between(opacity, top, left), fx * (1 - fy) * between(opacity, top, right)
            c, d = (1 - fx) * fy * between(opacity, bottom, left), fx * fy * between(opacity, bottom, right)
            top, bottom, left, right = shown.rows[top], shown.rows[bottom], shown.columns[left], shown.columns[right]
            for channel in range(3):
                above = a * np.float32(picture[top, left, channel]) + b * np.float32(picture[top, right, channel])
                below = c * np.float32(picture[bottom, left, channel]) + d * np.float32(picture[bottom, right, channel])
                result[y, x, channel] = above + below
            result[y, x, 3] = min(a + b + c + d, np.float32(1))
            share[y, x] = shares[0] * kept[corners[0]] + shares[1] * kept[corners[1]] + shares[2] * kept[corners[2]]
    return result, share
