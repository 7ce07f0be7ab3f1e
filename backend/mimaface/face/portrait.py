"""Opening a picture safely, and the portrait: a picture with a face fitted to it."""

from __future__ import annotations

import hashlib
import io
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from mimaface.protocol.errors import InvalidImage, InvalidInput

from .fit import FittedFace, fit_portrait

Array = NDArray[Any]
LARGEST_SIDE, SMALLEST_SIDE = 8192, 64
FORMATS = ("PNG", "JPEG", "WEBP", "TIFF", "BMP")
MATTE = (128, 128, 128)  # what shows through transparent pixels


@dataclass(frozen=True, eq=False)
class Portrait:
    """image (H, W, 3) RGB uint8 with the fit of one face in it; sha256 names the file's content."""

    image: Array
    fit: FittedFace
    sha256: str

    @classmethod
    def open(cls, source: Path | str | bytes, face: int = 0) -> Portrait:
        """Open a picture and fit its ``face``-th largest face. Raises :class:`InvalidImage` or :class:`NoFaceFound`."""
        content, name = read_picture(source)
        image = decode_picture(content, name)
        return cls(image, fit_portrait(image, face), hashlib.sha256(content).hexdigest())


def load_picture(source: Path | str | bytes) -> Array:
    """A picture file as RGB (H, W, 3) uint8, upright. Raises :class:`InvalidImage`."""
    return decode_picture(*read_picture(source))


def load_pictures(folder: Path) -> list[Array]:
    """All pictures of a folder, in the order of their names. Raises :class:`InvalidInput` when there are none."""
    try:
        found = [
            load_picture(path) for path in sorted(folder.iterdir()) if path.suffix.lower() in (".png", ".jpg", ".jpeg", ".webp")
        ]
    except OSError as error:
        raise InvalidInput(f"cannot read {folder}: {error.strerror}", "check the path") from error
    if not found:
        raise InvalidInput(f"{folder} holds no pictures", "use PNG, JPEG or WebP files")
    return found


def read_picture(source: Path | str | bytes) -> tuple[bytes, str]:
    """The bytes of a file and a name for messages."""
    if isinstance(source, bytes):
        return source, "the picture"
    try:
        return Path(source).read_bytes(), Path(source).name
    except OSError as error:
        raise InvalidImage(f"cannot read {source}: {error.strerror}", "check the path") from error


def decode_picture(content: bytes, name: str) -> Array:
    """Decode after a look at the header only: format and size are checked before any pixel is touched."""
    listed = ", ".join(FORMATS)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            picture = Image.open(io.BytesIO(content), formats=FORMATS)
    except Image.DecompressionBombError as error:
        raise InvalidImage(f"{name}: larger than {LARGEST_SIDE} x {LARGEST_SIDE} pixels", "scale it down first") from error
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError) as error:
        raise InvalidImage(f"{name}: not a picture that can be read", f"use one of {listed}") from error
    width, height = picture.size
    if max(width, height) > LARGEST_SIDE:
        raise InvalidImage(
            f"{name}: {width} x {height} pixels is larger than {LARGEST_SIDE} x {LARGEST_SIDE}", "scale it down first"
        )
    if min(width, height) < SMALLEST_SIDE:
        raise InvalidImage(f"{name}: {width} x {height} pixels is too small", f"use at least {SMALLEST_SIDE} pixels a side")
    try:
        upright = ImageOps.exif_transpose(picture)
        if upright.mode in ("RGBA", "LA", "PA") or "transparency" in upright.info:
            over = Image.new("RGBA", upright.size, (*MATTE, 255))
            over.alpha_composite(upright.convert("RGBA"))
            upright = over
        return np.asarray(upright.convert("RGB"))
    except (OSError, ValueError, SyntaxError, EOFError) as error:
        raise InvalidImage(f"{name}: the picture is damaged ({error})", "open and save it again in a picture editor") from error
