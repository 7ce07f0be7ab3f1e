"""Head nods, brow raises and blinks of a speaking face, from stressed vowels and pauses."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from mimaface.protocol.arkit import BLENDSHAPE_INDEX, BLENDSHAPE_NAMES
from mimaface.protocol.arrays import Array

from .phones import REST, Phone

VOWELS = ("aa", "E", "I", "O", "U")
LEVELS_PER_SECOND = 100  # loudness values per second
# Decibels above the median vowel that raise its stress by one; so does, at half weight, a doubling of its length. English
# stresses syllables by loudness and length.
STRESS_DECIBELS = 6.0
JAW_FACTORS = (0.85, 1.2)  # smallest and largest factor on a vowel's jawOpen: unstressed vowels are reduced
ACCENT_STRESS = 0.5  # stress from which a vowel is an accent. Raised: fewer nods
ACCENT_INTERVAL = 0.9  # seconds between accents at least: a head nods about once per second at most. Raised: fewer nods
PAUSE = 0.3  # seconds of silence that end a phrase. Raised: fewer blinks and head turns
# radians of pitch per unit of stress; seconds, width of the Gaussian. Raised: deeper; slower nods
NOD, NOD_SECONDS = np.radians(2.5), 0.18
TURN, TILT, TURN_SECONDS = np.radians(2.0), np.radians(1.0), 0.35  # radians, alternating side by phrase; seconds of easing
BROWS = {"browInnerUp": 0.25, "browOuterUpLeft": 0.15, "browOuterUpRight": 0.15}  # blendshapes at an accent of stress 1
# Seconds in which lids close, stay shut and open (VanderWerf et al. 2003: 0.1 s down, twice that up).
LIDS_DOWN, LIDS_SHUT, LIDS_UP = 0.08, 0.04, 0.16
# Seconds between blinks in speech without a pause, and the range added to them: 15 to 25 blinks a minute. Raised: fewer blinks.
BLINK_INTERVAL, BLINK_INTERVAL_RANGE = 3.0, 2.0
SHORTEST_BLINK_INTERVAL = 1.2  # seconds between blinks at least
GOLDEN_RATIO_FRACTION = 0.6180339887  # fractional parts of its multiples are evenly distributed and not periodic


def stressed(phones: list[Phone], level: Array | None) -> tuple[list[Phone], list[tuple[float, float]]]:
    """Returns ``phones`` with a strength where they have none, and the accents as (seconds, stress) in order of time.

    ``level`` (N,) is the loudness every 10 ms in decibels, used relative to the median vowel; without it stress is from length
    alone.
    """
    vowels = [index for index, phone in enumerate(phones) if phone.viseme in VOWELS]
    result = [phone if phone.strength is not None else replace(phone, strength=1.0) for phone in phones]
    if not vowels:
        return result, []
    length = np.array([phones[index].end - phones[index].begin for index in vowels])
    stress = np.log2(np.maximum(length, 0.02) / max(float(np.median(length)), 0.02))
    if level is not None and len(level):
        loud = np.array([_loudness(level, phones[index]) for index in vowels])
        stress = 0.5 * stress + (loud - np.median(loud)) / STRESS_DECIBELS
    for index, value in zip(vowels, stress):
        if phones[index].strength is None:
            result[index] = replace(phones[index], strength=round(float(np.clip(1 + 0.15 * value, *JAW_FACTORS)), 3))
    accents = list[tuple[float, float]]()
    for candidate in np.argsort(-stress, kind="stable"):
        middle = (phones[vowels[candidate]].begin + phones[vowels[candidate]].end) / 2
        if stress[candidate] >= ACCENT_STRESS and all(abs(middle - other) >= ACCENT_INTERVAL for other, _ in accents):
            accents.append((middle, min(float(stress[candidate]), 2.0)))
    return result, sorted(accents)


def _loudness(level: Array, phone: Phone) -> float:
    first = min(int(phone.begin * LEVELS_PER_SECOND), len(level) - 1)
    return float(level[first : max(int(phone.end * LEVELS_PER_SECOND), first + 1)].max())


def phrases(phones: list[Phone]) -> list[tuple[float, float]]:
    """Returns the intervals [begin, end) of speech between pauses, in seconds."""
    found = list[tuple[float, float]]()
    for phone in phones:
        if phone.viseme == REST:
            continue
        if found and phone.begin - found[-1][1] < PAUSE:
            found[-1] = found[-1][0], phone.end
        else:
            found.append((phone.begin, phone.end))
    return found


def accent_motion(phones: list[Phone], accents: list[tuple[float, float]], time: Array, strength: float) -> tuple[Array, Array]:
    """Returns blendshapes (T, 52) of brows and lids, and head yaw, pitch and roll (T, 3) in radians, at ``time`` (T,) seconds.

    ``strength`` scales brows and head; 0 also turns blinks off. The result is deterministic, and at rest in pauses.
    """
    shapes, angles = np.zeros((len(time), len(BLENDSHAPE_NAMES))), np.zeros((len(time), 3))
    if strength == 0 or len(time) == 0:
        return shapes, angles
    for moment, stress in accents:
        bell = strength * stress * np.exp(-np.square((time - moment) / NOD_SECONDS))
        angles[:, 1] -= NOD * bell
        for name, value in BROWS.items():
            shapes[:, BLENDSHAPE_INDEX[name]] += value * bell
    spoken = phrases(phones)
    for index, (begin, end) in enumerate(spoken):
        side = strength * (1 if index % 2 else -1) * _phrase_envelope(time, begin, end)
        angles[:, 0] += TURN * side
        angles[:, 2] += TILT * side
    for moment in _blinks(spoken):
        for lid in ("eyeBlinkLeft", "eyeBlinkRight"):
            column = BLENDSHAPE_INDEX[lid]
            shapes[:, column] = np.maximum(shapes[:, column], _lid_closure(time, moment))
    shapes[shapes < 0.002] = 0.0
    angles[np.abs(angles) < 1e-5] = 0.0
    return np.clip(shapes, 0.0, 1.0), angles


def _phrase_envelope(time: Array, begin: float, end: float) -> Array:
    """Returns (T,): 1 inside a phrase, 0 outside, smoothstep between."""
    way = np.clip(np.minimum(time - begin, end - time) / TURN_SECONDS, 0.0, 1.0)
    return np.asarray(way * way * (3 - 2 * way))


def _blinks(spoken: list[tuple[float, float]]) -> list[float]:
    """Returns the seconds of blinks: one after each phrase, and some within long phrases."""
    found, count = list[float](), 0
    for begin, end in spoken:
        last = max(begin, found[-1]) if found else begin
        while end - last > BLINK_INTERVAL + BLINK_INTERVAL_RANGE:
            count += 1
            last += BLINK_INTERVAL + BLINK_INTERVAL_RANGE * (count * GOLDEN_RATIO_FRACTION % 1)
            found.append(last)
        if not found or end + LIDS_DOWN - found[-1] >= SHORTEST_BLINK_INTERVAL:
            found.append(end + LIDS_DOWN)
    return found


def _lid_closure(time: Array, moment: float) -> Array:
    """Returns lid closure 0–1 of one blink (T,); the frame nearest to ``moment`` is 1."""
    moment = float(time[int(np.argmin(np.abs(time - moment)))])
    away = time - moment
    way = np.where(away < 0, 1 + (away + LIDS_SHUT / 2) / LIDS_DOWN, 1 - (away - LIDS_SHUT / 2) / LIDS_UP)
    return np.asarray(np.clip(way, 0.0, 1.0))
