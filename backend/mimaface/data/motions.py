"""Random motion: smooth head turns, sparse expressions with speech-like jaws, blinks, and saccades."""

from __future__ import annotations

import functools

import numpy as np
from scipy.interpolate import CubicSpline

from mimaface.drivers.live_link import read_live_link_csv
from mimaface.face.head import ASSETS
from mimaface.face.pose import FacePose
from mimaface.protocol.arkit import BLENDSHAPE_INDEX, BLENDSHAPE_NAMES, mirror_name
from mimaface.protocol.arrays import Array
from mimaface.protocol.motion import MotionClip
from mimaface.protocol.rotation import head_angles_to_matrix, quaternion_to_matrix

RATE = 24.0  # frames per second
ANGLES = np.radians([22.0, 12.0, 9.0])  # radians, standard deviation of yaw, pitch, roll over people and shots
LARGEST = np.radians([50.0, 30.0, 30.0])  # radians, limits of yaw, pitch, roll
SHARE_OF_TAKES = 0.15  # share of samples that use the shipped take instead of random curves


def random_poses(random: np.random.Generator, count: int, stride: float, translation: Array) -> list[FacePose]:
    """Returns ``count`` poses, ``stride`` seconds apart, of one motion around ``translation`` (3,) metres."""
    time = np.arange(count) * stride
    if random.random() < SHARE_OF_TAKES:
        blendshapes, rotation, gaze = _take(random, time)
    else:
        blendshapes, gaze = _blendshapes(random, time), _gaze(random, time)
        rotation = head_angles_to_matrix(_angles(random, time))
    places = translation + _smooth(random, time, 3, 1.2) * [0.008, 0.006, 0.012]
    return [FacePose(*values) for values in zip(blendshapes, rotation, places, gaze)]


def _smooth(random: np.random.Generator, time: Array, channels: int, pause: float) -> Array:
    """Returns smooth random curves (T, channels) of unit deviation with a knot about every ``pause`` seconds."""
    knots = np.arange(-2, int(time[-1] / pause) + 4) * pause
    knots = knots + random.uniform(-0.3, 0.3, len(knots)) * pause
    return np.asarray(CubicSpline(knots, random.normal(size=(len(knots), channels)))(time))


def _angles(random: np.random.Generator, time: Array) -> Array:
    share = random.uniform(0.25, 0.8)  # share of the variance that is movement
    still = random.normal(0, 1, 3) * np.sqrt(1 - share)
    curves = ANGLES * (still + np.sqrt(share) * _smooth(random, time, 3, random.uniform(0.5, 1.5)))
    return np.asarray(np.clip(curves, -LARGEST, LARGEST))


def _blendshapes(random: np.random.Generator, time: Array) -> Array:
    """Returns (T, 52): a few active blendshapes, mostly symmetric."""
    count = len(BLENDSHAPE_NAMES)
    mirror = np.array([BLENDSHAPE_INDEX[mirror_name(name)] for name in BLENDSHAPE_NAMES])
    active = random.random(count) < random.uniform(0.08, 0.3)
    strength = active * random.beta(1.3, 1.8, count)
    symmetric = random.random(count) < 0.75
    strength = np.where(symmetric, np.maximum(strength, strength[mirror]), strength)
    curves = _smooth(random, time, count, random.uniform(0.25, 0.8))
    first = np.minimum(np.arange(count), mirror)
    curves = np.where(symmetric, curves[:, first], curves)
    blendshapes = strength * np.clip(0.5 + 0.6 * curves, 0, 1)
    talk = random.choice([0.0, 0.5, 1.0], p=[0.25, 0.45, 0.3])
    syllables = np.clip(0.45 * _smooth(random, time, 1, 0.12)[:, 0] + 0.25, 0, 1) * talk
    blendshapes[:, BLENDSHAPE_INDEX["jawOpen"]] = np.maximum(
        blendshapes[:, BLENDSHAPE_INDEX["jawOpen"]] * 0.7, syllables * random.uniform(0.3, 1.0)
    )
    blendshapes[:, BLENDSHAPE_INDEX["mouthClose"]] *= 0.5
    blendshapes[:, BLENDSHAPE_INDEX["tongueOut"]] *= 0.3
    smile = np.clip(random.normal(0.1, 0.4) + 0.3 * _smooth(random, time, 1, 0.8)[:, 0], 0, 1)
    blink = _blinks(random, time)
    for side in ("Left", "Right"):
        blendshapes[:, BLENDSHAPE_INDEX[f"mouthSmile{side}"]] = np.maximum(
            blendshapes[:, BLENDSHAPE_INDEX[f"mouthSmile{side}"]] * 0.6, smile
        )
        blendshapes[:, BLENDSHAPE_INDEX[f"mouthFrown{side}"]] *= 1 - smile
        closed = BLENDSHAPE_INDEX[f"eyeBlink{side}"]
        blendshapes[:, closed] = np.clip(np.maximum(blendshapes[:, closed] * 0.6, blink), 0, 1)
        wide = BLENDSHAPE_INDEX[f"eyeWide{side}"]
        blendshapes[:, wide] *= 1 - blink
    return np.clip(blendshapes, 0, 1)


