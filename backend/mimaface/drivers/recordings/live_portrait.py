"""Motion templates of LivePortrait (Guo et al. 2024), ``.pkl``, read as plain data without unpickling.

Read are the head's rotation (for row vectors, in axes of computer vision) and the opening ratios of lids and lips. The template's
``exp`` are offsets of keypoints that LivePortrait's network learned, with no mapping to blendshapes.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from mimaface.drivers.reading import ReadingSettings
from mimaface.protocol.arkit import BLENDSHAPE_INDEX
from mimaface.protocol.arrays import Array
from mimaface.protocol.errors import InvalidMotion
from mimaface.protocol.motion import MotionClip

from .base import VISION_AXES, Reader, Recorded, at_rate
from .plain_pickle import _Array, read_plain

DEFAULT_RATE = 25.0  # frames a second
# Height-to-width ratios of an open eye, and of lips at jawOpen 1. Raised: open eyes come out half-closed; the mouth opens less.
OPEN_EYE, OPEN_MOUTH = 0.35, 0.8


def _recognises(name: str, start: bytes) -> bool:
    return name.lower().endswith((".pkl", ".pickle")) or (start[:1] == b"\x80" and b"output_fps" in start)


def _read(content: bytes, name: str, settings: ReadingSettings) -> MotionClip:
    template = read_plain(content, name)
    motion = template.get("motion") if isinstance(template, dict) else None
    if not isinstance(motion, list) or not motion or not all(isinstance(frame, dict) for frame in motion):
        raise InvalidMotion(f"{name}: not a motion template of LivePortrait", "use the .pkl that LivePortrait wrote beside its result")
    heads = np.array([_numbers(frame.get("R", frame.get("R_d"))).reshape(-1)[:9] for frame in motion if frame], float)
    if heads.shape != (len(motion), 9):
        raise InvalidMotion(f"{name}: a frame lacks its rotation R", "export the template from LivePortrait again")
    turned = VISION_AXES @ heads.reshape(-1, 3, 3).transpose(0, 2, 1) @ VISION_AXES
    weights = np.zeros((len(motion), 52))
    warnings = ["its expressions are LivePortrait's own: head, lids and the opening of the mouth are read"]
    eyes, lips = (_ratios(template, keys, len(motion)) for keys in (("c_eyes_lst", "c_d_eyes_lst"), ("c_lip_lst", "c_d_lip_lst")))
    if eyes is not None:
        for place, side in enumerate(("Left", "Right")):
            weights[:, BLENDSHAPE_INDEX[f"eyeBlink{side}"]] = np.clip(1 - eyes[:, min(place, eyes.shape[1] - 1)] / OPEN_EYE, 0, 1)
    if lips is not None:
        weights[:, BLENDSHAPE_INDEX["jawOpen"]] = np.clip(lips[:, 0] / OPEN_MOUTH, 0, 1)
    rate = template.get("output_fps", 0)
    time, notes = at_rate(len(motion), float(rate) if isinstance(rate, (int, float)) and rate > 0 else 0.0, settings, DEFAULT_RATE)
    shapes = None if eyes is None and lips is None else weights
    return Recorded(time, np.ones(len(motion), bool), shapes, turned, None, None, [*warnings, *notes]).clip(name, "liveportrait")


def _numbers(value: Any) -> Array:
    return np.asarray(value.value if isinstance(value, _Array) else value, float)


def _ratios(template: dict[str, Any], keys: tuple[str, ...], frames: int) -> Array | None:
    """Returns ratios (T, 1 or 2) of the first list in ``keys`` with one row per frame, or None."""
    found: list[Any] = next((template[key] for key in keys if isinstance(template.get(key), list)), [])
    rows = [_numbers(row).reshape(-1) for row in found]
    if len(rows) != frames or not rows or any(len(row) != len(rows[0]) or not len(row) for row in rows):
        return None
    return np.array(rows)


READER = Reader("LivePortrait", _recognises, _read)
