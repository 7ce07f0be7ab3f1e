"""The one place that opens picture files: safely, upright, in sRGB, with their alpha."""

from __future__ import annotations

import io
import stat
import threading
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image

from mimaface.protocol.errors import InvalidImage, InvalidInput

from .colour import in_srgb
from .depth import DEEP, in_eight_bits, key_of_deep

Array = NDArray[Any]
LARGEST_SIDE, SMALLEST_SIDE = 8192, 64  # pixels: larger pictures are scaled down, smaller ones refused
LARGEST_AREA = 220_000_000  # pixels a file may have: above the 200 megapixels of a telephone, and below 1 GB of memory
LARGEST_FILE = 1 << 30  # bytes
FORMATS = ("PNG", "JPEG", "WEBP", "TIFF", "BMP", "AVIF", "JPEG2000", "GIF")
ENDINGS = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp", ".avif", ".jp2", ".gif")
# how picture files begin, whatever they are called: PNG, JPEG, TIFF, JPEG 2000
MAGIC = (b"\x89PNG", b"\xff\xd8\xff", b"II*\0", b"MM\0*", b"\0\0\0\x0cjP")
HEIC = (b"heic", b"heix", b"hevc", b"heim", b"heis", b"hevm", b"hevs", b"mif1", b"msf1")  # brands of files by HEVC
MATTE = (128, 128, 128)  # what the search for faces and the networks see behind transparent pixels
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_270, 7: Image.Transpose.TRANSVERSE, 8: Image.Transpose.ROTATE_90,
}  # fmt: skip
DNG_VERSION, SUBFILE, SUBFILES = 50706, 254, 330  # TIFF tags that raw files of cameras have
_LOCK = threading.Lock()  # Pillow's limit and Python's filter of warnings belong to the whole process


@dataclass(frozen=True, eq=False)
class Picture:
    """A picture file as read: upright and in sRGB.

    image    (H, W, 3) uint8; over middle grey where it is see-through
    alpha    (H, W) uint8, 255 opaque; None where the file has none, or nothing is see-through
    warnings sentences about what was read otherwise than the file may have meant
    """

    image: Array
    alpha: Array | None
    warnings: tuple[str, ...]


def open_picture(source: Path | str | bytes) -> tuple[Picture, bytes]:
    """The picture in a file, or in the content of one, and that content. Raises :class:`InvalidImage`."""
    name = "the picture" if isinstance(source, bytes) else Path(source).name
    try:
        content = source if isinstance(source, bytes) else _content(Path(source))
        return _decoded(content, name), content
    except MemoryError as error:
        raise InvalidImage(
            f"{name}: there is not enough memory for this picture", "scale it down, or end other programs"
        ) from error


def is_picture(name: str, start: bytes) -> bool:
    """Whether a file is a picture, by its name or its first bytes; animated GIF is read as a video."""
    if start[:4] == b"GIF8":
        return False
    known = start.startswith(MAGIC) or start[8:12] == b"WEBP" or start[4:12] == b"ftypavif"
    return known or Path(name).suffix.lower() in ENDINGS


def load_picture(source: Path | str | bytes) -> Array:
    """A picture file as sRGB (H, W, 3) uint8, upright. Raises :class:`InvalidImage`."""
    return open_picture(source)[0].image


def load_pictures(folder: Path) -> list[Array]:
    """All pictures of a folder, in the order of their names. Raises :class:`InvalidInput` when there are none."""
    try:
        found = [load_picture(path) for path in sorted(folder.iterdir()) if path.suffix.lower() in ENDINGS]
    except OSError as error:
        raise InvalidInput(f"cannot read {folder}: {error.strerror}", "check the path") from error
    if not found:
        raise InvalidInput(f"{folder} holds no pictures", "use PNG, JPEG or WebP files")
    return found


def _content(path: Path) -> bytes:
    """The bytes of a regular file: devices and pipes may never end."""
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise InvalidImage(f"{path} is not a file", "choose a picture file")
        with path.open("rb") as file:
            content = file.read(min(status.st_size, LARGEST_FILE + 1))
    except OSError as error:
        raise InvalidImage(f"cannot read {path}: {error.strerror or error}", "check the path") from error
    except ValueError as error:  # a NUL in the name
        raise InvalidImage(f"cannot read {str(path)!r}: {error}", "check the path") from error
    if len(content) > LARGEST_FILE:
        raise InvalidImage(f"{path.name}: larger than {LARGEST_FILE >> 20} MB", "save the picture as JPEG or PNG")
    return content


def _decoded(content: bytes, name: str) -> Picture:
    with _LOCK, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's, about what damaged EXIF and the like hold
        return _converted(_opened(content, name), content, name)


