"""The colour of every pixel: the photograph looked up through the posed head, and what no photograph shows, painted.

Kernels only; :mod:`mimaface.reprojection.projection` and :mod:`mimaface.reprojection.eyes` prepare what they read.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numba
import numpy as np
from numpy.typing import NDArray

from mimaface.geometry.interpolation import bilinear, sample_into

from .tuning import KernelTuning

Array = NDArray[Any]
Corners: TypeAlias = tuple[int, int, int]
Shares: TypeAlias = tuple[float, float, float]
Opacity: TypeAlias = tuple[Array, Array, np.float32]  # from, to (H, W) float32, and how far, 0 to 1
SKIN, EYE, MOUTH, TEETH = 1, 2, 3, 4
MARGIN_UNIT = 4.0  # margins are kept in quarters of such a pixel, −32 to 31.75
TRUST, MIRROR, CALM, OPACITY, SAME, INNER, SHADE, LASH, LASH_AWAY = range(9)  # columns of ``factors``
EYE_REACH = 1.3  # radians from the pupil to the border of an eye picture
LID_BINS, LID_SPAN = 33, 1.1  # columns of a lid table, radians of yaw to either side


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
    surface: Array, image: Array, inner_image: Array, source_depth: Array, margin: Array, tuning: KernelTuning,
    eyes: Array, turns: Array, lids: Array, dark: Array, gum: Array, lash: Array, pixel: float,
) -> Array:  # fmt: skip
    """Colour, opacity, and how much of it no pixel of the photograph shows (h, w, 5), of a raster of the posed head.

    own, partner (V, 3): u·z, v·z, z in the source, of a vertex and of its mirror partner; factors (V, 9): trust, mirror trust,
    stillness (1: hardly moved, so its own pixel is right), opacity, sameness (1: moved with the head, but not on it), inner
    (1: opaque even where no pixel is known), shade, lashes, metres above the lid line; fallback (V, 3) RGB;
    surface (V, 4): see ``fallback.surface_coordinates``;
    image, inner_image (H, W, 3): the photograph, and its mouth continued over the lips; tuning: see there;
    eyes (2, S, S, 3) pictures of both eyes, turned by turns (2, 3, 3); lids (2, 33): pitch of the upper lid's edge by yaw;
    dark (3,): RGB deep in the mouth; gum (3,): against the colour of teeth; lash (5,): RGB of the
    lashes, metres over which they fade above and below the lid line; pixel: metres at the head.
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
            picture = inner_image if mine in (TEETH, MOUTH) else image
            share, u, v = look_up(own, corners, shares, mine, same, source_depth, margin, tuning)
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
                    found_share, mu, mv = look_up(partner, corners, shares, mine, same, source_depth, margin, tuning)
                    mirrored *= found_share
                    unknown *= 1 - mirrored
                    if mirrored > 0:
                        sample_into(seen, image, mu, mv)
                        for channel in range(3):
                            colour[channel] += mirrored * (seen[channel] - colour[channel])
            if share > 0:
                sample_into(seen, picture, u, v)
                for channel in range(3):
                    colour[channel] += share * (seen[channel] - colour[channel])
            if mine == SKIN:
                lashes = mix(factors, corners, shares, LASH)
                if lashes > 0:
                    away = mix(factors, corners, shares, LASH_AWAY)
                    away /= lash[3] if away > 0 else lash[4]
                    lashes *= np.exp(-away * away)
                    for channel in range(3):
                        colour[channel] += lashes * min(lash[channel] - colour[channel], 0.0)
            for channel in range(3):
                result[y, x, channel] = colour[channel]
            result[y, x, 3] = opacity * max(1 - unknown, mix(factors, corners, shares, INNER))
    return result


