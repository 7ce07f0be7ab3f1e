"""The mouth of a voice that is heard now: the shapes of ``spectrum.py`` without the sound that is to come."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

import numpy as np

from mimaface.protocol.arrays import Array

from .phones import REST, Phone
from .sound import RATE, STEP, level_of
from .spectrum import CLOSURE_DECIBELS, NEIGHBOUR_SECONDS, WINDOW, band_shares, visemes_of
from .utterances import ABOVE_NOISE, NOISE_FLOOR, SURE_VOICE_RANGE, VOICE_RANGE
from .visemes import mouth_motion

EVERY = 2 * STEP  # samples between two shapes: 20 ms
FADING = 0.02  # decibels by which the loudest and the quietest heard approach each other at a step, 1 a second. Raised: another room or distance
# is learned sooner, and a long vowel is taken for noise
FIRST_NOISE = -50.0  # decibels that noise is taken for at first. Raised: who speaks at once is heard later
SPEECH_OVER_NOISE = 25.0  # decibels that speech is above noise at least. Lowered: after a long pause noise moves the mouth
MOVING = 0.045  # seconds in which a mouth goes 63 % of the way to a shape. Raised: it is later and calmer
SHUTTING = 0.02  # the same of lips that shut
VISEMES = (REST, "PP", "SS", "E", "I", "aa", "U")


class LiveMouth:
    """Processes sound as it arrives; loud and quiet are relative to the sound so far."""

    def __init__(self) -> None:
        shapes = {viseme: mouth_motion([Phone(viseme, 0.0, 1.0)], np.array([0.5]))[0] for viseme in VISEMES}
        self._shapes = shapes
        self._waiting = np.zeros(0, np.float32)
        self._past = np.zeros(WINDOW, np.float32)
        self._levels: deque[float] = deque(maxlen=max(round(NEIGHBOUR_SECONDS * RATE / EVERY), 2))
        self._loud, self._quiet = NOISE_FLOOR, FIRST_NOISE
        self._now = shapes[REST]
        self._count = 0

    def add(self, samples: Array) -> Iterator[tuple[float, Array]]:
        """Yields seconds since the beginning and blendshapes (52,) float32 for every 20 ms of ``samples`` (N,), −1 to 1 at 16 kHz."""
        self._waiting = np.concatenate([self._waiting, samples])
        while len(self._waiting) >= EVERY:
            part, self._waiting = self._waiting[:EVERY], self._waiting[EVERY:]
            self._past = np.concatenate([self._past, part])[-WINDOW:]
            self._count += 1
            viseme = self._viseme(float(level_of(part).mean()))
            way = 1 - np.exp(-EVERY / RATE / (SHUTTING if viseme == "PP" else MOVING))
            self._now = self._now + way * (self._shapes[viseme] - self._now)
            yield self._count * EVERY / RATE, self._now.astype(np.float32)

    def _viseme(self, level: float) -> str:
        self._quiet = min(level, self._quiet + FADING)
        self._loud = max(level, self._loud - FADING, self._quiet + SPEECH_OVER_NOISE)
        least = min(max(self._loud - VOICE_RANGE, self._quiet + ABOVE_NOISE), self._loud - SURE_VOICE_RANGE)
        before = max(self._levels, default=level)
        self._levels.append(level)
        if level < max(least, NOISE_FLOOR):
            return REST
        heard = str(visemes_of(band_shares(self._past[None]))[0])
        return "PP" if before - level > CLOSURE_DECIBELS and heard != "SS" else heard
