"""Live Link Face CSV, as Epic's iPhone app writes it, to and from ``MotionClip``.

Signs in the file: eyes in radians, yaw + to the subject's right, pitch + down; head yaw + left, pitch + up, roll + toward the
subject's right shoulder (documented nowhere: flip ``head_roll`` where a recording says otherwise).
"""

from __future__ import annotations

import csv
import io
import logging
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mimaface.protocol.arkit import ACTION_NAMES
from mimaface.protocol.errors import InvalidMotion
from mimaface.protocol.gaze import gaze_from_actions
from mimaface.protocol.motion import MotionClip
from mimaface.protocol.rotation import head_angles_to_matrix, matrix_to_head_angles, matrix_to_quaternion, quaternion_to_matrix

Array = NDArray[Any]
log = logging.getLogger(__name__)
POSES = [f"{part}{axis}" for part in ("Head", "LeftEye", "RightEye") for axis in ("Yaw", "Pitch", "Roll")]
COLUMNS = {name: name[0].upper() + name[1:] for name in ACTION_NAMES}
OPTIONAL_ACTIONS = {"tongueOut"}  # some exports count 51
DAY, LONGEST_PAUSE = 86400.0, 3600.0  # seconds; a clock that falls back by less than a day and an hour did not pass midnight
TICKS = 60  # the frame field counts sixtieths of a second, also in takes at 30 frames a second


def read_live_link_csv(content: bytes, name: str) -> MotionClip:
    """Raises :class:`InvalidMotion` that names line and column. Unknown columns are reported in ``meta["warnings"]``."""
    header, rows = _table(content, name)
    place = {column: index for index, column in enumerate(header)}
    missing = [column for action, column in COLUMNS.items() if column not in place and action not in OPTIONAL_ACTIONS]
    missing += [column for column in ("Timecode", *POSES) if column not in place]
    if missing:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise InvalidMotion(f"{name}: line 1: column {missing[0]}{more} is missing", "export the take again from Live Link Face")
    known = {"Timecode", "BlendShapeCount", *COLUMNS.values(), *POSES}
    warnings = [f"column {column} is not known and was left out" for column in header if column not in known]
    if len(header) != len(place):
        twice = next(column for column in header if header.count(column) > 1)
        raise InvalidMotion(f"{name}: line 1: column {twice} is there twice", "export the take again from Live Link Face")
    time = _times([row[place["Timecode"]] for _, row in rows], [line for line, _ in rows], name)
    fresh = np.concatenate([[True], np.diff(np.maximum.accumulate(time)) > 0])
    if not fresh.all():
        if fresh.sum() < 0.5 * len(fresh):
            line = rows[int(np.argmin(fresh))][0]
            raise InvalidMotion(f"{name}: line {line}: the timecode stands still or jumps back", "export the take again")
        warnings.append(f"{int((~fresh).sum())} frames with a repeated timecode were left out")
        time, rows = time[fresh], [row for row, good in zip(rows, fresh) if good]

    def column(title: str) -> Array:
        if title not in place:
            return np.zeros(len(rows))
        return np.array([_number(row[place[title]], name, line, title) for line, row in rows])

    def columns(*titles: str) -> Array:
        return np.stack([column(title) for title in titles], axis=1)

    actions = columns(*COLUMNS.values())
    head = columns("HeadYaw", "HeadPitch", "HeadRoll")
    eyes = np.stack([columns("LeftEyeYaw", "LeftEyePitch"), columns("RightEyeYaw", "RightEyePitch")], axis=1)
    has_head, has_eyes = bool(np.abs(head).max() > 0), bool(np.abs(eyes).max() > 0)
    if not has_head:
        warnings.append("the head columns are empty: the head stays still")
    for text in warnings:
        log.warning("%s: %s", name, text)
    valid = np.tile([True, has_head, True], (len(rows), 1))
    start = rows[0][1][place["Timecode"]]
    return MotionClip(
        time=time,
        actions=actions,
        head_quat=matrix_to_quaternion(head_angles_to_matrix(head * [1, 1, -1])),
        head_pos=np.full((len(rows), 3), np.nan),
        gaze=-eyes if has_eyes else gaze_from_actions(actions),
        valid=valid,
        confidence=valid.astype(float),
        meta={"source": name, "format": "live_link_face", "neutral": "auto", "timecode": start, "warnings": warnings},
    )


