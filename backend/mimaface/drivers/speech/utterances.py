"""Where in a sound somebody may be speaking: pieces between pauses, short enough to be recognised one by one."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
STEPS = 100  # levels a second
SILENT = -75.0  # decibels below full scale under which there is no voice however quiet the rest is: the noise of 13 bits
BELOW_LOUD = 32.0  # decibels under the loud parts of a file that are still voice. Raised: breath and rooms are taken for it
ABOVE_NOISE = 8.0  # decibels over the quietest parts that are voice in a noisy room. Raised: quiet endings are lost there
NEVER_ABOVE = 14.0  # decibels under the loud parts at which all is voice, in a file without a pause
PAUSE = 0.30  # seconds of silence that part two utterances: longer than the closure of any consonant
MARGIN = 0.15  # seconds around an utterance that belong to it: an unvoiced beginning is quiet
LONGEST = 10.0  # seconds of one utterance, which is cut at its quietest moment otherwise: what is recognised in one go
SHORTEST = 0.06  # seconds: what is shorter is a click


def utterances(level: Array) -> list[tuple[int, int]]:
    """Pieces [begin, end) in steps of 10 ms of a sound whose loudness in decibels is ``level`` (N,), in order, never overlapping.

    What is loud is told from the file's own loudness, so that a file that is quieter throughout has the same pieces.
    """
    loud = level[level > SILENT]
    if len(loud) == 0:
        return []
    high, low = np.percentile(loud, 95), np.percentile(level, 5)
    least = max(min(max(high - BELOW_LOUD, low + ABOVE_NOISE), high - NEVER_ABOVE), SILENT)
    voiced: Array = np.flatnonzero(level > least)
    if len(voiced) == 0:
        return []
    breaks: Array = np.flatnonzero(np.diff(voiced) > PAUSE * STEPS)
    begins, ends = voiced[np.concatenate([[0], breaks + 1])], voiced[np.concatenate([breaks, [len(voiced) - 1]])] + 1
    margin, found = round(MARGIN * STEPS), list[tuple[int, int]]()
    for begin, end in zip(begins.tolist(), ends.tolist()):
        if end - begin >= SHORTEST * STEPS:
            found += _cut(level, max(begin - margin, 0), min(end + margin, len(level)))
    return found


def _cut(level: Array, begin: int, end: int) -> list[tuple[int, int]]:
    """The piece in parts of at most ``LONGEST`` seconds."""
    most, parts = round(LONGEST * STEPS), list[tuple[int, int]]()
    while end - begin > most:
        middle = begin + most // 2 + int(np.argmin(level[begin + most // 2 : begin + most]))
        parts.append((begin, middle))
        begin = middle
    return [*parts, (begin, end)]
