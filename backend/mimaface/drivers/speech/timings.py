"""Phone times from other programs: Praat's TextGrid, which most aligners write, and Rhubarb Lip Sync's JSON."""

from __future__ import annotations

import json
import math
import re
from itertools import islice
from typing import Any

from mimaface.protocol.errors import InvalidMotion
from mimaface.protocol.texts import shown

from .phones import Phone, is_english, phones_of, visemes_of
from .sound import LONGEST

# values as Praat parses them: strings, flags and numbers that stand alone, with any words between them
_VALUES = re.compile(r'"((?:[^"]|"")*)"|(<\w+>)|(?<!\S)(-?\d+(?:\.\d*)?(?:[eE][-+]?\d+)?)(?!\S)')
# names of phone tiers: phones, phonemes, MAU (WebMAUS)
_PHONES = re.compile(r"phon|segment|mau\b|sampa|ipa\b|sound", re.IGNORECASE)
# Rhubarb's mouth shapes (Hanna-Barbera's, after Preston Blair) by viseme: https://github.com/DanielSWolf/rhubarb-lip-sync
RHUBARB = {"A": "PP", "B": "SS", "C": "E", "D": "aa", "E": "O", "F": "U", "G": "FF", "H": "nn", "X": "sil"}
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
    seconds = max([seconds, *(phone.end for phone in phones)])
    if not 0 < seconds <= LONGEST or any(not 0 <= phone.begin <= phone.end for phone in phones):
        raise InvalidMotion(f"{name}: its times are not 0 to {LONGEST / 60:.0f} minutes", "check the file's times")
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
    tiers = list[tuple[str, list[tuple[float, float, str]]]]()
    for _ in range(int(count)):
        kind, title, _, _, length = islice(values, 5)
        if kind == "IntervalTier":
            tiers.append((str(title), [(float(next(values)), float(next(values)), str(next(values))) for _ in range(int(length))]))
        elif kind != "TextTier":
            raise ValueError(kind)
        else:
            for _ in range(2 * int(length)):
                next(values)
    chosen = _phone_tier(tiers)
    if chosen is None:
        titles = ", ".join(shown(title, 30) for title, _ in tiers) or "none"
        raise InvalidMotion(f"{name}: no tier of phones among its tiers ({titles})", 'name the tier with a phone in each interval "phones"')
    english = is_english([label for _, _, label in chosen])
    return [each for start, stop, label in chosen for each in phones_of(label, start - first, stop - first, english)], seconds


def _phone_tier(tiers: list[tuple[str, list[tuple[float, float, str]]]]) -> list[tuple[float, float, str]] | None:
    """Returns the intervals of the phone tier: by its name, else the longest tier whose labels are all phones."""
    named = next((intervals for title, intervals in tiers if _PHONES.search(title)), None)
    if named is not None:
        return named
    for _, intervals in sorted(tiers, key=lambda each: -len(each[1])):
        labels = [label for _, _, label in intervals if label.strip()]
        if labels and all(len(label) <= 4 and (visemes_of(label, True) or visemes_of(label, False)) for label in labels):
            return intervals
    return None