def _opened(content: bytes, name: str) -> Image.Image:
    """After a look at the header only: format and size are checked before any pixel is touched."""
    limit = Image.MAX_IMAGE_PIXELS
    try:
        Image.MAX_IMAGE_PIXELS = LARGEST_AREA  # Pillow only warns up to twice its own
        picture = Image.open(io.BytesIO(content), formats=FORMATS)
    except MemoryError:
        raise
    except Image.DecompressionBombError as error:
        raise InvalidImage(f"{name}: larger than {LARGEST_AREA // 1_000_000} megapixels", "scale it down first") from error
    except Exception as error:  # decoders meet hostile bytes and fail in their own many ways
        raise _unknown(content, name) from error
    finally:
        Image.MAX_IMAGE_PIXELS = limit
    width, height = picture.size
    if width * height > LARGEST_AREA:
        raise InvalidImage(
            f"{name}: {width} x {height} pixels is larger than {LARGEST_AREA // 1_000_000} megapixels", "scale it down first"
        )
    if min(width, height) * min(LARGEST_SIDE / max(width, height), 1) < SMALLEST_SIDE:
        raise InvalidImage(f"{name}: {width} x {height} pixels is too small", f"use at least {SMALLEST_SIDE} pixels a side")
    tags = getattr(picture, "tag_v2", {})
    if DNG_VERSION in tags or (tags.get(SUBFILE) == 1 and SUBFILES in tags):
        raise InvalidImage(f"{name}: the raw file of a camera", "develop it, and save it as JPEG, PNG or TIFF")
    return picture


def _unknown(content: bytes, name: str) -> InvalidImage:
    if content[4:8] == b"ftyp" and content[8:12] in HEIC:
        return InvalidImage(f"{name}: HEIC pictures cannot be read", "save it as JPEG or PNG, as most picture viewers can")
    if content[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
        return InvalidImage(f"{name}: this kind of TIFF cannot be read", "save it with 8 or 16 bits a channel, or as PNG")
    return InvalidImage(f"{name}: not a picture that can be read", f"use one of {', '.join(FORMATS)}")


def _converted(picture: Image.Image, content: bytes, name: str) -> Picture:
    said: list[str] = []
    if _has_several(picture):
        said.append(f"{name} holds several pictures: the first is used")
    width, height = picture.size
    try:
        picture.draft(None, (LARGEST_SIDE, LARGEST_SIDE))  # JPEG: half, a quarter, … as it is decoded
        picture.load()
        picture = _upright(picture, name, said)
        alpha, plain = _separated(picture, name, said)
        if max(width, height) > LARGEST_SIDE:
            plain.thumbnail((LARGEST_SIDE, LARGEST_SIDE), Image.Resampling.LANCZOS)
            alpha = alpha and alpha.resize(plain.size, Image.Resampling.BOX)
            said.append(f"{name}: {width} x {height} pixels are scaled down to {plain.width} x {plain.height}")
        image = np.array(in_srgb(plain, picture, content, name, said))
    except (MemoryError, InvalidImage):
        raise
    except Exception as error:  # as above
        raise InvalidImage(f"{name}: the picture is damaged ({error})", "open and save it again in a picture editor") from error
    opacity = None if alpha is None else np.array(alpha)
    if opacity is None or opacity.min() == 255:
        return Picture(image, None, tuple(said))
    if opacity.max() == 0:
        return Picture(image, None, (*said, f"{name}: all of it is see-through: its colours are shown without their alpha"))
    share = opacity.astype(np.uint16)[..., None]
    for rows in range(0, len(image), 256):  # a strip at a time, for memory
        part, by = image[rows : rows + 256], share[rows : rows + 256]
        part[:] = (part * by + np.array(MATTE, np.uint16) * (255 - by) + 127) // 255
    return Picture(image, opacity, tuple(said))


def _has_several(picture: Image.Image) -> bool:
    try:
        return getattr(picture, "is_animated", False) and picture.format != "MPO"  # there the others are previews and depth
    except Exception:  # what comes after the first is damaged
        return True


def _upright(picture: Image.Image, name: str, said: list[str]) -> Image.Image:
    try:
        turn = picture.getexif().get(ExifTags.Base.Orientation, 1)
        method = TURNS.get(turn)
    except Exception:  # damaged EXIF: the pixels are fine
        said.append(f"{name}: its EXIF data are damaged, so it is shown as it is stored")
        return picture
    if method is None:
        return picture
    turned = picture.transpose(method)
    turned.info = picture.info
    return turned


def _separated(picture: Image.Image, name: str, said: list[str]) -> tuple[Image.Image | None, Image.Image]:
    """The alpha, mode L, or None; and the colours: mode L, RGB, CMYK or LAB."""
    if picture.mode in DEEP:
        return key_of_deep(picture), in_eight_bits(picture, name, said)
    if picture.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in picture.info:
        whole = picture.convert("RGBA")
        return whole.getchannel("A"), whole.getchannel("R") if picture.mode in ("L", "LA", "La") else whole.convert("RGB")
    if picture.mode in ("L", "RGB", "CMYK", "LAB"):
        return None, picture
    return None, picture.convert("L" if picture.mode == "1" else "RGB")
