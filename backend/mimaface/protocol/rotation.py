"""Rotations of head and eyes. Quaternions are (…, 4) as w, x, y, z; angles in radians; see docs/CONVENTIONS.md."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from .arrays import Array

# projected length of the line between the eyes below which the crown defines the tilt: a head turned by 80° and more
PROFILE = 0.17


def quaternion_multiply(left: ArrayLike, right: ArrayLike) -> Array:
    """Hamilton product (…, 4) × (…, 4) → (…, 4): ``right`` is applied first."""
    a, b = np.asarray(left, float), np.asarray(right, float)
    w1, x1, y1, z1 = np.moveaxis(a, -1, 0)
    w2, x2, y2, z2 = np.moveaxis(b, -1, 0)
    return np.stack(
        [
            w1 * w2 - x1 * x2 - y1 * y2 - z1 * z2,
            w1 * x2 + x1 * w2 + y1 * z2 - z1 * y2,
            w1 * y2 - x1 * z2 + y1 * w2 + z1 * x2,
            w1 * z2 + x1 * y2 - y1 * x2 + z1 * w2,
        ],
        axis=-1,
    )


def quaternion_conjugate(quaternion: ArrayLike) -> Array:
    """Returns the inverse of unit quaternions (…, 4)."""
    return np.asarray(np.asarray(quaternion, float) * np.array([1.0, -1.0, -1.0, -1.0]))


def quaternion_to_matrix(quaternion: ArrayLike) -> Array:
    """Unit quaternions (…, 4) → rotation matrices (…, 3, 3) that act on column vectors."""
    w, x, y, z = np.moveaxis(np.asarray(quaternion, float), -1, 0)
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
        [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
        [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
    ]
    return np.stack([np.stack(row, axis=-1) for row in rows], axis=-2)


def matrix_to_quaternion(matrix: ArrayLike) -> Array:
    """Rotation matrices (…, 3, 3) → unit quaternions (…, 4) with w ≥ 0, stable for every angle (Shepperd 1978)."""
    m = np.asarray(matrix, float)
    xx, yy, zz = m[..., 0, 0], m[..., 1, 1], m[..., 2, 2]
    squares = np.stack([1 + xx + yy + zz, 1 + xx - yy - zz, 1 - xx + yy - zz, 1 - xx - yy + zz], axis=-1)
    a, b, c = m[..., 2, 1] - m[..., 1, 2], m[..., 0, 2] - m[..., 2, 0], m[..., 1, 0] - m[..., 0, 1]
    d, e, f = m[..., 0, 1] + m[..., 1, 0], m[..., 0, 2] + m[..., 2, 0], m[..., 1, 2] + m[..., 2, 1]
    candidates = np.stack(
        [
            np.stack([squares[..., 0], a, b, c], axis=-1),
            np.stack([a, squares[..., 1], d, e], axis=-1),
            np.stack([b, d, squares[..., 2], f], axis=-1),
            np.stack([c, e, f, squares[..., 3]], axis=-1),
        ],
        axis=-2,
    )
    best = np.argmax(squares, axis=-1)[..., None, None]
    chosen = np.take_along_axis(candidates, best, axis=-2)[..., 0, :]
    chosen = chosen / np.linalg.norm(chosen, axis=-1, keepdims=True)
    return np.asarray(np.where(chosen[..., :1] < 0, -chosen, chosen))


def head_angles_to_matrix(angles: ArrayLike) -> Array:
    """Head yaw, pitch, roll (…, 3) → head → camera rotation (…, 3, 3), R = Ry(yaw) · Rx(−pitch) · Rz(−roll).

    Yaw + turns to the subject's left, pitch + looks up, roll + tilts the crown toward the subject's left shoulder.
    """
    yaw, pitch, roll = np.moveaxis(np.asarray(angles, float), -1, 0)
    pitch, roll = -pitch, -roll
    cy, sy, cp, sp, cr, sr = np.cos(yaw), np.sin(yaw), np.cos(pitch), np.sin(pitch), np.cos(roll), np.sin(roll)
    rows = [
        [cy * cr + sy * sp * sr, -cy * sr + sy * sp * cr, sy * cp],
        [cp * sr, cp * cr, -sp],
        [-sy * cr + cy * sp * sr, sy * sr + cy * sp * cr, cy * cp],
    ]
    return np.stack([np.stack(row, axis=-1) for row in rows], axis=-2)


def matrix_to_head_angles(matrix: ArrayLike) -> Array:
    """Inverse of :func:`head_angles_to_matrix`: (…, 3, 3) → yaw, pitch, roll (…, 3), pitch in [−π/2, π/2]."""
    m = np.asarray(matrix, float)
    pitch = np.arcsin(np.clip(m[..., 1, 2], -1.0, 1.0))
    yaw = np.arctan2(m[..., 0, 2], m[..., 2, 2])
    roll = -np.arctan2(m[..., 1, 0], m[..., 1, 1])
    return np.stack([yaw, pitch, roll], axis=-1)


def tilt_of(quaternion: ArrayLike) -> Array:
    """Returns the rotation about the line of sight (4,) by which a head ``quaternion`` (4,), head → camera, is tilted in its
    picture.

    Its inverse levels the eyes with the crown up: the head's levelled frame, in which relative motion is expressed. A lying head
    is tilted by 90°, an upside-down one by 180°, one that only turned and nodded by 0°. For profiles, whose eyes overlap, the
    crown defines the tilt.
    """
    matrix = quaternion_to_matrix(quaternion)
    across, up = matrix[:2, 0], matrix[:2, 1]
    if np.hypot(*across) < PROFILE:
        across = np.array([up[1], -up[0]])
    half = 0.5 * np.arctan2(across[1], across[0])
    return np.array([np.cos(half), 0.0, 0.0, np.sin(half)])


def turned_frame(turn: ArrayLike, quaternion: ArrayLike) -> Array:
    """Expresses rotations ``quaternion`` (…, 4) in a frame rotated by ``turn`` (4,): turn · q · turn⁻¹."""
    return quaternion_multiply(quaternion_multiply(turn, quaternion), quaternion_conjugate(turn))


def continuous_quaternions(quaternions: ArrayLike) -> Array:
    """Flips signs of (T, 4) unit quaternions so that neighbours are on one hemisphere, for interpolation."""
    q = np.array(quaternions, float)
    if len(q) > 1:
        flips = np.cumprod(np.where(np.sum(q[1:] * q[:-1], axis=-1) < 0, -1.0, 1.0))
        q[1:] *= flips[:, None]
    return q


def slerp(start: ArrayLike, end: ArrayLike, fraction: ArrayLike) -> Array:
    """Spherical interpolation of unit quaternions (…, 4) at ``fraction`` (…) in [0, 1] along the shorter arc (Shoemake 1985)."""
    a, b, t = np.asarray(start, float), np.asarray(end, float), np.asarray(fraction, float)[..., None]
    cosine = np.sum(a * b, axis=-1, keepdims=True)
    b, cosine = np.where(cosine < 0, -b, b), np.abs(cosine)
    angle = np.arccos(np.clip(cosine, -1.0, 1.0))
    sine = np.sin(angle)
    near = sine < 1e-6
    safe = np.where(near, 1.0, sine)
    weight_a = np.where(near, 1 - t, np.sin((1 - t) * angle) / safe)
    weight_b = np.where(near, t, np.sin(t * angle) / safe)
    mixed = weight_a * a + weight_b * b
    return np.asarray(mixed / np.linalg.norm(mixed, axis=-1, keepdims=True))
