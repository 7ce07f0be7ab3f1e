"""Where motion comes from: motion files, mocap takes, videos, pictures and speech, all as ``MotionClip``."""

from __future__ import annotations

import mimetypes
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mimaface.face.pose import neutral_for
from mimaface.pictures import is_picture
from mimaface.protocol.arrays import Array
from mimaface.protocol.driver_files import FILMS, KINDS, SOUNDS, TIMINGS, ends
from mimaface.protocol.errors import InvalidInput, InvalidMotion
from mimaface.protocol.motion import BRIDGE, MotionClip
from mimaface.protocol.texts import shown, shown_list

from .archives import ZIP, refuse_packed
from .containers import is_sound
from .live_link import read_live_link_csv
from .reading import Progress, ReadingSettings
from .recordings import read_recording, reader_of
from .retarget import RetargetSettings, retarget
from .speech.timings import is_timings
from .table import LARGEST_FILE, decoded

if TYPE_CHECKING:
    from mimaface.face.fit import FittedFace

__all__ = ["Progress", "ReadingSettings", "RetargetSettings", "motion_steps", "open_motion", "retarget", "sound_file", "spoken"]

TABLES = (".csv", ".tsv")  # read as tables whatever they contain, so that an error names what is wrong in the table


def motion_steps(
    path: Path,
    settings: RetargetSettings | None = None,
    progress: Progress | None = None,
    reading: ReadingSettings | None = None,
    fit: FittedFace | None = None,
) -> Iterator[MotionClip | None]:
    """Read ``path`` by its content: None after every frame of a video or picture of a folder, the retargeted motion last.

    fit: of the portrait that the motion will move. A neutral "auto" then is the frame that shows it, if one does: see
    :mod:`mimaface.face.pose`.
    """
    reading, settings = reading or ReadingSettings(), settings or RetargetSettings()
    neutral = fit.landmarks if fit is not None and settings.neutral in ("", "auto") else settings.neutral_frame
    clip: MotionClip | None = None
    try:
        if not path.is_file() and not path.is_dir():
            what = "not a file" if path.exists() else "no such file"
            raise InvalidInput(f"cannot read {shown(path)}: {what}", "check the path")
        start = b"" if path.is_dir() else _beginning(path)
        refuse_packed(path, start)
        if path.is_dir():
            from .pictures import folder_steps

            for clip in folder_steps(path, reading.timecode_rate, progress or _untold, neutral):
                if clip is None:
                    yield None
        elif is_picture(path.name, start):
            from .pictures import picture_steps

            for clip in picture_steps(path, progress or _untold, neutral):
                if clip is None:
                    yield None
        elif is_timings(decoded(start, whole=False) or ""):
            clip = _read_timings(path, reading)
        elif (reader := reader_of(path.name, start)) is not None:
            clip = read_recording(reader, path.read_bytes(), path.name, reading)
        elif start.startswith(ZIP) or path.suffix.lower() == ".npz":
            clip = MotionClip.load(path)
        elif (text := decoded(start, whole=False)) is not None or path.suffix.lower() in TABLES:
            clip = _read_table(path, text or "", reading)
    except OSError as error:
        raise InvalidMotion(f"cannot read {shown(path)}: {error.strerror}", "check the path") from error
    if clip is None:
        for clip in _heard_or_seen(path, progress or _untold, reading, neutral):
            if clip is None:
                yield None
    assert clip is not None
    if fit is not None and (settings.neutral or clip.meta["neutral"]) == "auto" and (frame := neutral_for(fit.landmarks, clip)) is not None:
        settings = replace(settings, neutral=frame)
    yield retarget(_with_holes_said(clip), settings)


def _heard_or_seen(path: Path, progress: Progress, reading: ReadingSettings, neutral: int | Array | None) -> Iterator[MotionClip | None]:
    """Reads speech where a file has no pictures or its sound is chosen, else the face of a video."""
    if reading.sound or is_sound(path):
        from .speech import speech_steps

        return speech_steps(path, reading, progress)
    from .video import track_steps

    return track_steps(path, progress, neutral)


def spoken(text: str, settings: RetargetSettings, reading: ReadingSettings) -> MotionClip:
    """The retargeted motion of visemes or phones, the ``text`` of a TextGrid that was edited. Raises :class:`InvalidMotion`."""
    from .speech import phones_motion

    return retarget(phones_motion(text, "the visemes", None, reading), settings)


def sound_file(path: Path) -> Path:
    """The file whose sound belongs to a motion that was read from ``path``: beside the times of phones the sound of that name, and beside a
    table the video of that name, as Live Link Face records one with each take; else ``path``.
    """
    endings = SOUNDS if ends(path.name, TIMINGS) else FILMS if ends(path.name, TABLES) else ()
    beside = (path.with_suffix(ending) for ending in endings)
    return next((found for found in beside if found.is_file()), path)


def open_motion(
    path: Path | str,
    settings: RetargetSettings | None = None,
    progress: Progress | None = None,
    reading: ReadingSettings | None = None,
    fit: FittedFace | None = None,
) -> MotionClip:
    """:func:`motion_steps` at one go. Raises :class:`InvalidMotion` or :class:`InvalidInput`."""
    *_, clip = motion_steps(Path(path), settings, progress, reading, fit)
    assert clip is not None
    return clip


def _beginning(path: Path) -> bytes:
    if not path.stat().st_size:  # of the system's own files, too, some of which never answer
        raise InvalidMotion(f"{path.name}: the file is empty", "export the take again, or choose another file")
    with path.open("rb") as file:
        return file.read(1 << 16)


def _untold(stage: str, done: int, total: int) -> None:
    """Ignores progress."""


def _read_timings(path: Path, reading: ReadingSettings) -> MotionClip:
    """The phones that another program has found, with the loudness of the sound beside them, if there is one."""
    from .speech import timed_motion

    sound = sound_file(path)
    return timed_motion(path, sound if sound != path else None, reading)


def _read_table(path: Path, start: str, reading: ReadingSettings) -> MotionClip:
    """A text file: a take, whatever it is called; other texts are never given to the reader of videos, which would follow links."""
    if path.suffix.lower() not in TABLES and "jawopen" not in re.sub("[^a-z]", "", start.lower()):
        kind = "sound" if ends(path.name, SOUNDS) else (mimetypes.guess_type(path.name)[0] or "").partition("/")[0]
        if kind in ("video", "sound"):
            raise InvalidInput(f"{path.name}: cannot be read as a {kind} (it is a text)", KINDS)
        raise InvalidMotion(f"{path.name}: this kind of file is not known", KINDS)
    if path.stat().st_size > LARGEST_FILE:
        raise InvalidMotion(f"{path.name}: {path.stat().st_size >> 20} MB are too large for a take", "export a shorter take")
    return read_live_link_csv(path.read_bytes(), path.name, reading)


def _with_holes_said(clip: MotionClip) -> MotionClip:
    holes = clip.holes()
    if len(holes) == 0 or "format" not in clip.meta:
        return clip
    spans = clip.time[holes + 1] - clip.time[holes]
    longest = holes[int(np.argmax(spans))]
    places = f"{len(holes)} place{'s' if len(holes) > 1 else ''}"
    note = (
        f"frames are missing in {places}, the longest from {clip.time[longest]:.2f} s to {clip.time[longest + 1]:.2f} s: "
        f"bridged across {BRIDGE:g} s and less, otherwise held"
    )
    return clip.but(meta={**clip.meta, "warnings": shown_list([*clip.meta.get("warnings", []), note])})
