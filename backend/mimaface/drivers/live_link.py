"""Live Link Face CSV, as Epic's iPhone app writes it, to and from ``MotionClip``.

Signs in the file: eyes in radians, yaw + to the subject's right, pitch + down; head yaw + left, pitch + up, roll + toward the
subject's right shoulder (documented nowhere: flip ``head_roll`` where a recording says otherwise).
"""

from __future__ import annotations

import csv
import io
import logging
import re
from dataclasses import dataclass

import numpy as np

from mimaface.face.gaps import fill_gaps
from mimaface.protocol.arkit import BLENDSHAPE_NAMES
from mimaface.protocol.arrays import Array
from mimaface.protocol.blendshapes import gaze_from_blendshapes
from mimaface.protocol.errors import InvalidMotion
from mimaface.protocol.motion import MotionClip
from mimaface.protocol.rotation import head_angles_to_matrix, matrix_to_head_angles, matrix_to_quaternion, quaternion_to_matrix
from mimaface.protocol.texts import shown, shown_list, some

from .columns import COUNT, POSES, as_shares, in_radians, known_column, largest_of, number_of, time_column
from .reading import ReadingSettings
from .table import Table, read_table
from .timecode import DEFAULT_RATE as TICKS
from .timecode import OPTION, rising, seconds_of

log = logging.getLogger(__name__)
COLUMNS = {name: name[0].upper() + name[1:] for name in BLENDSHAPE_NAMES}
OPTIONAL_BLENDSHAPES = {"tongueOut"}  # some exports count 51
EYES = [pose for pose in POSES[3:] if not pose.endswith("Roll")]  # the rolls of eyes are not needed
FEWEST_KNOWN = 10  # names of blendshapes that make a row a header; rows of numbers have none


def read_live_link_csv(content: bytes, name: str, settings: ReadingSettings = ReadingSettings()) -> MotionClip:
    """A take in the layout of Live Link Face, also of other writers: see ``columns``, ``table``, ``timecode`` and ``units``.

    Rows without a face take what their neighbours show. What was guessed or left out is said in ``meta["warnings"]``.
    Raises :class:`InvalidMotion` that names line and column.
    """
    table = read_table(content, name, _is_header)
    layout = Layout.of(table.header, table.line, name)
    rows = _read_rows(table, layout, name)
    warnings = [*layout.notes, *rows.notes]
    if layout.time is None:
        time = np.arange(len(rows.lines)) / (settings.timecode_rate or TICKS)
        if not settings.timecode_rate:
            warnings.append(f"the file has no time column: {TICKS} rows a second are assumed; {OPTION} changes that")
    else:
        title = table.header[layout.time]
        time, notes = seconds_of(rows.times, rows.lines, name, title, settings.timecode_rate)
        warnings += notes
    time, kept, notes = rising(time, [f"line {line}" for line in rows.lines], name, rows.fresh)
    warnings += notes
    values, face = rows.values[kept], rows.face[kept]
    blendshapes, notes = as_shares(values[:, : len(BLENDSHAPE_NAMES)], settings.values)
    warnings += notes
    angles = values[:, len(BLENDSHAPE_NAMES) :]
    head, eyes, notes = in_radians(angles[:, :3], angles[:, 3:].reshape(-1, 2, 2), time, settings.angles)
    warnings += notes
    has_head, has_eyes = largest_of(head) > 0, largest_of(eyes) > 0
    if not has_head:
        warnings.append("the head columns are empty or missing: the head stays still")
    turned = face & np.isfinite(head).all(axis=1) & has_head
    looking = face & (np.isfinite(eyes).all(axis=(1, 2)) if has_eyes else True)
    valid = np.stack([face, turned, looking], axis=1)
    clip = MotionClip(
        time=time,
        blendshapes=np.where(face[:, None], blendshapes, 0.0),
        head_quat=matrix_to_quaternion(head_angles_to_matrix(np.where(turned[:, None], head, 0.0) * [1, 1, -1])),
        head_pos=np.full((len(time), 3), np.nan),
        gaze=np.where(looking[:, None, None], -eyes if has_eyes else gaze_from_blendshapes(blendshapes), 0.0),
        valid=valid,
        confidence=valid.astype(float),
        meta={"source": name, "format": "live_link_face", "neutral": "auto", "timecode": rows.times[0] if rows.times else ""},
    )
    if not face.any():
        raise InvalidMotion(f"{name}: no row of the take has a face", "use a take in which the face is seen")
    clip, bridged = fill_gaps(clip)
    warnings += bridged
    for text in warnings:
        log.info("%s: %s", shown(name), shown(text))
    return clip.but(meta={**clip.meta, "warnings": shown_list(warnings)})


