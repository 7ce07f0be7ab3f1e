"""The time column of a take, in whatever way it counts, as seconds.

Understood: ``HH:MM:SS:FF.sub`` and its kin with any count of frames a second, drop-frame ``HH:MM:SS;FF``, ``HH:MM:SS.mmm``, dates with a
time, clocks of twelve hours, and plain numbers: seconds, milli-, micro- and nanoseconds, days of a spreadsheet, frame numbers.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mimaface.protocol.errors import InvalidMotion
from mimaface.protocol.texts import shown

Array = NDArray[Any]
DAY, LONGEST_PAUSE = 86400.0, 3600.0  # seconds; a clock that falls back by less than a day and an hour did not pass midnight
APP = 60  # frames a second that Live Link Face counts, also in takes at 30: the reading of what the file leaves open
COUNTS = (10, 12, 15, 20, 24, 25, 30, 48, 50, 60, 72, 90, 96, 100, 120, 240, 1000)  # frames a second that a frame field may count
USUAL_COUNTS = (24, 25, 30, 60, 100, 120, 240, 1000)  # the same where only the largest field is known
# How far the step over a second's end may be from the usual step, as a share of it (of one frame if that is more), and still be one.
# Raised: uneven recordings are understood, but counts that differ by one frame are confused.
CLEAN = 0.35
PLENTY = 3.0  # seconds after which a field that never went higher says what it counts
OPTION = "--timecode-rate"
# what plain numbers are whose usual step is at most so large
UNITS = (
    ("days", 2e-5), ("seconds", 0.3), ("frame numbers", 4.5), ("milliseconds", 1e3), ("microseconds", 1e6), ("nanoseconds", math.inf),
)  # fmt: skip
UNIT = "(s|sec|seconds|ms|us|µs|ns)"  # behind a number
DATE = r"(\d{4}[-/.]\d{1,2}[-/.]\d{1,2}[T .]+|\d{1,2}[-/.]\d{1,2}[-/.]\d{2,4}\.? +|\d{8}T)(?=\d\d?:?\d\d)"
SECONDS_OF = {"days": DAY, "seconds": 1.0, "milliseconds": 1e-3, "microseconds": 1e-6, "nanoseconds": 1e-9}


@dataclass(frozen=True)
class Codes:
    """Texts of a time column, split: whole seconds (T,), the field after them (T,), and how it was written.

    kind: "frames" (``:FF``), "drop" (``;FF``), "digits" (two decimals, which may be frames), "clock" (decimals), "number" (no colon).
    """

    whole: Array
    field: Array
    kind: str


def seconds_of(
    texts: list[str], lines: list[int], name: str, title: str = "Timecode", rate: float = 0.0
) -> tuple[Array, list[str]]:
    """Seconds (T,), not from 0 on yet, and notes on what the file left open.

    title: the column's header, which may name a unit. rate: frames a second that the column counts; 0 finds it out.
    Raises :class:`InvalidMotion` that names the line.
    """
    codes = _split(texts, lines, name, title)
    if codes.kind == "number":
        unit = re.search(rf"{UNIT}$", texts[0])
        title = f"{title} ({unit[1]})" if unit else title
        return _numbers(codes.whole, title, rate)
    if codes.kind == "clock":
        return _over_midnight(codes.whole + codes.field), []
    if codes.kind == "digits" and codes.field.max() >= (rate or 100):
        rate = 100.0  # hundredths, whatever was given
    count, note = (math.ceil(rate - 1e-6), "") if rate else frames_per_second(codes)
    if codes.field.max() >= count:
        raise InvalidMotion(
            f"{name}: the frame field goes up to {codes.field.max():g}, so it does not count {rate:g} frames a second",
            f"leave {OPTION} out, or give what it counts",
        )
    exact = rate or float(count)
    if count in (30, 60) and (codes.kind == "drop" or _skips_labels(codes, count)):
        labels = 2 * count // 30  # that are skipped at the beginning of every minute but each tenth
        minutes = np.floor(codes.whole / 60)
        frames = codes.whole * count + codes.field - labels * (minutes - np.floor(minutes / 10))
        exact = exact if exact != count else count / 1.001
        return _over_midnight(frames / exact, (DAY * count - labels * 1296) / exact), []
    second = count / exact
    return _over_midnight((codes.whole + codes.field / count) * second, DAY * second), [note] if note else []


def frames_per_second(codes: Codes) -> tuple[int, str]:
    """What the frame field counts, and a note when the file leaves it open.

    The step over a second's end is the usual step only with the right count; without such an end the largest field decides.
    """
    whole, field = codes.whole, codes.field
    largest = float(field.max())
    steps, ends = np.diff(field), np.diff(whole)
    inside = steps[(ends == 0) & (steps > 0)]
    over = np.flatnonzero(ends == 1)
    possible = [count for count in COUNTS if count > largest]
    if len(inside) and len(over) and possible:
        usual = float(np.median(inside))
        off = np.array([np.abs(count - field[over] + field[over + 1] - usual) for count in possible])
        clean = (off <= CLEAN * max(usual, 1.0)).sum(axis=1)
        best = int(np.lexsort((np.minimum(off, usual).sum(axis=1), -clean))[0])
        if clean[best] * 2 >= len(over):
            return possible[best], ""
    span = float(whole.max() - whole.min())
    known = [count for count in USUAL_COUNTS if count > largest]
    if not known:
        return 1000, ""
    if codes.kind == "digits":
        return 100, ""
    if largest >= 30 or span >= PLENTY:
        return known[0], ""
    return APP, (
        f"the take is too short to say how many frames a second its timecode counts: taken as {APP}, as Live Link Face does; "
        f"if it plays too fast, give the count ({OPTION} 30)"
    )


def _split(texts: list[str], lines: list[int], name: str, title: str) -> Codes:
    rows: list[list[float]] = []
    codes = [_bare(text) for text in texts]
    most = max(code.count(":") + code.count(";") for code in codes)
    for code, text, line in zip(codes, texts, lines):
        parts = re.split("[:;]", code)
        values = [_float(part, text, line, name, title) for part in parts]
        if len(parts) != most + 1 or most > 3 or (most and min(values) < 0):
            raise _unreadable(text, line, name, title)
        rows.append(values)
    table = np.array(rows)
    last = table[:, -1]
    ends = [re.split("[:;]", code)[-1] for code in codes]
    if most == 0:
        return Codes(last, np.zeros(len(last)), "number")
    whole = table[:, :-1] @ 60.0 ** np.arange(most)[::-1]
    changing = np.count_nonzero(np.diff(table, axis=0).any(axis=1)) * 2 > len(table)
    if most == 3 and all(re.fullmatch(r"\d{3}", end) for end in ends):
        return Codes(whole, last / 1000, "clock")  # HH:MM:SS:mmm
    if most == 3 or (most == 2 and changing and all(end.isdecimal() for end in ends)):  # the second: MM:SS:FF
        return Codes(whole, last, "drop" if all(";" in code for code in codes) else "frames")
    whole = whole * 60 + np.floor(last)
    if all(re.fullmatch(r"\d+\.\d\d", end) for end in ends):
        return Codes(whole, np.array([float(end[-2:]) for end in ends]), "digits")
    return Codes(whole, last - np.floor(last), "clock")


def _bare(text: str) -> str:
    """The time alone, with a decimal point and up to 24 hours: without quotes, date, time zone and unit."""
    code = text.strip().strip("\"'").replace(",", ".")
    if date := re.match(DATE, code):
        code = re.sub(r"(Z|[+-]\d\d:?\d\d)$", "", code[date.end() :])
        code = re.sub(r"^(\d\d)(\d\d)(?=\d\d(\.|$))", r"\1:\2:", code)
    if half := re.fullmatch(r"(\d+)(:.*?)\s*([AP])\.?M\.?", code, re.IGNORECASE):
        code = f"{int(half[1]) % 12 + 12 * (half[3] in 'pP')}{half[2]}"
    if re.fullmatch(r"\d{1,2}(\.\d{1,3}){3}", code):
        code = code.replace(".", ":")
    return re.sub(rf"(?<=\d)\s*{UNIT}$", "", code) if ":" not in code else code


def _float(part: str, text: str, line: int, name: str, title: str) -> float:
    try:
        value = float(part)
    except ValueError as error:
        raise _unreadable(text, line, name, title) from error
    if not math.isfinite(value):
        raise _unreadable(text, line, name, title)
    return value


def _unreadable(text: str, line: int, name: str, title: str) -> InvalidMotion:
    return InvalidMotion(
        f"{name}: line {line}: column {shown(title, 40)}: {shown(text, 20)!r} is not a time such as HH:MM:SS:FF.sub",
        "correct or delete the line",
    )


def _numbers(values: Array, title: str, rate: float) -> tuple[Array, list[str]]:
    steps = np.diff(np.sort(values))
    usual = float(np.median(steps[steps > 0])) if (steps > 0).any() else 1.0
    named = _unit_in(title)
    unit = named or next(unit for unit, largest in UNITS if usual <= largest)
    if unit == "frame numbers" or (rate and not named and unit == "milliseconds"):
        note = f"the time column counts frames: taken as {APP} a second; if it plays too fast, give the count ({OPTION} 30)"
        return values / (rate or APP), [] if rate else [note]
    return values * SECONDS_OF[unit], [] if named or unit == "seconds" else [f"the time column was taken for {unit}"]


def _unit_in(title: str) -> str:
    """The unit that a header names, or ""."""
    words = re.sub("([a-z])([A-Z])", r"\1 \2", title).lower()
    for unit, signs in (
        ("milliseconds", r"\bms\b|_ms\b|milli|msec"), ("microseconds", r"\b[uµ]s\b|_us\b|micro"), ("nanoseconds", r"\bns\b|_ns\b|nano"),
        ("frame numbers", r"frame"), ("seconds", r"sec|\(s\)|_s\b"),
    ):  # fmt: skip
        if re.search(signs, words):
            return unit
    return ""


def _skips_labels(codes: Codes, count: int) -> bool:
    """Whether every minute that is seen to begin, but tenths, begins with label 2 (4 of 60): drop-frame written with colons."""
    if count not in (30, 60):
        return False
    begins = np.flatnonzero((np.diff(codes.whole) == 1) & (codes.whole[1:] % 60 == 0) & (codes.whole[1:] % 600 != 0)) + 1
    before = count - codes.field[begins - 1]
    skipped = np.floor(codes.field[begins]) == 2 * count // 30
    return bool(len(begins) and (skipped & (before <= 2)).all())


def _over_midnight(clock: Array, day: float = DAY) -> Array:
    wraps = np.cumsum(np.concatenate([[0.0], np.diff(clock) < -day + LONGEST_PAUSE]))
    return np.asarray(clock + day * wraps)
