"""Crops of a photograph: the part that a render shows, and its size."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

from mimaface.face.portrait import Portrait
from mimaface.protocol.arrays import Array

from . import tuning


@dataclass(frozen=True)
class CropWindow:
    """The part of the photograph that is shown, and its size: corner (left, top) and scale in pixels, then width × height."""

    left: float
    top: float
    scale: float
    width: int
    height: int


def face_box(portrait: Portrait, size: int, framing: str) -> Array:
    """left, top, right, bottom (4,) of the face in the pixels of a frame at rest."""
    window = choose_window(portrait, size, framing)
    points = (portrait.fit.landmarks[:468, :2] - [window.left, window.top]) * window.scale
    return np.concatenate([points.min(0), points.max(0)])


def choose_window(portrait: Portrait, size: int, framing: str) -> CropWindow:
    """The window of the photograph that a render shows, never larger than the photograph's own pixels."""
    height, width = portrait.image.shape[:2]
    if framing == "photo":
        return whole_picture(width, height, size)
    points = portrait.fit.landmarks[:468, :2]
    low, high = points.min(0), points.max(0)
    side = min(tuning.FACE_MARGIN * float(max(high - low)), float(min(width, height)))
    centre = (low + high) / 2 - [0, tuning.FACE_RAISED * side]
    left = float(np.clip(centre[0] - side / 2, 0, width - side))
    top = float(np.clip(centre[1] - side / 2, 0, height - side))
    target = round(side) if size == 0 else size
    return CropWindow(left, top, target / side, target, target)


def whole_picture(width: int, height: int, size: int) -> CropWindow:
    """All of a picture of ``width`` × ``height`` pixels, its longer side no more than ``size``; 0 for its own."""
    scale = 1.0 if size == 0 else min(size / max(width, height), 1.0)
    return CropWindow(0.0, 0.0, scale, max(round(width * scale), 1), max(round(height * scale), 1))


def choose_canvas(portrait: Portrait, frame: CropWindow) -> CropWindow:
    """The part of the photograph that moves with the head, on the pixel grid of ``frame``: all pixels that a render may change."""
    height, width = portrait.image.shape[:2]
    points = portrait.fit.landmarks[:468, :2]
    low, high = points.min(0), points.max(0)
    face = float(max(high - low))
    reach, below = tuning.CANVAS_REACH * face, tuning.CANVAS_BELOW * face
    right, bottom = frame.left + frame.width / frame.scale, frame.top + frame.height / frame.scale
    around = tuning.CANVAS_AROUND * max(frame.width, frame.height) / frame.scale

    def snapped(value: float, origin: float) -> int:
        return round((value - origin) * frame.scale)

    x0 = snapped(max((low + high)[0] / 2 - reach, frame.left - around), frame.left)
    x1 = snapped(min((low + high)[0] / 2 + reach, right + around), frame.left)
    y0 = snapped(max((low + high)[1] / 2 - reach, frame.top - around), frame.top)
    y1 = snapped(min((low + high)[1] / 2 + below, bottom + around), frame.top)
    x0, y0 = max(x0, -int(frame.left * frame.scale)), max(y0, -int(frame.top * frame.scale))
    x1 = min(x1, max(int((width - frame.left) * frame.scale), frame.width))
    y1 = min(y1, max(int((height - frame.top) * frame.scale), frame.height))
    return CropWindow(frame.left + x0 / frame.scale, frame.top + y0 / frame.scale, frame.scale, x1 - x0, y1 - y0)


def cut_out(image: Array, frame: CropWindow) -> Array:
    """The pixels of ``frame`` (height, width, 3) of a photograph, or of its alpha (height, width); not copied where they are its own."""
    right, bottom = frame.left + frame.width / frame.scale, frame.top + frame.height / frame.scale
    if frame.scale == 1 and frame.left == int(frame.left) and frame.top == int(frame.top):
        return image[int(frame.top) : int(bottom), int(frame.left) : int(right)]
    height, width = image.shape[:2]
    box = (frame.left, frame.top, min(right, width), min(bottom, height))
    return np.asarray(Image.fromarray(image).resize((frame.width, frame.height), Image.Resampling.LANCZOS, box))