def write_live_link_csv(clip: MotionClip) -> bytes:
    """The clip in the same format; what the format cannot say (position, validity) is lost."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["Timecode", COUNT, *COLUMNS.values(), *POSES])
    head = matrix_to_head_angles(quaternion_to_matrix(clip.head_quat)) * [1, 1, -1]
    zero = np.zeros((len(clip), 1))
    eyes = np.concatenate([-clip.gaze[:, 0], zero, -clip.gaze[:, 1], zero], axis=1)
    values = np.concatenate([clip.blendshapes, head, eyes], axis=1)
    for seconds, row in zip(clip.time, values):
        whole, thousandths = divmod(round(seconds * TICKS * 1000), TICKS * 1000)
        ticks, rest = divmod(thousandths, 1000)
        clock = f"{whole // 3600 % 24:02d}:{whole // 60 % 60:02d}:{whole % 60:02d}:{ticks:02d}.{rest:03d}"
        writer.writerow([clock, len(BLENDSHAPE_NAMES), *(f"{value:.8f}" for value in row)])
    return out.getvalue().encode()


@dataclass(frozen=True)
class Layout:
    """Where the columns of a header are: indexes of time, count, and those wanted (52 blendshapes, head, eyes), −1 where there is none."""

    width: int
    time: int | None
    count: int | None
    wanted: tuple[int, ...]
    notes: tuple[str, ...]

    @classmethod
    def of(cls, header: list[str], line: int, name: str) -> Layout:
        """Raises :class:`InvalidMotion` when a column is there twice, the jaw's is missing, or most of the blendshapes' are."""
        time = time_column(header)
        titles = [known_column(title) if index != time else "" for index, title in enumerate(header)]
        place: dict[str, int] = {}
        for index, title in enumerate(titles):
            if title in place:
                raise InvalidMotion(
                    f"{name}: line {line}: column {shown(header[index], 40)} is there twice", "remove one of the two columns"
                )
            if title:
                place[title] = index
        for index, title in enumerate(header):  # of a head that is not called one
            if title.capitalize() in ("Yaw", "Pitch", "Roll") and f"Head{title.capitalize()}" not in place:
                titles[index] = f"Head{title.capitalize()}"
                place[titles[index]] = index
        missing = [blendshape for blendshape in BLENDSHAPE_NAMES if blendshape not in place]
        if "jawOpen" in missing or len(missing) * 2 > len(BLENDSHAPE_NAMES):
            first = COLUMNS["jawOpen" if "jawOpen" in missing else missing[0]]
            more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
            raise InvalidMotion(
                f"{name}: line {line}: column {first}{more} is missing",
                "the first line must name the columns as Live Link Face does: Timecode, EyeBlinkLeft, JawOpen, HeadYaw …",
            )
        notes = []
        other = [title for index, (title, known) in enumerate(zip(header, titles)) if not known and index != time and title]
        other = [title for title in other if time_column([title]) is None]
        if other:
            notes.append(f"not known and left out: column {some(other)}")
        absent = [COLUMNS[blendshape] for blendshape in missing if blendshape not in OPTIONAL_BLENDSHAPES]
        if absent:
            notes.append(f"no column, so 0 is used: {some(absent)}")
        if 0 < sum(pose in place for pose in EYES) < len(EYES):
            notes.append("not all columns of the eyes are there: gaze is taken from the EyeLook columns")
            place = {title: index for title, index in place.items() if title not in EYES}
        wanted = [*BLENDSHAPE_NAMES, *POSES[:3], *EYES]
        return cls(len(header), time, place.get(COUNT), tuple(place.get(title, -1) for title in wanted), tuple(notes))


@dataclass(frozen=True, eq=False)
class Rows:
    """What was read of T rows: lines, times as written, values (T, 59) with NaN for empty cells, where a face was (T,), and where
    a header was repeated just before (T,)."""

    lines: list[int]
    times: list[str]
    values: Array
    face: Array
    fresh: Array
    notes: list[str]


def _is_header(cells: list[str]) -> bool:
    return sum(known_column(cell) in COLUMNS for cell in cells) >= FEWEST_KNOWN


def _read_rows(table: Table, layout: Layout, name: str) -> Rows:
    lines: list[int] = []
    times: list[str] = []
    values: list[Array] = []
    fresh: list[bool] = []
    headers = untimed = short = longer = 0
    again = False
    lacking, shorter = 0, False  # of the file's last line, if it is a row: cells too few; its last cell is the shortest of all
    least = 0  # letters of the last cell, of all rows
    for line, cells in table.rows:
        lacking, shorter = 0, False
        if cells[0][:1].isalpha() and _is_header(cells):
            layout, headers, again = Layout.of(cells, line, name), headers + 1, True
            continue
        if _is_remark(cells, layout):
            continue
        when = "" if layout.time is None or layout.time >= len(cells) else cells[layout.time]
        if layout.time is not None and not when:
            untimed += 1
            continue
        lost = layout.count is not None and layout.count < len(cells) and cells[layout.count] in ("0", "0.0")
        lacking = 0 if lost else max(0, layout.width - len(cells))
        short += lacking > 0 and len(cells) > 2
        longer += any(cells[layout.width :])
        row = None if lost or len(cells) < layout.width else _row(cells, layout, line, name)
        letters = len(cells[-1])
        shorter, least = letters < least, min(least or letters, letters)
        lines.append(line)
        times.append(when)
        values.append(np.full(len(layout.wanted), np.nan) if row is None else row)
        fresh.append(again)
        again = False
    notes = [f"{headers} repeated headers were left out"] if headers else []
    if untimed:
        notes.append(f"{untimed} rows without a time were left out")
    partly = lacking > 0 and len(cells) > 2
    cut = partly or (not table.ended and (lacking > 0 or shorter))
    if cut:
        notes.append("the last line is incomplete and was left out: the file may have been cut off")
        short -= partly
        for items in (lines, times, values, fresh):
            items.pop()
    if not lines:
        what = "whole frame" if cut else "frames"
        raise InvalidMotion(f"{name}: the take has no {what}", "export the take again")
    if longer * 2 > len(lines):
        raise InvalidMotion(
            f"{name}: the rows have more cells than the header has names, so which is which cannot be known",
            "name every column in the first line; where commas separate columns, write numbers with a point: 0.5",
        )
    if short:
        notes.append(f"{short} lines are incomplete and were left out")
    numbers = np.array(values)
    face, empty = _faces(numbers[:, : len(BLENDSHAPE_NAMES)])
    if empty:
        notes.append(f"no values, so 0 is used: column {some(empty)}")
    return Rows(lines, times, numbers, face, np.array(fresh), notes)


def _faces(shapes: Array) -> tuple[Array, list[str]]:
    """Whether each row (T,) has all its blendshapes (T, 52); and the columns that have none in the whole take, in which 0 is put."""
    known = np.isfinite(shapes)
    tracked = known.any(axis=1)
    empty = ~known.any(axis=0) & tracked.any()
    shapes[np.ix_(tracked, empty)] = 0.0
    return np.asarray(np.isfinite(shapes).all(axis=1)), [COLUMNS[BLENDSHAPE_NAMES[index]] for index in np.flatnonzero(empty)]


def _is_remark(cells: list[str], layout: Layout) -> bool:
    """Whether a row is a comment, or tells units: it has no time, and words where numbers belong."""
    if cells[0].startswith(("#", "//")) and len(cells) < layout.width:
        return True
    if layout.time is None or layout.time >= len(cells) or re.search(r"\d", cells[layout.time]):
        return False
    return any(number_of(cells[index]) is None for index in layout.wanted if 0 <= index < len(cells))


def _row(cells: list[str], layout: Layout, line: int, name: str) -> Array:
    """The wanted values of a row: 0 where there is no column, NaN in cells without a value."""
    try:
        row = np.array([float(cells[index]) if index >= 0 else 0.0 for index in layout.wanted])
    except ValueError:
        numbers = [number_of(cells[index]) if index >= 0 else 0.0 for index in layout.wanted]
        row = np.array([np.inf if number is None else number for number in numbers])
    odd = np.isinf(row)
    if odd.any():
        index = layout.wanted[int(np.argmax(odd))]
        title = [*COLUMNS.values(), *POSES[:3], *EYES][int(np.argmax(odd))]
        raise InvalidMotion(
            f"{name}: line {line}: column {title}: {shown(cells[index], 20)!r} is not a number", "correct or delete the line"
        )
    return row