def write_live_link_csv(clip: MotionClip) -> bytes:
    """The clip in the same format; what the format cannot say (position, validity) is lost."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["Timecode", "BlendShapeCount", *COLUMNS.values(), *POSES])
    head = matrix_to_head_angles(quaternion_to_matrix(clip.head_quat)) * [1, 1, -1]
    zero = np.zeros((len(clip), 1))
    eyes = np.concatenate([-clip.gaze[:, 0], zero, -clip.gaze[:, 1], zero], axis=1)
    values = np.concatenate([clip.actions, head, eyes], axis=1)
    for seconds, row in zip(clip.time, values):
        whole, thousandths = divmod(round(seconds * TICKS * 1000), TICKS * 1000)
        ticks, rest = divmod(thousandths, 1000)
        clock = f"{whole // 3600 % 24:02d}:{whole // 60 % 60:02d}:{whole % 60:02d}:{ticks:02d}.{rest:03d}"
        writer.writerow([clock, len(ACTION_NAMES), *(f"{value:.8f}" for value in row)])
    return out.getvalue().encode()


def _table(content: bytes, name: str) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """Header and (line number, cells) of every row that has cells."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidMotion(
            f"{name}: not a text file (byte {error.start})", "choose the .csv that Live Link Face wrote"
        ) from error
    reader = csv.reader(io.StringIO(text))
    try:
        lines = [(reader.line_num, [cell.strip() for cell in row]) for row in reader if any(cell.strip() for cell in row)]
    except csv.Error as error:
        raise InvalidMotion(f"{name}: line {reader.line_num}: not valid CSV ({error})") from error
    if not lines:
        raise InvalidMotion(f"{name}: the file is empty", "export the take again")
    header = lines[0][1]
    if len(header) == 1 and header[0].count(";") > 5:
        raise InvalidMotion(f"{name}: the cells are separated by semicolons", "save the file with commas")
    if len(lines) == 1:
        raise InvalidMotion(f"{name}: the take has no frames", "export the take again")
    rows = [(line, cells) for line, cells in lines[1:] if len(cells) >= len(header)]
    short = [(line, cells) for line, cells in lines[1:] if len(cells) < len(header)]
    if short and (len(short) > 1 or short[0][0] != lines[-1][0]):
        line, cells = short[0]
        raise InvalidMotion(f"{name}: line {line}: {len(cells)} cells, the header has {len(header)}", "export the take again")
    if not rows:
        raise InvalidMotion(f"{name}: the take has no whole frame", "export the take again")
    return header, rows


def _number(text: str, name: str, line: int, column: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not np.isfinite(value):
        raise InvalidMotion(f"{name}: line {line}: column {column}: {text[:20]!r} is not a number", "correct or delete the line")
    return value


def _times(codes: list[str], lines: list[int], name: str) -> Array:
    """Seconds from the first frame (T,), across midnight; ``HH:MM:SS:FF.sub``."""
    seconds = []
    for code, line in zip(codes, lines):
        parts = code.replace(";", ":").split(":")
        try:
            hours, minutes, whole, ticks = (float(part) for part in parts)
            if not np.isfinite([hours, minutes, whole, ticks]).all():
                raise ValueError(code)
            seconds.append(hours * 3600 + minutes * 60 + whole + ticks / TICKS)
        except ValueError as error:
            raise InvalidMotion(f"{name}: line {line}: column Timecode: {code[:20]!r} is not HH:MM:SS:FF.sub") from error
    clock = np.array(seconds)
    wraps = np.cumsum(np.concatenate([[0.0], np.diff(clock) < -DAY + LONGEST_PAUSE]))
    return np.asarray(clock + DAY * wraps - clock[0])
