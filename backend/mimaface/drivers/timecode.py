"""Time columns of takes → seconds.

Reads ``HH:MM:SS:FF.sub`` and variants at any frame rate, drop-frame ``HH:MM:SS;FF``, ``HH:MM:SS.mmm``, dates with times, 12-hour
clocks, and plain numbers: seconds, milli-, micro- and nanoseconds, days of a spreadsheet, frame numbers.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

import numpy as np

from mimaface.protocol.arrays import Array
from mimaface.protocol.errors import InvalidMotion
from mimaface.protocol.texts import shown, some

DAY, LONGEST_PAUSE = 86400.0, 3600.0  # seconds. A clock that steps back by at least their difference passed midnight
DEFAULT_RATE = 60  # frames per second of Live Link Face's timecode, also in takes at 30: the default where a file is ambiguous
# frames per second that a frame field may count
FRAME_COUNTS = (10, 12, 15, 20, 24, 25, 30, 48, 50, 60, 72, 90, 96, 100, 120, 240, 1000)
USUAL_COUNTS = (24, 25, 30, 60, 100, 120, 240, 1000)  # the same where only the largest field is known
# Largest deviation of the step across a second's end from the usual step, as a share of it, or of one frame if that is more.
# Raised: uneven recordings are accepted, but counts that differ by one frame are confused.
STEP_TOLERANCE = 0.35
SURE_SECONDS = 3.0  # seconds of take from which the largest frame field decides the count
OPTION = "--timecode-rate (Blender: Timecode Rate)"
# unit of plain numbers by the largest typical step of each
UNITS = (
    ("days", 2e-5), ("seconds", 0.3), ("frame numbers", 4.5), ("milliseconds", 1e3), ("microseconds", 1e6), ("nanoseconds", math.inf),
)  # fmt: skip
# Times that a clock may be set back in a take, or the share of its frames if that is more; where it falls more often, they are in another order
MOST_SET_BACK, SHARE_SET_BACK = 2, 0.02
SET_BACK = 0.1, 2.5  # seconds, or usual steps if that is more, by which a clock that falls was set back; by less, one frame's time is wrong
UNIT = "(s|sec|seconds|ms|us|µs|ns)"  # behind a number
DATE = r"(\d{4}[-/.]\d{1,2}[-/.]\d{1,2}[T .]+|\d{1,2}[-/.]\d{1,2}[-/.]\d{2,4}\.? +|\d{8}T)(?=\d\d?:?\d\d)"
SECONDS_OF = {"days": DAY, "seconds": 1.0, "milliseconds": 1e-3, "microseconds": 1e-6, "nanoseconds": 1e-9}


@dataclass(frozen=True)
class Codes:
    """A split time column: whole seconds (T,), the field after them (T,), and the notation.

    kind: "frames" (``:FF``), "drop" (``;FF``), "digits" (two decimals, which may be frames), "clock" (decimals), "number" (no
    colon).
    """

    whole: Array
    field: Array
    kind: str


def seconds_of(
    texts: list[str], lines: list[int], name: str, title: str = "Timecode", rate: float = 0.0
) -> tuple[Array, list[str]]:
    """Returns seconds (T,), with any origin, and notes on ambiguities of the file.

    title: the column's header, which may contain a unit. rate: frames per second that the column counts; 0 detects it. Raises
    :class:`InvalidMotion` with the line number.
    """
    codes = _split(texts, lines, name, title)
    if codes.kind == "number":
        unit = re.search(rf"{UNIT}$", texts[0])
        title = f"{title} ({unit[1]})" if unit else title
        return _numbers(codes.whole, title, rate)
    if codes.kind == "clock":
        return _over_midnight(codes.whole + codes.field), []
    if codes.kind == "digits" and codes.field.max() >= (rate or 100):
        rate = 100.0  # hundredths of a second, whatever rate was given
    count, note = (math.ceil(rate - 1e-6), "") if rate else frames_per_second(codes)
    if codes.field.max() >= count:
        raise InvalidMotion(
            f"{name}: the frame field goes up to {codes.field.max():g}, so it does not count {rate:g} frames a second",
            f"leave {OPTION} out, or give what it counts",
        )
    exact = rate or float(count)
    if count in (30, 60) and (codes.kind == "drop" or _skips_labels(codes, count)):
        labels = 2 * count // 30  # skipped at the start of every minute except each tenth
        minutes = np.floor(codes.whole / 60)
        frames = codes.whole * count + codes.field - labels * (minutes - np.floor(minutes / 10))
        exact = exact if exact != count else count / 1.001
        return _over_midnight(frames / exact, (DAY * count - labels * 1296) / exact), []
    second = count / exact
    return _over_midnight((codes.whole + codes.field / count) * second, DAY * second), [note] if note else []


def rising(time: Array, places: list[str], name: str, begins: Array | None = None) -> tuple[Array, Array, list[str]]:
    """Returns times from 0 on that rise, the frames that are kept (K,), and notes, from times (T,) in the order of the file.

    What follows a clock that was set back (over an hour, by a restart) goes on where it was, as a second take in the same file does, which
    ``begins`` (T,) marks. places: such as "line 2", of each frame. Raises :class:`InvalidMotion` for a clock that stands still.
    """
    notes = []
    steps = np.diff(time)
    usual = float(np.median(steps[steps > 0])) if (steps > 0).any() else 1 / DEFAULT_RATE
    takes = (steps <= 0) & (False if begins is None else begins[1:])
    back = (steps < -max(SET_BACK[0], SET_BACK[1] * usual)) & ~takes
    few = ((steps < 0) & ~takes).sum() <= max(MOST_SET_BACK, SHARE_SET_BACK * len(time))
    if not few and not takes.any() and len(np.unique(time)) == len(time):
        order = np.argsort(time)
        return time[order] - time[order[0]], order, ["the frames were not in the order of their times, and have been sorted"]
    later = np.concatenate([[0.0], np.where(takes | (back & few), usual - steps, 0.0)])
    time = time + np.cumsum(later)
    if takes.any():
        notes.append(f"{takes.sum() + 1} takes are in the file: read one after the other")
    if few and back.any():
        where = some([places[index + 1] for index in np.flatnonzero(back)])
        notes.append(f"the clock is set back at {where}: what follows goes on where it was")
    fresh = np.concatenate([[True], np.diff(np.maximum.accumulate(time)) > 0])
    if fresh.sum() < 0.5 * len(fresh):
        raise InvalidMotion(
            f"{name}: {places[int(np.argmin(fresh))]}: the timecode stands still or jumps back",
            f"export the take again, or delete its times and give its rate with {OPTION}",
        )
    if not fresh.all():
        notes.append(f"{int((~fresh).sum())} frames with a repeated timecode were left out")
    return time[fresh] - time[0], np.flatnonzero(fresh), notes


def frames_per_second(codes: Codes) -> tuple[int, str]:
    """Returns the count of the frame field, and a note when the file is ambiguous.

    Only the right count makes the step across a second's end equal to the usual step; without such an end the largest field
    decides.
    """
    whole, field = codes.whole, codes.field
    largest = float(field.max())
    steps, ends = np.diff(field), np.diff(whole)
    inside = steps[(ends == 0) & (steps > 0)]
    over = np.flatnonzero(ends == 1)
    possible = [count for count in FRAME_COUNTS if count > largest]
    if len(inside) and len(over) and possible:
        usual = float(np.median(inside))
        off = np.array([np.abs(count - field[over] + field[over + 1] - usual) for count in possible])
        clean = (off <= STEP_TOLERANCE * max(usual, 1.0)).sum(axis=1)
        best = int(np.lexsort((np.minimum(off, usual).sum(axis=1), -clean))[0])
        if clean[best] * 2 >= len(over):
            return possible[best], ""
    span = float(whole.max() - whole.min())
    known = [count for count in USUAL_COUNTS if count > largest]
    if not known:
        return 1000, ""
    if codes.kind == "digits":
        return 100, ""
    if largest >= 30 or span >= SURE_SECONDS:
        return known[0], ""
    return DEFAULT_RATE, (
        f"the take is too short to say how many frames a second its timecode counts: {DEFAULT_RATE} are assumed, as in "
        f"takes of Live Link Face; {OPTION} changes that"
    )


def _split(texts: list[str], lines: list[int], name: str, title: str) -> Codes:
    rows: list[list[float]] = []
    codes = [_normalised(text) for text in texts]
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
    if most == 3 or (most == 2 and changing and all(end.isdecimal() for end in ends)):  # second case: MM:SS:FF
        return Codes(whole, last, "drop" if all(";" in code for code in codes) else "frames")
    whole = whole * 60 + np.floor(last)
    if all(re.fullmatch(r"\d+\.\d\d", end) for end in ends):
        return Codes(whole, np.array([float(end[-2:]) for end in ends]), "digits")
    return Codes(whole, last - np.floor(last), "clock")


def _normalised(text: str) -> str:
    """Returns the time alone on a 24-hour clock with a decimal point, without quotes, date, time zone and unit."""
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
    if unit == "frame numbers" and not named and (values % 1).any():
        unit = "seconds"
    if unit == "frame numbers" or (rate and not named and unit == "milliseconds"):
        note = f"the time column counts frames: {DEFAULT_RATE} a second are assumed; {OPTION} changes that"
        return values / (rate or DEFAULT_RATE), [] if rate else [note]
    return values * SECONDS_OF[unit], [] if named or unit == "seconds" else [f"the time column was read as {unit}"]


def _unit_in(title: str) -> str:
    """Returns the unit in a header, or ""."""
    words = re.sub("([a-z])([A-Z])", r"\1 \2", title).lower()
    for unit, signs in (
        ("milliseconds", r"\bms\b|_ms\b|milli|msec"), ("microseconds", r"\b[uµ]s\b|_us\b|micro"), ("nanoseconds", r"\bns\b|_ns\b|nano"),
        ("frame numbers", r"frame"), ("seconds", r"sec|\(s\)|_s\b"),
    ):  # fmt: skip
        if re.search(signs, words):
            return unit
    return ""


def _skips_labels(codes: Codes, count: int) -> bool:
    """Returns whether each recorded start of a minute, except tenths, has label 2 (4 at 60): drop-frame timecode written with
    colons.
    """
    if count not in (30, 60):
        return False
    begins = np.flatnonzero((np.diff(codes.whole) == 1) & (codes.whole[1:] % 60 == 0) & (codes.whole[1:] % 600 != 0)) + 1
    before = count - codes.field[begins - 1]
    skipped = np.floor(codes.field[begins]) == 2 * count // 30
    return bool(len(begins) and (skipped & (before <= 2)).all())


def _over_midnight(clock: Array, day: float = DAY) -> Array:
    wraps = np.cumsum(np.concatenate([[0.0], np.diff(clock) < -day + LONGEST_PAUSE]))
    return np.asarray(clock + day * wraps)
