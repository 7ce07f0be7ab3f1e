"""What a face does beside its mouth while it speaks: it nods and lifts its brows at stressed vowels, and blinks at pauses."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mimaface.protocol.arkit import BLENDSHAPE_INDEX, BLENDSHAPE_NAMES

from .phones import REST, Phone

Array = NDArray[Any]
VOWELS = ("aa", "E", "I", "O", "U")
STEPS = 100  # levels a second
# Decibels over the usual vowel, and doublings of its length, that count as one of stress: loudness and length are how English stresses
ONE_OF_STRESS = 6.0
JAW_STRESS = (0.85, 1.2)  # least and most share of a vowel's jaw: unstressed vowels are half said
STRESSED = 0.5  # of stress from which a vowel is an accent. Raised: fewer nods
APART = 0.9  # seconds between accents: a head nods once in a second at most
PAUSE = 0.3  # seconds of rest that are a pause between phrases
NOD, NOD_TIME = np.radians(2.5), 0.18  # how far a head goes down at an accent, and the width in seconds of going down and up
TURN, TILT, TURN_TIME = np.radians(2.0), np.radians(1.0), 0.35  # of a phrase to one side and the next to the other; seconds of the way
BROWS = {"browInnerUp": 0.25, "browOuterUpLeft": 0.15, "browOuterUpRight": 0.15}  # at an accent of one of stress
# Seconds of the lids' way down, shut and up (VanderWerf et al. 2003: down in 0.1, up in twice that), and between blinks in speech
# without a pause: speakers blink 15 to 25 times a minute.
DOWN, SHUT, UP = 0.08, 0.04, 0.16
BETWEEN, BETWEEN_MORE = 3.0, 2.0
TOO_SOON = 1.2  # seconds between blinks at least
GOLDEN = 0.6180339887  # whose multiples, without their whole numbers, are spread evenly and without a rhythm


def stressed(phones: list[Phone], level: Array | None) -> tuple[list[Phone], list[tuple[float, float]]]:
    """``phones`` with the strength of their vowels, and the accents: their seconds, in order, and how stressed they are.

    ``level`` (N,) is the loudness every 10 ms in decibels, of which only differences count; without it length alone tells.
    """
    vowels = [index for index, phone in enumerate(phones) if phone.viseme in VOWELS]
    if not vowels:
        return phones, []
    length = np.array([phones[index].end - phones[index].begin for index in vowels])
    stress = np.log2(np.maximum(length, 0.02) / max(float(np.median(length)), 0.02))
    if level is not None and len(level):
        loud = np.array([_loudness(level, phones[index]) for index in vowels])
        stress = 0.5 * stress + (loud - np.median(loud)) / ONE_OF_STRESS
    result = list(phones)
    for index, value in zip(vowels, stress):
        result[index] = replace(phones[index], strength=float(np.clip(1 + 0.15 * value, *JAW_STRESS)))
    accents = list[tuple[float, float]]()
    for which in np.argsort(-stress, kind="stable"):
        middle = (phones[vowels[which]].begin + phones[vowels[which]].end) / 2
        if stress[which] >= STRESSED and all(abs(middle - other) >= APART for other, _ in accents):
            accents.append((middle, min(float(stress[which]), 2.0)))
    return result, sorted(accents)


def _loudness(level: Array, phone: Phone) -> float:
    first = min(int(phone.begin * STEPS), len(level) - 1)
    return float(level[first : max(int(phone.end * STEPS), first + 1)].max())


def phrases(phones: list[Phone]) -> list[tuple[float, float]]:
    """Seconds [begin, end) of speech between pauses."""
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
    """Blendshapes (T, 52) of brows and lids, and the head's yaw, pitch and roll (T, 3) in radians, at ``time`` (T,) seconds.

    ``strength`` scales brows and head; 0 is a still face that does not blink either. Nothing is drawn by lot, and in pauses all comes to
    rest.
    """
    shapes, angles = np.zeros((len(time), len(BLENDSHAPE_NAMES))), np.zeros((len(time), 3))
    if strength == 0 or len(time) == 0:
        return shapes, angles
    for moment, stress in accents:
        bell = strength * stress * np.exp(-np.square((time - moment) / NOD_TIME))
        angles[:, 1] -= NOD * bell
        for name, value in BROWS.items():
            shapes[:, BLENDSHAPE_INDEX[name]] += value * bell
    spoken = phrases(phones)
    for index, (begin, end) in enumerate(spoken):
        side = strength * (1 if index % 2 else -1) * _between(time, begin, end)
        angles[:, 0] += TURN * side
        angles[:, 2] += TILT * side
    for moment in _blinks(spoken):
        for lid in ("eyeBlinkLeft", "eyeBlinkRight"):
            column = BLENDSHAPE_INDEX[lid]
            shapes[:, column] = np.maximum(shapes[:, column], _lids(time, moment))
    shapes[shapes < 0.002] = 0.0
    angles[np.abs(angles) < 1e-5] = 0.0
    return np.clip(shapes, 0.0, 1.0), angles


def _between(time: Array, begin: float, end: float) -> Array:
    """1 in the middle of a phrase, 0 outside, with even ways (T,)."""
    way = np.clip(np.minimum(time - begin, end - time) / TURN_TIME, 0.0, 1.0)
    return np.asarray(way * way * (3 - 2 * way))


def _blinks(spoken: list[tuple[float, float]]) -> list[float]:
    """The seconds at which lids are shut: after each phrase, and within long ones."""
    found, count = list[float](), 0
    for begin, end in spoken:
        last = max(begin, found[-1]) if found else begin
        while end - last > BETWEEN + BETWEEN_MORE:
            count += 1
            last += BETWEEN + BETWEEN_MORE * (count * GOLDEN % 1)
            found.append(last)
        if not found or end + DOWN - found[-1] >= TOO_SOON:
            found.append(end + DOWN)
    return found


def _lids(time: Array, moment: float) -> Array:
    """How far lids are shut for a blink (T,): at the nearest frame wholly."""
    moment = float(time[int(np.argmin(np.abs(time - moment)))])
    away = time - moment
    way = np.where(away < 0, 1 + (away + SHUT / 2) / DOWN, 1 - (away - SHUT / 2) / UP)
    return np.asarray(np.clip(way, 0.0, 1.0))
