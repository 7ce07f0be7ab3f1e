"""Compiled shading of a rasterised person: :func:`shade` computes light, :func:`develop` composites over a background."""

from __future__ import annotations

from typing import NamedTuple

import numba
import numpy as np

from mimaface.protocol.arrays import Array

from .attire import CLOTH, GLASS_FRAME, HAIR
from .noise import noise_at

Triple = tuple[float, float, float]
SKIN, EYE, TEETH, MOUTH, LASHES = 10, 11, 12, 13, 14  # further shading models


class Scene(NamedTuple):
    """Geometry of a raster with T triangles and V vertices.

      triangles (T, 3) int32
      kinds (T,) uint8              SKIN, HAIR, …
      uv (T, 3 corners, 2) float32  pixels of the skin texture
      normals, places (V, 3) float32    camera frame
      colours (V, 3) float32        gamma 2
      patterns (V, 3) float32       noise coordinates; on an eyeball the direction from its centre
      inside (V,) float32           metres behind the lips
    """

    triangles: Array
    kinds: Array
    uv: Array
    normals: Array
    places: Array
    colours: Array
    patterns: Array
    inside: Array


class Look(NamedTuple):
    """Constants of a shot.

      lamps (6, 3) float32      direction and colour of the key, direction and colour of the rim, colours of sky and ground
      softness, gloss           of the key and of the skin, 0–1
      skin (S, S, 3), iris (3,), teeth (3,)    colours, gamma 2
      iris_size                 its radius relative to the eyeball's
      seed                      of the noise
    """

    lamps: Array
    softness: float
    gloss: float
    skin: Array
    iris: Array
    teeth: Array
    iris_size: float
    seed: int


@numba.njit(cache=True, nogil=True)
def develop(picture: Array, background: Array, gain: Array, contrast: np.float32) -> Array:
    """Composites premultiplied linear colour and coverage (H, W, 4) over a background (H, W, 3) uint8 → photograph (H, W, 3)
    uint8.

    float32 in a fixed order, so that every machine gives the same bits. Gamma 2 (a square root) approximates sRGB.
    """
    zero, half, one, full = np.float32(0), np.float32(0.5), np.float32(1), np.float32(255)
    height, width = picture.shape[:2]
    result = np.empty((height, width, 3), np.uint8)
    for row in range(height):
        for column in range(width):
            cover = picture[row, column, 3]
            least = max(cover, np.float32(1e-3))
            for k in range(3):
                ground = np.float32(background[row, column, k]) / full
                seen = np.sqrt(min(max(picture[row, column, k] * gain[k] / least, zero), one))
                mixed = ground + cover * (seen - ground)
                final = min(max((mixed - half) * contrast + half, zero), one)
                result[row, column, k] = np.uint8(np.rint(final * full))
    return result


