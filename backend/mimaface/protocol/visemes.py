"""The visemes of speech with their times, as a Praat TextGrid: what artists, other programs and Blender edit and give back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

# The visible shapes of phones: those of MPEG-4 facial animation under their names in Oculus LipSync; "sil" is rest.
VISEMES = ("sil", "PP", "FF", "TH", "DD", "kk", "CH", "SS", "nn", "RR", "aa", "E", "I", "O", "U")
TIER, STRENGTHS = "visemes", "strength"  # names of the TextGrid's tiers
Timed = tuple[str, float, float]  # viseme, seconds at which it begins, strength: 1 is usual, more opens the jaw further

_NAMES = {name.casefold(): name for name in VISEMES}


def viseme_of(label: str) -> str:
    """Returns the viseme that a label names in capitals or without, or "" for another text."""
    return _NAMES.get(label.strip().casefold(), "")


def visemes_in(meta: dict[str, Any]) -> list[Timed]:
    """Returns the visemes that a motion's meta holds; [] where it is not speech, or was written by something else."""
    try:
        return [(viseme_of(name), float(begin), float(strength)) for name, begin, strength in meta["visemes"] if viseme_of(name)]
    except (KeyError, TypeError, ValueError, AttributeError):
        return []


def text_grid(visemes: Sequence[Timed], seconds: float) -> str:
    """Returns the TextGrid of visemes in order of time, each of which lasts until the next one, the last until ``seconds``.

    One without duration is left out.
    """
    ends = [*(begin for _, begin, _ in visemes[1:]), seconds]
    timed = [(begin, end, name, strength) for (name, begin, strength), end in zip(visemes, ends) if end > begin]
    tiers = [
        _tier(1, TIER, [(begin, end, name) for begin, end, name, _ in timed], seconds),
        _tier(2, STRENGTHS, [(begin, end, f"{strength:g}") for begin, end, _, strength in timed], seconds),
    ]
    head = 'File type = "ooTextFile"\nObject class = "TextGrid"\n\n'
    return f"{head}xmin = 0\nxmax = {seconds!r}\ntiers? <exists>\nsize = {len(tiers)}\nitem []:\n{''.join(tiers)}"


def _tier(number: int, name: str, intervals: list[tuple[float, float, str]], seconds: float) -> str:
    lines = [
        f'    item [{number}]:\n        class = "IntervalTier"\n        name = "{name}"\n        xmin = 0\n        xmax = {seconds!r}\n'
        f"        intervals: size = {len(intervals)}\n"
    ]
    for index, (begin, end, label) in enumerate(intervals, 1):
        place = f"        intervals [{index}]:\n            xmin = {begin!r}\n            xmax = {end!r}\n"
        lines.append(f'{place}            text = "{label}"\n')
    return "".join(lines)