@numba.njit(cache=True, nogil=True)
def add_grain(layer: Array, found: Array, weights: Array, triangles: Array, place: Array, detail: Array) -> None:
    """What no pixel shows of ``layer`` (h, w, 5), see :func:`texture`, gets the grain of other skin, in place; found, weights: its raster;
    place (V, 3), detail (h, w, 1): see ``grain.Grain``."""
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
    table: Array,
    corners: Corners,
    shares: Shares,
    mine: int,
    same: float,
    source_depth: Array,
    margin: Array,
    tuning: KernelTuning,
) -> tuple[float, float, float]:
    """How far the photograph shows a point (0–1: inside it, not hidden, not at the rim of another part), and where: u, v."""
    rows, columns = source_depth.shape
    depth = mix(table, corners, shares, 2)
    u = mix(table, corners, shares, 0) / depth
    v = mix(table, corners, shares, 1) / depth
    if u < 0 or v < 0 or u >= columns or v >= rows:
        return 0.0, u, v
    behind = depth - source_depth[int(v), int(u)]
    inside = bilinear(margin, u, v, mine) / MARGIN_UNIT
    if mine in (TEETH, MOUTH):  # an opening that did not change shows what it showed
        inside += same * (bilinear(margin, u, v, MOUTH) / MARGIN_UNIT - inside)
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
    """The eye's own picture at a direction from its centre, in the shadow of the upper lid."""
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
    """Crowns with gaps between them, rounded at their edge, gum above; lines thinner than a pixel are fainter, not thinner.

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
    """One pixel of an opacity that is some way from one picture to another."""
    first, second, way = opacity
    if way == 0:
        return first[row, column]
    return first[row, column] + way * (second[row, column] - first[row, column])


@numba.njit(cache=True, nogil=True)
def lift(
    picture: Array, opacity: Opacity, found: Array, weights: Array, triangles: Array, places: Array, kept: Array, shows: Array
) -> tuple[Array, Array]:
    """``picture`` (H, W, 3) uint8 of an ``opacity`` looked up where a raster says → its colours times opacity, and opacity (h, w, 4) float32,
    and ``kept`` there (h, w); both are 0 where it says nothing or a triangle that shows nothing of the picture.

    opacity: two (H, W) float32, and how far it is from the first to the second; places (V, 3) hold u·z, v·z, z; kept (V,); shows (N,) bool.
    """
    height, width = found.shape
    rows, columns = picture.shape[0] - 1, picture.shape[1] - 1
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
            for channel in range(3):
                above = a * np.float32(picture[top, left, channel]) + b * np.float32(picture[top, right, channel])
                below = c * np.float32(picture[bottom, left, channel]) + d * np.float32(picture[bottom, right, channel])
                result[y, x, channel] = above + below
            result[y, x, 3] = min(a + b + c + d, np.float32(1))
            share[y, x] = shares[0] * kept[corners[0]] + shares[1] * kept[corners[1]] + shares[2] * kept[corners[2]]
    return result, share


@numba.njit(cache=True, nogil=True)
def compose(  # house: compiled, so it takes the arrays of layers one by one
    photograph: Array, behind: Array, invented: Array, shell: Array, sheet: Array, kept: Array, over: Array, row: int, column: int,
    picture: Array, provenance: Array, cover: Array,
) -> None:  # fmt: skip
    """Four layers become picture and provenance (h, w, 3) uint8, and how much of the hindmost is covered (h, w) float32, in place: where
    only the hindmost shows, they stay as they are. Provenance and cover are left out where they have no pixels.

    From the back the layers are the ``photograph`` (h, w, 3) uint8, of which ``invented`` (h, w) gives way to what is ``behind`` (h, w, 3)
    uint8; ``shell`` (i, j, 5); ``sheet`` (h, w, 4); and ``over`` (i, j, 4 or more). Shell and over are nothing but at i rows and j columns
    from ``row`` and ``column`` on.

    Colours are 0 to 255, opacities 0 to 1; the sheet's colours are times its opacity. Of the sheet only the share ``kept`` (h, w)
    shows where the shell is below it. The provenance says how much of a pixel is the photographed person, how much is shown by no
    pixel of the photograph, and how much is the photographed background.
    """
    height, width = kept.shape
    for y in range(height):
        for x in range(width):
            i, j = y - row, x - column
            head = 0 <= i < shell.shape[0] and 0 <= j < shell.shape[1]
            if not head or (shell[i, j, 3] == 0 and over[i, j, 3] == 0):
                if sheet[y, x, 3] == 0:
                    continue
                if sheet[y, x, 3] == 1:  # the same as below, sooner
                    if cover.size:
                        cover[y, x] = 1
                    if provenance.size:
                        provenance[y, x, 0], provenance[y, x, 1], provenance[y, x, 2] = 255, 0, 0
                    for channel in range(3):
                        picture[y, x, channel] = np.uint8(min(max(sheet[y, x, channel], 0.0), 255.0) + 0.5)
                    continue
            i, j = (i, j) if head else (0, 0)
            below, top = (shell[i, j, 3], over[i, j, 3]) if head else (np.float32(0), np.float32(0))
            share = 1 - below * (1 - kept[y, x])
            through = (1 - top) * (1 - share * sheet[y, x, 3])
            if cover.size:
                cover[y, x] = 1 - through * (1 - below)
            if provenance.size:
                unseen = through * (below * shell[i, j, 4] + (1 - below) * invented[y, x])
                rest = through * (1 - below) * (1 - invented[y, x])
                provenance[y, x, 0] = np.uint8(255 * min(max(1 - unseen - rest, 0.0), 1.0) + 0.5)
                provenance[y, x, 1] = np.uint8(255 * min(max(unseen, 0.0), 1.0) + 0.5)
                provenance[y, x, 2] = np.uint8(255 * min(max(rest, 0.0), 1.0) + 0.5)
            for channel in range(3):
                value = np.float32(photograph[y, x, channel])
                value += invented[y, x] * (np.float32(behind[y, x, channel]) - value)
                value += below * (shell[i, j, channel] - value)
                value = value * (1 - share * sheet[y, x, 3]) + share * sheet[y, x, channel]
                value += top * (over[i, j, channel] - value)
                picture[y, x, channel] = np.uint8(min(max(value, 0.0), 255.0) + 0.5)


@numba.njit(cache=True, nogil=True)
def hindmost(picture: Array, provenance: Array, photograph: Array, behind: Array, invented: Array) -> None:
    """Picture and provenance (h, w, 3) uint8 as :func:`compose` would have them without any layer before the hindmost, in place; the
    provenance is left out where it has no pixels."""
    height, width = invented.shape
    for y in range(height):
        for x in range(width):
            share = invented[y, x]
            for channel in range(3):
                value = np.float32(photograph[y, x, channel])
                value += share * (np.float32(behind[y, x, channel]) - value)
                picture[y, x, channel] = np.uint8(value + np.float32(0.5))
            if provenance.size:
                exact = np.float64(share)
                provenance[y, x, 0] = 0
                provenance[y, x, 1] = np.uint8(255 * exact + 0.5)
                provenance[y, x, 2] = np.uint8(255 * (1 - exact) + 0.5)
