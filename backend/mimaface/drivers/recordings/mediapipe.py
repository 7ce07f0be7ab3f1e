"""MediaPipe face landmarker results as JSON from Python or JavaScript: 51 blendshapes by name, and the head as a 4 × 4 matrix in
centimetres.

The matrix is head → camera with y up and z toward the viewer, as in docs/CONVENTIONS.md. JavaScript writes it by column (``data``
with ``rows``).
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from mimaface.drivers.columns import as_shares
from mimaface.drivers.reading import ReadingSettings
from mimaface.drivers.streams.base import index_of
from mimaface.protocol.arrays import Array
from mimaface.protocol.errors import InvalidMotion
from mimaface.protocol.motion import MotionClip

from .base import Reader, Recorded, at_rate, json_of, stated_times

DEFAULT_RATE = 30.0  # frames per second of a webcam
TIMES = ("timestampms", "timestampus", "timestampns", "timestamp", "timems", "time", "seconds", "t")  # names of a frame's time


def _recognises(name: str, start: bytes) -> bool:
    return start.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] in (b"{", b"[") and re.search(rb'"(?i:face_?blendshapes)"', start) is not None


def _read(content: bytes, name: str, settings: ReadingSettings) -> MotionClip:
    parsed, notes = json_of(content, name)
    frames = parsed if isinstance(parsed, list) else _frames(parsed)
    rates = [parsed[key] for key in ("fps", "frame_rate", "frameRate") if isinstance(parsed, dict) and isinstance(parsed.get(key), (int, float))]
    weights, heads, face = np.zeros((len(frames), 52)), np.tile(np.eye(4), (len(frames), 1, 1)), np.zeros(len(frames), bool)
    times, titles, with_head, unknown = [], dict[str, str](), True, set()
    for index, frame in enumerate(frames):
        if not isinstance(frame, dict):
            raise InvalidMotion(f"{name}: frame {index} is not a result of the landmarker", "write the results again")
        titles = titles or {re.sub("[^a-z]", "", key.lower()): key for key in frame}
        times.append(_value(frame, *TIMES))
        pairs = _blendshapes(frame)
        face[index] = bool(pairs)
        for shape, score in pairs:
            place = index_of(shape)
            if place >= 0:
                weights[index, place] = score
            elif shape not in ("_neutral", ""):
                unknown.add(shape)
        matrix = _matrix(frame)
        if matrix is not None:
            heads[index] = matrix
        elif pairs:
            with_head = False
    title = next((titles[key] for key in TIMES if key in titles), "")
    rate = next((float(rate) for rate in rates), 0.0)
    time, warnings = stated_times(times, title, name, settings) or at_rate(len(frames), rate, settings, DEFAULT_RATE)
    weights, large = as_shares(weights, settings.values)
    warnings = [*notes, *warnings, *large]
    if unknown:
        warnings.append(f"not known and left out: {', '.join(sorted(unknown)[:5])}")
    if not with_head:
        warnings.append("not every frame has its matrix of the head: the head stays still")
    head, position = (heads[:, :3, :3], heads[:, :3, 3] / 100) if with_head else (None, None)
    if head is not None:
        head = head / np.linalg.norm(head, axis=1, keepdims=True)
    return Recorded(time, face, weights, head, position, None, warnings).clip(name, "mediapipe")


def _frames(parsed: dict[str, Any]) -> list[Any]:
    """Returns the list of results in an object, or the object as the only result."""
    lists = (value for value in parsed.values() if isinstance(value, list) and value and isinstance(value[0], dict))
    return next((value for value in lists if _value(value[0], "faceblendshapes", "blendshapes") is not None), [parsed])


def _value(frame: dict[str, Any], *names: str) -> Any:
    plain = {re.sub("[^a-z]", "", key.lower()): value for key, value in frame.items()}
    return next((plain[name] for name in names if name in plain), None)


def _blendshapes(frame: dict[str, Any]) -> list[tuple[str, float]]:
    """Returns (name, score) of the first face; [] without a face."""
    found = _value(frame, "faceblendshapes", "blendshapes")
    while isinstance(found, list) and found and isinstance(found[0], list):
        found = found[0]
    if isinstance(found, list) and found and isinstance(found[0], dict) and "categories" in found[0]:
        found = found[0]["categories"]
    if isinstance(found, dict):
        return [(str(key), float(value)) for key, value in found.items() if isinstance(value, (int, float))]
    items = [item for item in found or [] if isinstance(item, dict)]
    return [(str(_value(item, "categoryname", "displayname") or ""), float(_value(item, "score") or 0.0)) for item in items]


def _matrix(frame: dict[str, Any]) -> Array | None:
    """Returns the 4 × 4 head matrix of the first face, or None."""
    found = _value(frame, "facialtransformationmatrixes", "facialtransformationmatrices", "facialtransformationmatrix", "matrix")
    if isinstance(found, list) and len(found) == 1:
        found = found[0]
    by_column = isinstance(found, dict)
    values = np.array(found["data"] if isinstance(found, dict) else found or [], float)
    if values.size != 16:
        return None
    return values.reshape(4, 4).T if by_column else values.reshape(4, 4)


READER = Reader("MediaPipe face landmarker", _recognises, _read)
