"""Reproducible value noise in space, for the textures of skin, hair, cloth and walls."""

from __future__ import annotations

import numba
import numpy as np

from mimaface.protocol.arrays import Array


@numba.njit(cache=True, nogil=True, inline="always")
def _lattice(x: int, y: int, z: int, seed: int) -> float:
    """Returns a random number in [−1, 1] for a point of the integer lattice."""
    h = (x * 374761393 + y * 668265263 + z * 2147483647 + seed * 1274126177) & 0xFFFFFFFF
    h = ((h ^ (h >> 13)) * 1103515245) & 0xFFFFFFFF
    h = ((h ^ (h >> 16)) * 2246822519) & 0xFFFFFFFF
    return ((h ^ (h >> 15)) & 0xFFFFFF) / 8388607.5 - 1.0


@numba.njit(cache=True, nogil=True)
def noise_at(x: float, y: float, z: float, seed: int) -> float:
    """Returns value noise in [−1, 1] (Perlin 1985, with values instead of gradients) with features one unit wide."""
    fx, fy, fz = np.floor(x), np.floor(y), np.floor(z)
    ix, iy, iz = int(fx), int(fy), int(fz)
    tx, ty, tz = x - fx, y - fy, z - fz
    tx, ty, tz = tx * tx * (3 - 2 * tx), ty * ty * (3 - 2 * ty), tz * tz * (3 - 2 * tz)
    total = 0.0
    for dx in range(2):
        wx = tx if dx else 1 - tx
        for dy in range(2):
            wy = ty if dy else 1 - ty
            for dz in range(2):
                wz = tz if dz else 1 - tz
                total += wx * wy * wz * _lattice(ix + dx, iy + dy, iz + dz, seed)
    return total


@numba.njit(cache=True, nogil=True)
def fractal_noise(points: Array, frequency: float, octaves: int, seed: int) -> Array:
    """Returns the sum (P,) of ``octaves`` of noise at points (P, 3), each of twice the frequency and half the amplitude, about
    [−1, 1].
    """
    result = np.zeros(len(points), np.float32)
    for index in range(len(points)):
        scale, weight = frequency, 1.0
        for octave in range(octaves):
            x, y, z = points[index, 0] * scale, points[index, 1] * scale, points[index, 2] * scale
            result[index] += weight * noise_at(x, y, z, seed + octave)
            scale, weight = scale * 2, weight * 0.5
    return result
