"""Pictures as PNG files that say what their colours are."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from numpy.typing import NDArray
from PIL import Image
from PIL.PngImagePlugin import PngInfo

Array = NDArray[Any]
OURS = "MIMAFace Animator"
PERCEPTUAL = b"\0"  # the rendering intent that the sRGB chunk of a photograph names


def encode_png(image: Array) -> bytes:
    """A picture (H, W, 3 or 4) uint8 in sRGB as a PNG file that says so; equal pictures give equal bytes."""
    out, tags = io.BytesIO(), PngInfo()
    tags.add(b"sRGB", PERCEPTUAL)
    tags.add_text("Software", OURS)
    Image.fromarray(image).save(out, "PNG", compress_level=1, pnginfo=tags)
    return out.getvalue()


def is_ours(path: Path) -> bool:
    """Whether a PNG file was written by :func:`encode_png`."""
    with path.open("rb") as file:
        return b"Software\0" + OURS.encode() in file.read(256)
