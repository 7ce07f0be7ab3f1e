"""Visemes from energy in frequency bands, for every language and without a speech model."""

from __future__ import annotations

import numpy as np

from mimaface.protocol.arrays import Array

from .phones import REST, Phone
from .sound import RATE, STEP, level_of

WINDOW = 512  # samples per spectrum: 32 ms
# Hertz, edges of four bands: voice and closed vowels; open vowels; front vowels; sibilants
BANDS = (150, 700, 1500, 3500, 8000)
SIBILANT_SHARE = 0.45  # share of energy above 3500 Hz from which a sound is a sibilant. Raised: s becomes an open mouth
# shares of the third, second and first band from which a vowel is i, a or u
FRONT_VOWEL_SHARE, OPEN_VOWEL_SHARE, CLOSED_VOWEL_SHARE = 0.30, 0.33, 0.85
# decibels below the loudest moment on both sides from which lips are shut, and seconds of each side. Raised: fewer closures
CLOSURE_DECIBELS, NEIGHBOUR_SECONDS = 9.0, 0.09
SHORTEST = 4  # steps of 10 ms. Shorter shapes are merged into the one before: spectral noise


def phones_by_spectrum(samples: Array, begin: float) -> list[Phone]:
    """Returns the phones of an utterance (N,) that starts at ``begin`` seconds; independent of the file's level."""
    level = level_of(samples)
    if len(level) < SHORTEST:
        return []
    shares = _shares(samples, len(level))
    names = visemes_of(shares)
    neighbours = round(NEIGHBOUR_SECONDS * 100)
    padded = np.pad(level, neighbours, mode="edge")
    sides = np.lib.stride_tricks.sliding_window_view(padded, neighbours)
    dip = np.minimum(sides[: len(level)].max(axis=1), sides[neighbours + 1 :].max(axis=1)) - level > CLOSURE_DECIBELS
    names[dip & (shares[:, 3] <= SIBILANT_SHARE)] = "PP"
    names[level < np.percentile(level, 95) - 35] = REST
    edges = np.concatenate([[0], np.flatnonzero(names[1:] != names[:-1]) + 1, [len(names)]])
    found = list[Phone]()
    for first, last in zip(edges[:-1].tolist(), edges[1:].tolist()):
        start, stop = begin + first / 100, begin + last / 100
        if found and last - first < SHORTEST:  # merged into the shape before
            found[-1] = Phone(found[-1].viseme, found[-1].begin, stop)
        else:
            found.append(Phone(str(names[first]), start, stop))
    return found


def visemes_of(shares: Array) -> Array:
    """Returns the names (N,) of visemes with these band shares (N, 4), among E, U, aa, I and SS."""
    names = np.array(["E"] * len(shares), dtype="<U3")
    names[shares[:, 0] > CLOSED_VOWEL_SHARE] = "U"
    names[shares[:, 1] > OPEN_VOWEL_SHARE] = "aa"
    names[shares[:, 2] > FRONT_VOWEL_SHARE] = "I"
    names[shares[:, 3] > SIBILANT_SHARE] = "SS"
    return names


def _shares(samples: Array, steps: int) -> Array:
    """Returns the share (N, 4) of each band in the energy of each step."""
    padded = np.pad(samples.astype(np.float64), (WINDOW // 2 - STEP // 2, WINDOW))
    return band_shares(np.lib.stride_tricks.sliding_window_view(padded, WINDOW)[: steps * STEP : STEP])


def band_shares(windows: Array) -> Array:
    """Returns the share (N, 4) of each band in the energy of ``windows`` (N, 512) of samples."""
    energy = np.square(np.abs(np.fft.rfft(windows * np.hanning(WINDOW), axis=1)))
    edges = np.searchsorted(np.fft.rfftfreq(WINDOW, 1 / RATE), BANDS)
    parts = np.stack([energy[:, first:last].sum(axis=1) for first, last in zip(edges[:-1], edges[1:])], axis=1)
    return np.asarray(parts / np.maximum(parts.sum(axis=1, keepdims=True), 1e-12))
