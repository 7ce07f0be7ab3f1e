"""Grey pictures with more than eight bits, integer or float, reduced to eight."""

from __future__ import annotations

import numpy as np
from PIL import Image

from mimaface.protocol.arrays import Array

from .colour import grey_curve

DEEP = ("I;16", "I;16L", "I;16B", "I;16N", "I", "F")
SENSOR_BITS = (8, 10, 12, 14, 16, 32)  # bit depths of cameras and scanners, also inside larger containers
BITS, INTERPRETATION, LARGEST = 258, 262, 281  # TIFF tags: bits per sample, photometric interpretation, largest value
BLACK_IS_LARGE = 0  # value of the photometric interpretation
STRIP = 512  # rows converted at a time, to limit memory


def in_eight_bits(picture: Image.Image, name: str, notes: list[str]) -> Image.Image:
    """Converts a deep grey picture to sRGB, mode L. Appends a sentence to ``notes`` when its white level is a guess."""
    values = np.asarray(picture)
    curve = grey_curve(picture, name, notes)
    white = _white(picture, values, name, notes)
    tags = getattr(picture, "tag_v2", {})
    result = np.empty(values.shape, np.uint8)
    for row in range(0, len(values), STRIP):
        share = np.nan_to_num(values[row : row + STRIP].astype(np.float64) / white, nan=0.0, posinf=1.0, neginf=0.0)
        if values.dtype.kind == "i":
            share = np.where(share < 0, share + 2.0**32 / white, share)  # Pillow reads 32 bits as signed
        share = np.clip(share, 0, 1)
        if tags.get(INTERPRETATION) == BLACK_IS_LARGE:
            share = 1 - share
        result[row : row + STRIP] = np.rint(np.interp(share * 255, np.arange(256), curve))
    return Image.fromarray(result)


def key_of_deep(picture: Image.Image) -> Image.Image | None:
    """Returns the alpha, mode L, of a deep picture with one transparent value, or None."""
    key = picture.info.get("transparency")
    return Image.fromarray(np.where(np.asarray(picture) == key, 0, 255).astype(np.uint8)) if isinstance(key, int) else None


def _white(picture: Image.Image, values: Array, name: str, notes: list[str]) -> float:
    """Returns the white level: from the file, else of the smallest common bit depth that contains all values."""
    finite = values[np.isfinite(values)] if values.dtype.kind == "f" else values
    largest = float(finite.max()) if finite.size else 1.0
    if values.dtype.kind == "f" and largest <= 1:
        return 1.0
    tags = getattr(picture, "tag_v2", {})
    limit = tags.get(LARGEST, 0)
    limit = limit[0] if isinstance(limit, tuple) else limit
    if 0 < limit < 2**16 - 1 and largest <= limit:
        return float(limit)
    bits = tags.get(BITS, (32 if picture.mode in ("I", "F") else 16,))
    full = float(2 ** int(bits[0] if isinstance(bits, tuple) else bits) - 1)
    if values.dtype.kind == "f":
        if largest < 4:  # light above white, as renderers write it
            notes.append(f"{name}: values up to {largest:.3g} are cut off at 1, which is taken for white")
            return 1.0
        full = 1.0
    if values.min() < 0 and values.dtype.kind == "i":
        return full
    white = next(float(2**count - 1) for count in SENSOR_BITS if largest <= 2**count - 1 or count == SENSOR_BITS[-1])
    if white != full:
        notes.append(f"{name}: its values end at {largest:.6g}, so {white:.0f} is taken for white")
    return white
