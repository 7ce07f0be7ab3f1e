"""Phone times from other programs: Praat's TextGrid, which most aligners write, Rhubarb Lip Sync's JSON, and visemes as
:mod:`mimaface.protocol.visemes` writes them."""

from __future__ import annotations

import json
import math
import re
from itertools import islice
from typing import Any

from mimaface.protocol.errors import InvalidMotion
from mimaface.protocol.texts import shown
from mimaface.protocol.visemes import STRENGTHS, TIER, VISEMES, viseme_of

from .phones import REST, Phone, is_english, phones_of, visemes_of
from .sound import LONGEST

Interval = tuple[float, float, str]  # begin and end in seconds, label
# values as Praat parses them: strings, flags and numbers that stand alone, with any words between them
_VALUES = re.compile(r'"((?:[^"]|"")*)"|(<\w+>)|(?<!\S)(-?\d+(?:\.\d*)?(?:[eE][-+]?\d+)?)(?!\S)')
# names of phone tiers: phones, phonemes, MAU (WebMAUS)
_PHONES = re.compile(r"phon|segment|mau\b|sampa|ipa\b|sound", re.IGNORECASE)
# Rhubarb's mouth shapes (Hanna-Barbera's, after Preston Blair) by viseme: https://github.com/DanielSWolf/rhubarb-lip-sync
RHUBARB = {"A": "PP", "B": "SS", "C": "E", "D": "aa", "E": "O", "F": "U", "G": "FF", "H": "nn", "X": "sil"}
LARGEST_STRENGTH = 3.0  # of a viseme: its jaw opens three times as far as usual. Raised: nothing, as the jaw is wide open by then
GRID_HINT = "export the phones as a TextGrid of text from Praat, MFA or WebMAUS again"
CUES_HINT = "export the cues with rhubarb -f json again"


def is_timings(start: str) -> bool:
    """Returns whether a text that begins with ``start`` contains phone times."""
    return "ooTextFile" in start[:100] or '"mouthCues"' in start


def read_timings(text: str, name: str) -> tuple[list[Phone], float]:
    """Returns the phones of a TextGrid or Rhubarb JSON, and its duration in seconds. Raises :class:`InvalidMotion` that contains
    ``name``.
    """
    try:
        phones, seconds = _read_rhubarb(text, name) if text.lstrip("\ufeff \t\r\n").startswith("{") else _read_textgrid(text, name)
    except (ValueError, KeyError, TypeError, StopIteration, RuntimeError, RecursionError) as error:
        hint = CUES_HINT if text.lstrip().startswith("{") else GRID_HINT
        raise InvalidMotion(f"{name}: the times of phones cannot be read (the file is damaged)", hint) from error
    if not phones:
        raise InvalidMotion(f"{name}: it contains no speech", "export the times of phones again, or choose another file")
    seconds = max([seconds, *(phone.end for phone in phones)])
    if not 0 < seconds <= LONGEST or any(not 0 <= phone.begin <= phone.end for phone in phones):
        raise InvalidMotion(f"{name}: its times are outside 0 to {LONGEST / 60:.0f} minutes", "check the times in the file")
    return phones, seconds


def _read_rhubarb(text: str, name: str) -> tuple[list[Phone], float]:
    content = json.loads(text)
    phones = list[Phone]()
    for cue in content["mouthCues"]:
        if cue["value"] not in RHUBARB:
            raise InvalidMotion(f"{name}: Rhubarb has no mouth shape {shown(str(cue['value']), 20)!r}", "its shapes are A to H and X")
        phones.append(Phone(RHUBARB[cue["value"]], _number(cue["start"]), _number(cue["end"])))
    return phones, _number(content.get("metadata", {}).get("duration", 0.0))


def _number(value: Any) -> float:
    number = float(value)
    if not math.isfinite(number):
        raise ValueError(value)
    return number


def _read_textgrid(text: str, name: str) -> tuple[list[Phone], float]:
    values = (match[1].replace('""', '"') if match[1] is not None else match[2] or float(match[3]) for match in _VALUES.finditer(text))
    if list(islice(values, 2)) != ["ooTextFile", "TextGrid"]:
        raise ValueError(name)
    begin, end, _, count = islice(values, 4)
    first, seconds = float(begin), float(end) - float(begin)
    tiers = list[tuple[str, list[Interval]]]()
    for _ in range(int(count)):
        kind, title, _, _, length = islice(values, 5)
        if kind == "IntervalTier":
            tiers.append((str(title), [(float(next(values)), float(next(values)), str(next(values))) for _ in range(int(length))]))
        elif kind != "TextTier":
            raise ValueError(kind)
        else:
            for _ in range(2 * int(length)):
                next(values)
    titled = {title.strip().casefold(): intervals for title, intervals in tiers}
    if TIER in titled:
        return _visemes(titled[TIER], titled.get(STRENGTHS, []), first, name), seconds
    chosen = _phone_tier(tiers)
    if chosen is None:
        titles = ", ".join(shown(title, 30) for title, _ in tiers) or "none"
        raise InvalidMotion(f"{name}: no tier of phones among its tiers ({titles})", 'name the tier with a phone in each interval "phones"')
    english = is_english([label for _, _, label in chosen])
    return [each for start, stop, label in chosen for each in phones_of(label, start - first, stop - first, english)], seconds


def _visemes(intervals: list[Interval], strengths: list[Interval], first: float, name: str) -> list[Phone]:
    """Returns the phones of a tier of visemes that begins at ``first``; each has the strength that is given at its middle, if any."""
    found, index = list[Phone](), 0
    for begin, end, label in sorted(intervals):
        viseme = viseme_of(label) if label.strip() else REST
        if not viseme:
            raise InvalidMotion(f"{name}: {shown(label, 20)!r} is no viseme", f"use one of {', '.join(VISEMES)}")
        middle = (begin + end) / 2
        while index < len(strengths) and strengths[index][1] <= middle:
            index += 1
        given = strengths[index][2].strip() if index < len(strengths) and strengths[index][0] <= middle else ""
        found.append(Phone(viseme, begin - first, end - first, _strength(given, name) if given else None))
    return found


def _strength(text: str, name: str) -> float:
    strength = _number(text)
    if not 0 <= strength <= LARGEST_STRENGTH:
        raise InvalidMotion(f"{name}: a strength of {shown(text, 20)} is out of range", f"use 0 to {LARGEST_STRENGTH:g}; 1 is usual")
    return strength


def _phone_tier(tiers: list[tuple[str, list[Interval]]]) -> list[Interval] | None:
    """Returns the intervals of the phone tier: by its name, else the longest tier whose labels are all phones."""
    named = next((intervals for title, intervals in tiers if _PHONES.search(title)), None)
    if named is not None:
        return named
    for _, intervals in sorted(tiers, key=lambda each: -len(each[1])):
        labels = [label for _, _, label in intervals if label.strip()]
        if labels and all(len(label) <= 4 and (visemes_of(label, True) or visemes_of(label, False)) for label in labels):
            return intervals
    return None
