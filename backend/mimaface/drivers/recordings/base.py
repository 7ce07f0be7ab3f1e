"""Interface of recording readers, and the steps common to all: increasing times, filled gaps, warnings."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from mimaface.drivers.reading import ReadingSettings
from mimaface.drivers.timecode import OPTION
from mimaface.face.gaps import fill_gaps
from mimaface.protocol.arkit import BLENDSHAPE_NAMES
from mimaface.protocol.arrays import Array
from mimaface.protocol.errors import InvalidMotion
from mimaface.protocol.gaze import gaze_from_blendshapes
from mimaface.protocol.motion import MotionClip
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
        if not self.face.any():
            raise InvalidMotion(f"{name}: no frame of the recording has a face", "use one in which the face is seen")
        rising = np.concatenate([[True], np.diff(np.maximum.accumulate(self.time)) > 0])
        warnings = list(self.warnings)
        if not rising.all():
            warnings.append(f"{int((~rising).sum())} frames whose time does not rise were left out")
        time, face = self.time[rising] - self.time[0], self.face[rising]
        count = len(time)
        weights = np.zeros((count, len(BLENDSHAPE_NAMES))) if self.blendshapes is None else self.blendshapes[rising]
        head = np.broadcast_to(np.eye(3), (count, 3, 3)) if self.head is None else self.head[rising]
        position = np.full((count, 3), np.nan) if self.position is None else self.position[rising]
        gaze = gaze_from_blendshapes(weights) if self.gaze is None else self.gaze[rising]
        looks = self.gaze is not None or self.blendshapes is not None
        valid = np.stack([face, face & (self.head is not None), face & looks], axis=1)
        finite = np.isfinite(weights).all(1) & np.isfinite(head).all((1, 2)) & np.isfinite(gaze).all((1, 2))
        if not finite[face].all():
            raise InvalidMotion(f"{name}: frame {int(np.argmin(finite | ~face))}: a value is not a number", "export the recording again")
        seen = face[:, None]
        clip = MotionClip(
            time=time, blendshapes=np.where(seen, weights, 0.0), head_quat=matrix_to_quaternion(np.where(seen[..., None], head, np.eye(3))),
            head_pos=position, gaze=np.where(seen[..., None], gaze, 0.0), valid=valid, confidence=valid.astype(float),
            expression_bfm=None if self.expression is None else self.expression[rising],
            meta={"source": name, "format": form, "neutral": "auto"},
        )  # fmt: skip
        clip, bridged = fill_gaps(clip)
        return clip.but(meta={**clip.meta, "warnings": shown_list([*warnings, *bridged])})


def json_of(content: bytes, name: str) -> Any:
    """Returns the value of a JSON file, or the list of those of JSON Lines, one on each. Raises :class:`InvalidMotion` with ``name``."""
    text = content.decode("utf-8-sig", "replace")
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        try:
            return [json.loads(line) for line in text.splitlines() if line.strip()]
        except (ValueError, RecursionError):
            raise InvalidMotion(f"{name}: the JSON cannot be read ({error})", "export the recording again") from error


def at_rate(frames: int, stated: float, settings: ReadingSettings, default: float) -> tuple[Array, list[str]]:
    """Returns times (T,) of evenly spaced frames and warnings. The rate is the user's, else the file's (``stated``, 0: none), else
    ``default`` with a warning.
    """
    rate = settings.timecode_rate or stated or default
    guessed = not settings.timecode_rate and not stated
    note = f"the file has no frame rate: {default:g} frames a second are assumed; {OPTION} changes that"
    return np.arange(frames) / rate, [note] if guessed else []
