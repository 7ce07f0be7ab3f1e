"""Interface of recording readers, and the steps common to all: increasing times, filled gaps, warnings."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from mimaface.drivers.reading import ReadingSettings
from mimaface.drivers.timecode import OPTION, rising, seconds_of
from mimaface.face.gaps import fill_gaps
from mimaface.protocol.arkit import BLENDSHAPE_NAMES
from mimaface.protocol.arrays import Array
from mimaface.protocol.blendshapes import gaze_from_blendshapes
from mimaface.protocol.errors import InvalidMotion
from mimaface.protocol.motion import FASTEST, SLOWEST, MotionClip
from mimaface.protocol.motion_files import MAX_FRAMES
from mimaface.protocol.rotation import matrix_to_quaternion
from mimaface.protocol.texts import shown_list

# between axes of computer vision (y down, z away from the viewer) and docs/CONVENTIONS.md
VISION_AXES = np.diag([1.0, -1.0, -1.0])


@dataclass(frozen=True)
class Reader:
    """One kind of recording. ``recognises`` decides by the file's name and first 64 KB, without false positives; ``read``
    receives the whole file.

    ``read`` raises :class:`InvalidMotion`, and may raise anything for damaged content, which :func:`read_recording` converts.
    """

    name: str
    recognises: Callable[[str, bytes], bool]
    read: Callable[[bytes, str, ReadingSettings], MotionClip]


@dataclass(frozen=True, eq=False)
class Recorded:
    """Content of a file over T frames.

      time (T,)             seconds
      face (T,)             whether a face was tracked
      blendshapes (T, 52)   None if the file has none
      head (T, 3, 3)        head → camera, or None
      position (T, 3)       metres, camera frame, or None
      gaze (T, 2, 2)        as in ``MotionClip``; None to derive it from the blendshapes
      warnings              sentences about assumptions and omissions
      expression (T, 64)    of the Basel face, or None
    """

    time: Array
    face: Array
    blendshapes: Array | None
    head: Array | None
    position: Array | None
    gaze: Array | None
    warnings: list[str]
    expression: Array | None = None

    def clip(self, name: str, form: str) -> MotionClip:
        """Returns the motion. Raises :class:`InvalidMotion` for a recording without frames or without a face."""
        if not 0 < len(self.time) <= MAX_FRAMES:
            raise InvalidMotion(f"{name}: the recording has {len(self.time)} frames", f"use one of 1 to {MAX_FRAMES}")
        time, kept, notes = rising(self.time, [f"frame {index}" for index in range(len(self.time))], name)
        face, warnings = self.face[kept], [*self.warnings, *notes]
        count = len(time)
        weights = np.zeros((count, len(BLENDSHAPE_NAMES))) if self.blendshapes is None else self.blendshapes[kept]
        head = np.broadcast_to(np.eye(3), (count, 3, 3)) if self.head is None else self.head[kept]
        position = np.full((count, 3), np.nan) if self.position is None else self.position[kept]
        gaze = gaze_from_blendshapes(weights) if self.gaze is None else self.gaze[kept]
        looks = self.gaze is not None or self.blendshapes is not None
        valid = np.stack([face, face & (self.head is not None), face & looks], axis=1)
        tracks = weights, head, gaze
        endless = np.any([np.isinf(track).any(axis=tuple(range(1, track.ndim))) for track in tracks], axis=0) & face
        if endless.any():
            raise InvalidMotion(f"{name}: frame {kept[int(np.argmax(endless))]}: a value is not a number", "export the recording again")
        valid &= np.stack([~np.isnan(track).any(axis=tuple(range(1, track.ndim))) for track in tracks], axis=1)
        if not valid[:, 0].any():
            raise InvalidMotion(f"{name}: no frame of the recording has a face", "use one in which the face is seen")
        clip = MotionClip(
            time=time, blendshapes=np.where(valid[:, :1], weights, 0.0),
            head_quat=matrix_to_quaternion(np.where(valid[:, 1, None, None], head, np.eye(3))),
            head_pos=position, gaze=np.where(valid[:, 2, None, None], gaze, 0.0), valid=valid, confidence=valid.astype(float),
            expression_bfm=None if self.expression is None else self.expression[kept],
            meta={"source": name, "format": form, "neutral": "auto"},
        )  # fmt: skip
        clip, bridged = fill_gaps(clip)
        return clip.but(meta={**clip.meta, "warnings": shown_list([*warnings, *bridged])})


def json_of(content: bytes, name: str) -> tuple[Any, list[str]]:
    """Returns the value of a JSON file, or the list of those of JSON Lines, one on each, and a warning where the last line was cut off.

    Raises :class:`InvalidMotion` with ``name``.
    """
    text = content.decode("utf-8-sig", "replace")
    try:
        return json.loads(text), []
    except (ValueError, RecursionError) as error:
        lines, values = [line for line in text.splitlines() if line.strip()], []
        for line in lines:
            try:
                values.append(json.loads(line))
            except (ValueError, RecursionError):
                break
        if len(values) == len(lines) or 0 < len(values) == len(lines) - 1:
            return values, [] if len(values) == len(lines) else ["the last line is incomplete and was left out: the file may have been cut off"]
        raise InvalidMotion(f"{name}: the JSON cannot be read ({error})", "export the recording again") from error


def stated_times(values: list[Any], title: str, name: str, settings: ReadingSettings) -> tuple[Array, list[str]] | None:
    """Returns seconds (T,) and warnings from what each frame says of its time under ``title``, in any unit or notation; None where one does
    not."""
    texts = [str(value) for value in values if isinstance(value, (int, float, str)) and not isinstance(value, bool)]
    if len(texts) != len(values) or not texts:
        return None
    try:
        return seconds_of(texts, list(range(len(texts))), name, title, settings.timecode_rate)
    except InvalidMotion:
        return None


def at_rate(frames: int, stated: float, settings: ReadingSettings, default: float) -> tuple[Array, list[str]]:
    """Returns times (T,) of evenly spaced frames and warnings. The rate is the user's, else the file's (``stated``, 0: none), else
    ``default`` with a warning.
    """
    stated = stated if SLOWEST <= stated <= FASTEST else 0.0
    rate = settings.timecode_rate or stated or default
    guessed = not settings.timecode_rate and not stated
    note = f"the file has no frame rate: {default:g} frames a second are assumed; {OPTION} changes that"
    return np.arange(frames) / rate, [note] if guessed else []