def _blinks(random: np.random.Generator, time: Array) -> Array:
    """Returns (T,): 1 while lids are closed, at random times for a fifth of a second each; independent of the stride."""
    often = random.uniform(0.1, 0.9)  # blinks per second
    length = random.uniform(0.08, 0.14)
    moments = random.uniform(-1, time[-1] + 1, random.poisson(often * (time[-1] + 2)))
    hills = np.exp(-(((time[:, None] - moments) / length) ** 2))
    return np.asarray(np.clip(1.3 * hills.max(1), 0, 1)) if len(moments) else np.zeros(len(time))


def _gaze(random: np.random.Generator, time: Array) -> Array:
    """Returns gaze (T, 2, 2) in radians: both eyes jump between random fixations together."""
    rests = np.cumsum(random.exponential(random.uniform(0.3, 1.2), 200))
    targets = np.radians(random.normal(0, [13.0, 7.0], (201, 2))).clip(-0.6, 0.6)
    index = np.searchsorted(rests, time)
    moved = np.clip((time - np.concatenate([[-1.0], rests])[index]) / 0.06, 0, 1)[:, None]
    gaze = targets[np.maximum(index - 1, 0)] * (1 - moved) + targets[index] * moved
    vergence = np.array([-1, 1]) * random.uniform(0, 0.03)
    both = np.repeat(gaze[:, None], 2, axis=1)
    both[..., 0] += vergence
    return np.asarray(both)


@functools.cache
def _shipped_take() -> MotionClip:
    path = ASSETS / "take.csv"
    return read_live_link_csv(path.read_bytes(), path.name)


def _take(random: np.random.Generator, time: Array) -> tuple[Array, Array, Array]:
    """Returns blendshapes, rotations and gaze from the shipped take at random speed and strength, possibly mirrored, with a
    random rotation.
    """
    take = _shipped_take()
    speed = random.uniform(0.7, 1.4)
    moments = np.mod(random.uniform(0, take.duration) + time * speed, 2 * take.duration)
    moments = take.time[0] + np.where(moments > take.duration, 2 * take.duration - moments, moments)
    index = np.clip(np.searchsorted(take.time, moments), 0, len(take) - 1)
    blendshapes = np.clip(take.blendshapes[index] * random.uniform(0.6, 1.3), 0, 1)
    rotation = head_angles_to_matrix(random.normal(0, 0.5, 3) * ANGLES) @ quaternion_to_matrix(take.head_quat[index])
    gaze = take.gaze[index].copy()
    if random.random() < 0.5:
        blendshapes = blendshapes[:, [BLENDSHAPE_INDEX[mirror_name(name)] for name in BLENDSHAPE_NAMES]]
        gaze[..., 0] *= -1
    return blendshapes, rotation, np.asarray(gaze)
