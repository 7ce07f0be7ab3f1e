"""Voice activity detection: utterances between pauses, short enough to recognise one by one."""

from __future__ import annotations

import numpy as np

from mimaface.protocol.arrays import Array

LEVELS_PER_SECOND = 100  # loudness values per second
NOISE_FLOOR = -75.0  # decibels below full scale under which nothing is voice: the noise of 13 bits
VOICE_RANGE = 32.0  # decibels below the 95th percentile that are still voice. Raised: breath and room noise count as voice
ABOVE_NOISE = 8.0  # decibels above the 5th percentile that are voice in a noisy room. Raised: quiet endings are lost there
SURE_VOICE_RANGE = 14.0  # decibels below the 95th percentile from which everything is voice, in a file without pauses
PAUSE = 0.30  # seconds of silence between two utterances: longer than the closure of any consonant. Raised: longer utterances
MARGIN = 0.15  # seconds added before and after an utterance, for unvoiced beginnings are quiet
LONGEST = 10.0  # seconds of one utterance; longer ones are cut at their quietest moment. Raised: more memory
SHORTEST = 0.06  # seconds; shorter sounds are clicks


def utterances(level: Array) -> list[tuple[int, int]]:
    """Returns utterances [begin, end) in steps of 10 ms, in order and without overlap, of the loudness ``level`` (N,) in
    decibels.

    Thresholds are relative to the file's own loudness, so its level does not matter.
    """
    loud = level[level > NOISE_FLOOR]
    if len(loud) == 0:
        return []
    high, low = np.percentile(loud, 95), np.percentile(level, 5)
    least = max(min(max(high - VOICE_RANGE, low + ABOVE_NOISE), high - SURE_VOICE_RANGE), NOISE_FLOOR)
    voiced: Array = np.flatnonzero(level > least)
    if len(voiced) == 0:
        return []
    breaks: Array = np.flatnonzero(np.diff(voiced) > PAUSE * LEVELS_PER_SECOND)
    begins, ends = voiced[np.concatenate([[0], breaks + 1])], voiced[np.concatenate([breaks, [len(voiced) - 1]])] + 1
    margin, found = round(MARGIN * LEVELS_PER_SECOND), list[tuple[int, int]]()
    for begin, end in zip(begins.tolist(), ends.tolist()):
        if end - begin >= SHORTEST * LEVELS_PER_SECOND:
            found += _split_at_quiet(level, max(begin - margin, 0), min(end + margin, len(level)))
    return found


def _split_at_quiet(level: Array, begin: int, end: int) -> list[tuple[int, int]]:
    """Splits a piece into parts of at most ``LONGEST`` seconds."""
    most, parts = round(LONGEST * LEVELS_PER_SECOND), list[tuple[int, int]]()
    while end - begin > most:
        middle = begin + most // 2 + int(np.argmin(level[begin + most // 2 : begin + most]))
        parts.append((begin, middle))
        begin = middle
    return [*parts, (begin, end)]
