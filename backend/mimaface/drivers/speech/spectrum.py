"""Mouth shapes from the sound alone, for every language and without a model of speech: where in the spectrum its energy lies."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .phones import REST, Phone
from .sound import RATE, STEP, level_of

Array = NDArray[Any]
WINDOW = 512  # samples of one spectrum: 32 ms
# Hertz between which energy tells a shape: voice and closed vowels; open vowels; spread vowels; hissing
BANDS = (150, 700, 1500, 3500, 8000)
HISS = 0.45  # share of the energy above 3500 Hz from which a sound is s or sh. Raised: s is an open mouth
SPREAD, OPEN, ROUND = 0.30, 0.33, 0.85  # shares of the third, the second and the first band from which a vowel is i, a or u
# Decibels by which a moment is quieter than both sides of it and the lips are taken for shut, and seconds on each side that count
DIP, BESIDE = 9.0, 0.09
SHORTEST = 4  # steps of 10 ms that a shape lasts at least: what is shorter is noise of the spectrum


def phones_by_spectrum(samples: Array, begin: float) -> list[Phone]:
    """The shapes of an utterance (N,) that begins at ``begin`` seconds. Only relations count: a quieter file gives the same."""
    level = level_of(samples)
    if len(level) < SHORTEST:
        return []
    shares, names = _shares(samples, len(level)), np.array(["E"] * len(level), dtype="<U3")
    names[shares[:, 0] > ROUND] = "U"
    names[shares[:, 1] > OPEN] = "aa"
    names[shares[:, 2] > SPREAD] = "I"
    names[shares[:, 3] > HISS] = "SS"
    beside = round(BESIDE * 100)
    padded = np.pad(level, beside, mode="edge")
    sides = np.lib.stride_tricks.sliding_window_view(padded, beside)
    dip = np.minimum(sides[: len(level)].max(axis=1), sides[beside + 1 :].max(axis=1)) - level > DIP
    names[dip & (shares[:, 3] <= HISS)] = "PP"
    names[level < np.percentile(level, 95) - 35] = REST
    edges = np.concatenate([[0], np.flatnonzero(names[1:] != names[:-1]) + 1, [len(names)]])
    found = list[Phone]()
    for first, last in zip(edges[:-1].tolist(), edges[1:].tolist()):
        start, stop = begin + first / 100, begin + last / 100
        if found and last - first < SHORTEST:  # goes with what was before it
            found[-1] = Phone(found[-1].viseme, found[-1].begin, stop)
        else:
            found.append(Phone(str(names[first]), start, stop))
    return found


def _shares(samples: Array, steps: int) -> Array:
    """The share (N, 4) of each band in the energy of every step."""
    padded = np.pad(samples.astype(np.float64), (WINDOW // 2 - STEP // 2, WINDOW))
    windows = np.lib.stride_tricks.sliding_window_view(padded, WINDOW)[: steps * STEP : STEP]
    energy = np.square(np.abs(np.fft.rfft(windows * np.hanning(WINDOW), axis=1)))
    edges = np.searchsorted(np.fft.rfftfreq(WINDOW, 1 / RATE), BANDS)
    parts = np.stack([energy[:, first:last].sum(axis=1) for first, last in zip(edges[:-1], edges[1:])], axis=1)
    return np.asarray(parts / np.maximum(parts.sum(axis=1, keepdims=True), 1e-12))
