"""Recordings of iFacialMocap and Facemotion3d: one frame per line, in the format of their streams
(``streams/ifacialmocap.py``)."""

from __future__ import annotations

import re
from dataclasses import replace

from mimaface.drivers.reading import ReadingSettings
from mimaface.drivers.streams.base import Sample, UnknownPacket
from mimaface.drivers.streams.ifacialmocap import IFacialMocap
from mimaface.drivers.streams.recording import Recording
from mimaface.drivers.table import decoded
from mimaface.protocol.errors import InvalidMotion
from mimaface.protocol.motion import MotionClip
from mimaface.protocol.motion_files import MAX_FRAMES

from .base import Reader, at_rate

DEFAULT_RATE = 60.0  # frames per second at which both apps record
RATE = re.compile(r"(?i)\b(?:fps|frame ?rate)\W{1,3}([0-9.]+)")


def _recognises(name: str, start: bytes) -> bool:
    text = decoded(start, whole=False) or ""
    return any(line.count("|") > 20 and ("head#" in line or re.search(r"jawOpen\s*[&-]", line)) for line in text.splitlines()[:20])


def _read(content: bytes, name: str, settings: ReadingSettings) -> MotionClip:
    text = decoded(content)
    if text is None:
        raise InvalidMotion(f"{name}: not a text file", "choose the .txt that the app wrote")
    decoder, samples, other, rate = IFacialMocap(), list[Sample](), 0, 0.0
    lines = [line for line in text.splitlines() if line.strip()]
    cut = len(lines) > 1 and not text.endswith("\n") and lines[-1].count("|") < lines[-2].count("|")
    for line in lines[:-1] if cut else lines:
        try:
            sample = decoder.decode(line.strip().encode("ascii", "replace"), 0.0)
        except UnknownPacket:
            found = RATE.search(line)
            rate, other = (float(found[1]), other) if found and not samples else (rate, other + 1)
            continue
        if sample is not None:
            samples.append(sample)
    time, warnings = at_rate(len(samples), rate, settings, DEFAULT_RATE)
    if cut:
        warnings.append("the last line is incomplete and was left out: the file may have been cut off")
    if other:
        warnings.append(f"{other} lines are no frames of iFacialMocap, and were left out")
    recording = Recording()
    if not all(recording.add(replace(sample, seconds=seconds)) for seconds, sample in zip(time.tolist(), samples)):
        raise InvalidMotion(f"{name}: the recording has {len(samples)} frames", f"use one of 1 to {MAX_FRAMES}")
    clip = recording.finish(name)
    return clip.but(meta={**clip.meta, "format": "ifacialmocap", "warnings": [*warnings, *clip.meta["warnings"]]})


READER = Reader("iFacialMocap or Facemotion3d", _recognises, _read)
