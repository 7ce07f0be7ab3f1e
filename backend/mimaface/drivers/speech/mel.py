"""Mel spectrogram of the Wav2Lip family of networks (Prajwal et al. 2020), and its windows per video frame.

Published settings: 16 kHz, pre-emphasis 0.97, Hann windows of 800 samples every 200, 80 Slaney mel bands of equal area from 55 to
7600 Hz; decibels minus 20, −100 to 0 mapped to −4 to 4 and clipped.
"""

from __future__ import annotations

import functools

import numpy as np

from mimaface.protocol.arrays import Array

from .sound import RATE

WINDOW, HOP, BANDS = 800, 200, 80
LOWEST, HIGHEST = 55.0, 7600.0  # Hertz
EMPHASIS = 0.97
REFERENCE, FLOOR, LARGEST = 20.0, -100.0, 4.0  # decibels, decibels, and the value of 0 decibels
STEPS = 16  # spectra per window: 0.2 s
AHEAD = 2  # frames by which a window starts before its frame, which centres it
TOGETHER = 4096  # spectra computed at once: 30 MB


def mel_spectrogram(samples: Array) -> Array:
    """Samples (N,) in [−1, 1] at 16 kHz → (N // 200 + 1, 80) float32 in [−4, 4]; spectra are centred, the sound is padded with
    silence.
    """
    emphasised = samples.astype(np.float32, copy=True)
    emphasised[1:] -= np.float32(EMPHASIS) * samples[:-1]
    padded = np.pad(emphasised, WINDOW // 2)
    windows = np.lib.stride_tricks.sliding_window_view(padded, WINDOW)[::HOP]
    shape = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(WINDOW) / WINDOW)
    parts = []
    for first in range(0, len(windows), TOGETHER):
        energy = np.abs(np.fft.rfft(windows[first : first + TOGETHER] * shape, axis=1)) @ _filters().T
        decibels = 20 * np.log10(np.maximum(energy, 10 ** (FLOOR / 20))) - REFERENCE
        parts.append(np.clip(2 * LARGEST * (decibels - FLOOR) / -FLOOR - LARGEST, -LARGEST, LARGEST).astype(np.float32))
    return np.concatenate(parts)


def mel_windows(mel: Array, rate: float, first: int, last: int) -> Array:
    """Returns the windows (T, 80, 16) of frames ``first`` to ``last`` − 1 at ``rate`` per second; the spectrogram's ends
    repeat."""
    starts = ((np.arange(first, last) - AHEAD) * (RATE / HOP) / rate).astype(int)  # truncated toward zero, as published
    rows = np.clip(starts[:, None] + np.arange(STEPS), 0, len(mel) - 1)
    return np.ascontiguousarray(mel[rows].transpose(0, 2, 1))


@functools.lru_cache(maxsize=1)
def _filters() -> Array:
    """Returns the filter bank (80, 401): triangles between neighbouring centres, of equal area (Slaney 1998, Auditory
    Toolbox)."""
    centres = _hertz(np.linspace(_mel(np.array(LOWEST)), _mel(np.array(HIGHEST)), BANDS + 2))
    frequencies = np.fft.rfftfreq(WINDOW, 1 / RATE)
    rising = (frequencies - centres[:-2, None]) / np.diff(centres)[:-1, None]
    falling = (centres[2:, None] - frequencies) / np.diff(centres)[1:, None]
    return np.asarray(np.maximum(np.minimum(rising, falling), 0.0) * (2 / (centres[2:] - centres[:-2]))[:, None])


def _mel(hertz: Array) -> Array:
    """Converts to Slaney's scale: linear up to 1000 Hz, then logarithmic."""
    return np.asarray(np.where(hertz < 1000, hertz * 3 / 200, 15 + 27 * np.log(np.maximum(hertz, 1000) / 1000) / np.log(6.4)))


def _hertz(mel: Array) -> Array:
    return np.asarray(np.where(mel < 15, mel * 200 / 3, 1000 * np.exp((mel - 15) * np.log(6.4) / 27)))
