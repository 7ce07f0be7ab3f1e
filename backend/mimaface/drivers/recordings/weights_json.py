"""Blendshapes by name as JSON: Audio2Face (``facsNames``, ``weightMat``; also Faceit) and Rokoko."""

from __future__ import annotations

from typing import Any

import numpy as np

from mimaface.drivers.columns import LARGEST_SHARE, as_shares
from mimaface.drivers.reading import ReadingSettings
from mimaface.drivers.streams.base import index_of
from mimaface.protocol.errors import InvalidMotion
from mimaface.protocol.motion import MotionClip
from mimaface.protocol.texts import some

from .base import Reader, Recorded, at_rate, json_of, stated_times

DEFAULT_RATE = 60.0  # frames per second of both programs


def _recognises(name: str, start: bytes) -> bool:
    text = start.lstrip(b"\xef\xbb\xbf \t\r\n")
    if text[:1] not in (b"{", b"["):
        return False
    return (b'"facsNames"' in text and b'"weightMat"' in text) or (b'"scene"' in text and b'"actors"' in text and b'"face"' in text) \
        or (b'"facsNames"' in text and name.lower().endswith(".json"))  # fmt: skip


def _read(content: bytes, name: str, settings: ReadingSettings) -> MotionClip:
    parsed, cut = json_of(content, name)
    wanted, times = settings.values, list[Any]()
    if isinstance(parsed, dict) and "weightMat" in parsed:
        names, values = [str(title) for title in parsed["facsNames"]], parsed["weightMat"]
        rate = float(parsed.get("exportFps") or 0)
    else:
        names, values, times, rate = _read_rokoko(parsed if isinstance(parsed, list) else parsed.get("frames", [parsed]), name)
        strongest = max((abs(value) for row in values if row is not None for value in row), default=0.0)
        wanted = wanted or ("percent" if strongest > LARGEST_SHARE else "shares")
    if not len(values):
        raise InvalidMotion(f"{name}: the recording has no frames", "export the recording again")
    weights, face = np.zeros((len(values), 52)), np.array([row is not None for row in values], bool)
    columns = [(index, place) for index, title in enumerate(names) if (place := index_of(title)) >= 0]
    if not columns:
        raise InvalidMotion(f"{name}: none of its names is a blendshape of ARKit", "export it with ARKit's blendshapes")
    for row, given in zip(weights, values):
        if given is not None and len(given) != len(names):
            raise InvalidMotion(f"{name}: a frame has {len(given)} values for {len(names)} names", "export the recording again")
        for index, place in columns if given is not None else ():
            row[place] = np.nan if given[index] is None else float(given[index])
    weights, notes = as_shares(weights, wanted)
    stated = None if settings.timecode_rate else stated_times(times, "timestamp (s)", name, settings)
    time, warnings = stated or at_rate(len(values), rate, settings, DEFAULT_RATE)
    warnings = [*cut, *warnings]
    unknown = [title for title in names if index_of(title) < 0]
    if unknown:
        warnings.append(f"not known and left out: {some(unknown)}")
    warnings.append("the file has no head: it stays still")
    return Recorded(time, face, weights, None, None, None, [*warnings, *notes]).clip(name, "weights_json")


def _read_rokoko(frames: list[Any], name: str) -> tuple[list[str], list[list[float] | None], list[Any], float]:
    """Returns names, values (None without a face), each frame's time as written, and the rate, of the first actor with a face."""
    names: list[str] = []
    values: list[list[float] | None] = []
    times: list[Any] = []
    for index, frame in enumerate(frames):
        if not isinstance(frame, dict) or not isinstance(frame.get("scene"), dict):
            raise InvalidMotion(f"{name}: frame {index} has no scene as Rokoko writes it", "export the recording again")
        scene = frame["scene"]
        found = next((actor["face"] for actor in scene.get("actors", []) if isinstance(actor.get("face"), dict)), None)
        shapes = {key: value for key, value in (found or {}).items() if isinstance(value, (int, float)) and not isinstance(value, bool)}
        names = names or list(shapes)
        values.append([float(shapes.get(title, 0.0)) for title in names] if shapes else None)
        times.append(scene.get("timestamp"))
    rate = next((float(frame["fps"]) for frame in frames if isinstance(frame.get("fps"), (int, float))), 0.0)
    return names, [row if row is None or len(row) == len(names) else None for row in values], times, rate


READER = Reader("Audio2Face, Faceit or Rokoko JSON", _recognises, _read)