@numba.njit(cache=True, nogil=True, fastmath=True)
def shade(found: Array, weights: Array, scene: Scene, look: Look, fine: int) -> Array:
    """Returns premultiplied linear colour and coverage, averaged over blocks of ``fine`` pixels a side: (H / fine, W / fine, 4)
    float32.

    found (H, W) int32 is the triangle of each pixel, −1 for none; weights (H, W, 3) are its barycentric coordinates.
    """
    height, width = found.shape
    lamps, share = look.lamps, 1.0 / (fine * fine)
    result = np.zeros((height // fine, width // fine, 4), np.float32)
    albedo = np.zeros(3, np.float32)
    for row in range(height):
        for column in range(width):
            index = found[row, column]
            if index < 0:
                continue
            a, b, c = scene.triangles[index]
            wa, wb, wc = weights[row, column]
            corners, shares = (a, b, c), (wa, wb, wc)
            nx, ny, nz = _unit(_interpolated(scene.normals, corners, shares))
            vx, vy, vz = _unit(_interpolated(scene.places, corners, shares))
            vx, vy, vz = -vx, -vy, -vz
            pattern = _interpolated(scene.patterns, corners, shares)
            albedo[0], albedo[1], albedo[2] = _interpolated(scene.colours, corners, shares)
            deep = wa * scene.inside[a] + wb * scene.inside[b] + wc * scene.inside[c]
            kind = scene.kinds[index]
            if kind == SKIN:
                _paint_skin(albedo, look.skin, scene.uv[index], shares)
            elif kind == EYE:
                _paint_eye(albedo, pattern, look)
            shine, power, shadow, wrap, bend_x, bend_z = _paint(albedo, kind, pattern, deep, look)
            nx, nz = nx + bend_x, nz + bend_z
            facing = nx * vx + ny * vy + nz * vz
            if facing < 0 and kind != SKIN:
                nx, ny, nz, facing = -nx, -ny, -nz, -facing
            key = max((nx * lamps[0, 0] + ny * lamps[0, 1] + nz * lamps[0, 2] + wrap) / (1 + wrap), 0.0)
            back = max(nx * lamps[2, 0] + ny * lamps[2, 1] + nz * lamps[2, 2], 0.0) * (0.15 + 0.85 * (1 - max(facing, 0.0)))
            hx, hy, hz = lamps[0, 0] + vx, lamps[0, 1] + vy, lamps[0, 2] + vz
            half = max((hx * hx + hy * hy + hz * hz) ** 0.5, 1e-6)
            mirrored = (nx * hx + ny * hy + nz * hz) / half
            gleam = shine * mirrored**power if shine > 0 and mirrored > 0 else 0.0
            for k in range(3):
                around = lamps[5, k] + (0.5 + 0.5 * ny) * (lamps[4, k] - lamps[5, k])
                lit = around + key * lamps[1, k] + back * lamps[3, k]
                seen = albedo[k] * albedo[k] * lit * shadow + gleam * lamps[1, k] * 0.6
                result[row // fine, column // fine, k] += seen * share
            result[row // fine, column // fine, 3] += share
    return result


@numba.njit(cache=True, nogil=True, fastmath=True)
def _interpolated(values: Array, corners: tuple[int, int, int], shares: Triple) -> Triple:
    """Interpolates three columns of vertex attributes inside a triangle."""
    a, b, c = corners
    wa, wb, wc = shares
    return (
        wa * values[a, 0] + wb * values[b, 0] + wc * values[c, 0],
        wa * values[a, 1] + wb * values[b, 1] + wc * values[c, 1],
        wa * values[a, 2] + wb * values[b, 2] + wc * values[c, 2],
    )


@numba.njit(cache=True, nogil=True, fastmath=True)
def _unit(vector: Triple) -> Triple:
    x, y, z = vector
    length = max((x * x + y * y + z * z) ** 0.5, 1e-6)
    return x / length, y / length, z / length


@numba.njit(cache=True, nogil=True, fastmath=True)
def _paint_skin(albedo: Array, skin: Array, uv: Array, shares: Triple) -> None:
    """Samples the skin texture bilinearly."""
    wa, wb, wc = shares
    side = skin.shape[0]
    u = wa * uv[0, 0] + wb * uv[1, 0] + wc * uv[2, 0] - 0.5
    v = wa * uv[0, 1] + wb * uv[1, 1] + wc * uv[2, 1] - 0.5
    x, y = int(min(max(u, 0.0), side - 2.0)), int(min(max(v, 0.0), side - 2.0))
    tx, ty = min(max(u - x, 0.0), 1.0), min(max(v - y, 0.0), 1.0)
    for k in range(3):
        top = skin[y, x, k] * (1 - tx) + skin[y, x + 1, k] * tx
        low = skin[y + 1, x, k] * (1 - tx) + skin[y + 1, x + 1, k] * tx
        albedo[k] = top * (1 - ty) + low * ty


@numba.njit(cache=True, nogil=True, fastmath=True)
def _paint_eye(albedo: Array, pattern: Triple, look: Look) -> None:
    """Paints sclera, iris with streaks and a dark limbus, and pupil."""
    px, py, pz = pattern
    size, seed = look.iris_size, look.seed
    away = (px * px + py * py) ** 0.5
    if pz < 0:
        away = 1.0
    grain = noise_at(px * 9, py * 9, 3.0, seed)
    ring = np.arctan2(py, px)
    streak = noise_at(np.cos(ring) * 7, np.sin(ring) * 7, away * 6, seed + 5)
    for k in range(3):
        white = (0.80 - 0.10 * k * 0.5) * (1 - 0.35 * max(away - 0.55, 0.0)) + 0.02 * grain
        colour = look.iris[k] * (1.15 + 0.45 * streak) * (0.65 + 0.6 * away / size)
        edge = min(max((away - size) / 0.035 + 0.5, 0.0), 1.0)
        dark = min(max((away - 0.86 * size) / (0.16 * size), 0.0), 1.0) * (1 - edge)
        colour *= 1 - 0.65 * dark
        pupil = min(max((away - 0.36 * size) / 0.03 + 0.5, 0.0), 1.0)
        albedo[k] = min(max((colour * pupil + 0.01) * (1 - edge) + white * edge, 0.01), 0.95)


@numba.njit(cache=True, nogil=True, fastmath=True)
def _paint(albedo: Array, kind: int, pattern: Triple, deep: float, look: Look) -> tuple[float, float, float, float, float, float]:
    """Applies noise to the colour; returns shine, its exponent, shadow, wrap of the light, and the offsets of the normal's x and
    z.
    """
    px, py, pz = pattern
    shine, power, shadow, wrap, bend_x, bend_z = 0.0, 20.0, 1.0, look.softness, 0.0, 0.0
    if kind == SKIN:
        shine, power = 0.05 + 0.35 * look.gloss, 14.0
    elif kind == EYE:
        shine, power, shadow, wrap = 0.9, 120.0, 0.85, 0.4
    elif kind == TEETH:
        for k in range(3):
            albedo[k] = look.teeth[k] * (1 - 0.25 * abs(np.sin(px * 380.0)) ** 12)
        shadow = 0.95 * np.exp(-max(deep - 0.010, 0.0) / 0.020)
        shine, power, wrap = 0.25, 40.0, 0.4
    elif kind == MOUTH:
        shadow = 0.85 * np.exp(-max(deep - 0.006, 0.0) / 0.018)
        shine, power, wrap = 0.12, 30.0, 0.4
    elif kind == HAIR:
        fine = noise_at(px * 2600, py * 150, pz * 600, look.seed + 12)
        streak = noise_at(px * 900, py * 60, pz * 300, look.seed + 11) + 0.6 * fine
        big = noise_at(px * 160, py * 25, pz * 80, look.seed + 13)
        for k in range(3):
            albedo[k] = max(albedo[k] * (1 + 0.38 * streak + 0.25 * big), 0.004)
        bend_x, bend_z = 0.25 * big, 0.12 * streak
        shine, power, wrap = 0.10 + 0.12 * max(streak, 0.0), 12.0, 0.3
    elif kind == CLOTH:
        fold = noise_at(px * 45, py * 45, pz * 45, look.seed + 18)
        weave = noise_at(px * 700, py * 700, pz * 700, look.seed + 17) * 0.06 + 0.08 * fold
        for k in range(3):
            albedo[k] = max(albedo[k] * (1 + weave), 0.004)
        wrap = 0.25
    elif kind == GLASS_FRAME:
        shine, power = 0.5, 40.0
    return shine, power, shadow, wrap, bend_x, bend_z
