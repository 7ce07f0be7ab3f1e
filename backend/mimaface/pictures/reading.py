"""Opens picture files safely: upright, in sRGB, with their alpha."""

from __future__ import annotations

import io
import stat
import threading
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image

from mimaface.protocol.arrays import Array
from mimaface.protocol.errors import InvalidImage, InvalidInput

from .colour import in_srgb
from .depth import DEEP, in_eight_bits, key_of_deep

LARGEST_SIDE, SMALLEST_SIDE = 8192, 64  # pixels: larger pictures are scaled down, smaller ones refused
LARGEST_AREA = 220_000_000  # pixels a file may have: more than the 200 megapixels of a smartphone, and below 1 GB of memory
LARGEST_FILE = 1 << 30  # bytes
FORMATS = ("PNG", "JPEG", "WEBP", "TIFF", "BMP", "AVIF", "JPEG2000", "GIF")
ENDINGS = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp", ".avif", ".jp2", ".gif")
# signatures of picture files regardless of suffix: PNG, JPEG, TIFF, JPEG 2000
MAGIC = (b"\x89PNG", b"\xff\xd8\xff", b"II*\0", b"MM\0*", b"\0\0\0\x0cjP")
HEIC = (b"heic", b"heix", b"hevc", b"heim", b"heis", b"hevm", b"hevs", b"mif1", b"msf1")  # HEVC brands
MATTE = (128, 128, 128)  # colour behind transparent pixels for face detection and the networks
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_270, 7: Image.Transpose.TRANSVERSE, 8: Image.Transpose.ROTATE_90,
}  # fmt: skip
DNG_VERSION, SUBFILE, SUBFILES = 50706, 254, 330  # TIFF tags of camera raw files
BITS, PLANES = 258, 284  # TIFF tags: bits per sample, and 2 where each channel is stored by itself
LOCK = threading.Lock()  # Pillow's limit and Python's warning filter are process-wide


@dataclass(frozen=True, eq=False)
class Picture:
    """A picture file, upright and in sRGB.

      image    (H, W, 3) uint8, transparency composited over middle grey
      alpha    (H, W) uint8, 255 opaque; None if the file has none or is fully opaque
      warnings sentences about assumptions made while reading
    """

    image: Array
    alpha: Array | None
    warnings: tuple[str, ...]


def open_picture(source: Path | str | bytes) -> tuple[Picture, bytes]:
    """Returns the picture in a file, or in a file's content, and that content. Raises :class:`InvalidImage`."""
    name = "the picture" if isinstance(source, bytes) else Path(source).name
    try:
        content = source if isinstance(source, bytes) else file_content(Path(source))
        return _decoded(content, name), content
    except MemoryError as error:
        raise InvalidImage(
            f"{name}: there is not enough memory for this picture", "scale it down, or end other programs"
        ) from error


def is_picture(name: str, start: bytes) -> bool:
    """Returns whether a file is a picture, by its name or first bytes; animated GIF and JPEGs in a row count as video."""
    if start[:4] == b"GIF8" or Path(name).suffix.lower() in (".mjpeg", ".mjpg"):
        return False
    return begins_as_picture(start) or Path(name).suffix.lower() in ENDINGS


def begins_as_picture(start: bytes) -> bool:
    """Returns whether these are the first bytes of a picture file, GIF and BMP aside."""
    return start.startswith(MAGIC) or start[8:12] == b"WEBP" or start[4:12] in (b"ftypavif", b"ftypavis")


def load_picture(source: Path | str | bytes) -> Array:
    """Returns a picture file as sRGB (H, W, 3) uint8, upright. Raises :class:`InvalidImage`."""
    return open_picture(source)[0].image


def load_pictures(folder: Path) -> list[Array]:
    """Returns all pictures of a folder in order of their names. Raises :class:`InvalidInput` if there are none."""
    try:
        found = [load_picture(path) for path in sorted(folder.iterdir()) if path.suffix.lower() in ENDINGS and path.name[0] != "."]
    except OSError as error:
        raise InvalidInput(f"cannot read {folder}: {error.strerror}", "check the path") from error
    if not found:
        raise InvalidInput(f"{folder} holds no pictures", "use PNG, JPEG or WebP files")
    return found


def file_content(path: Path) -> bytes:
    """Returns the bytes of a regular file; devices and pipes are rejected, for they may be endless."""
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
    with LOCK, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's warnings about damaged EXIF and the like
        return _converted(opened(content, name), content, name)


def opened(content: bytes, name: str) -> Image.Image:
    """Opens a picture from its header: checks format and size before any pixel is decoded."""
    limit = Image.MAX_IMAGE_PIXELS
    try:
        Image.MAX_IMAGE_PIXELS = LARGEST_AREA  # Pillow itself only warns up to twice its limit
        picture = Image.open(io.BytesIO(content), formats=FORMATS)
    except MemoryError:
        raise
    except Image.DecompressionBombError as error:
        raise InvalidImage(f"{name}: larger than {LARGEST_AREA // 1_000_000} megapixels", "scale it down first") from error
    except Exception as error:  # decoders raise many kinds of errors on malformed bytes
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
    if tags.get(PLANES) == 2 and max(tags.get(BITS, (8,))) > 8:  # Pillow takes their bytes for pixels
        raise InvalidImage(f"{name}: a TIFF of more than 8 bits with its channels apart cannot be read", "save it interleaved, or as PNG")
    return picture


def _unknown(content: bytes, name: str) -> InvalidImage:
    if not content:
        return InvalidImage(f"{name}: the file is empty", "export or download it again")
    if content[4:8] == b"ftyp" and content[8:12] in HEIC:
        return InvalidImage(f"{name}: HEIC pictures cannot be read", "save it as JPEG or PNG, as most picture viewers can")
    if content[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
        return InvalidImage(f"{name}: this kind of TIFF cannot be read", "save it with 8 or 16 bits a channel, or as PNG")
    if begins_as_picture(content):
        return InvalidImage(f"{name}: the picture is damaged", "open and save it again in a picture editor")
    return InvalidImage(f"{name}: not a picture that can be read", f"use one of {', '.join(FORMATS)}")


def _converted(picture: Image.Image, content: bytes, name: str) -> Picture:
    notes: list[str] = []
    if has_several(picture):
        notes.append(f"{name} holds several pictures: the first is used")
    width, height = picture.size
    try:
        picture.draft(None, (LARGEST_SIDE, LARGEST_SIDE))  # decodes JPEG at 1/2, 1/4 … size
        picture.load()
        picture = _upright(picture, name, notes)
        alpha, plain = separated(picture, name, notes)
        if max(width, height) > LARGEST_SIDE:
            plain.thumbnail((LARGEST_SIDE, LARGEST_SIDE), Image.Resampling.LANCZOS)
            alpha = alpha and alpha.resize(plain.size, Image.Resampling.BOX)
            notes.append(f"{name}: {width} x {height} pixels are scaled down to {plain.width} x {plain.height}")
        image = np.array(in_srgb(plain, picture, content, name, notes))
    except (MemoryError, InvalidImage):
        raise
    except Exception as error:  # as above
        raise InvalidImage(f"{name}: the picture is damaged ({error})", "open and save it again in a picture editor") from error
    opacity = None if alpha is None else np.array(alpha)
    if opacity is None or opacity.min() == 255:
        return Picture(image, None, tuple(notes))
    if opacity.max() == 0:
        return Picture(image, None, (*notes, f"{name}: all of it is see-through: its colours are shown without their alpha"))
    return Picture(over_matte(image, opacity), opacity, tuple(notes))


def over_matte(image: Array, alpha: Array) -> Array:
    """Composites a picture (H, W, 3) uint8 of straight ``alpha`` (H, W) uint8 over MATTE, in place."""
    share = alpha.astype(np.uint16)[..., None]
    for rows in range(0, len(image), 256):  # strips limit memory
        part, by = image[rows : rows + 256], share[rows : rows + 256]
        part[:] = (part * by + np.array(MATTE, np.uint16) * (255 - by) + 127) // 255
    return image


def has_several(picture: Image.Image) -> bool:
    try:
        # further pictures in MPO are previews and depth
        return getattr(picture, "is_animated", False) and picture.format != "MPO"
    except Exception:  # the later pictures are damaged
        return True


def _upright(picture: Image.Image, name: str, notes: list[str]) -> Image.Image:
    try:
        turn = picture.getexif().get(ExifTags.Base.Orientation, 1)
        method = TURNS.get(turn)
    except Exception:  # damaged EXIF does not affect pixels
        notes.append(f"{name}: its EXIF data are damaged, so it is shown as it is stored")
        return picture
    if method is None:
        return picture
    turned = picture.transpose(method)
    turned.info = picture.info
    return turned


def separated(picture: Image.Image, name: str, notes: list[str]) -> tuple[Image.Image | None, Image.Image]:
    """Returns the alpha, mode L, or None, and the colours in mode L, RGB, CMYK or LAB."""
    if picture.mode in DEEP:
        return key_of_deep(picture), in_eight_bits(picture, name, notes)
    if picture.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in picture.info:
        whole = picture.convert("RGBA")
        return whole.getchannel("A"), whole.getchannel("R") if picture.mode in ("L", "LA", "La") else whole.convert("RGB")
    if picture.mode in ("L", "RGB", "CMYK", "LAB"):
        return None, picture
    return None, picture.convert("L" if picture.mode == "1" else "RGB")


ANIMATED = ("PNG", "WEBP", "AVIF")  # in other formats further pictures are pages
USUAL = 0.1  # seconds of a frame without a duration, as in browsers


def moving_frames(path: Path) -> Iterator[tuple[float, Array]]:
    """Yields seconds from the first frame and (H, W, 3) uint8 of each frame, transparency over middle grey; nothing for a still
    picture. Colours are not converted, which suffices for tracking. Raises :class:`InvalidImage`.
    """
    content = file_content(path)
    with LOCK, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        picture = opened(content, path.name)
        if picture.format not in ANIMATED or not has_several(picture):
            return
        # an APNG may contain a default image that is not part of the animation
        first = int(getattr(picture, "default_image", False))
        count = getattr(picture, "n_frames", 1)
    seconds = 0.0
    for index in range(first, count):
        with LOCK:
            try:
                picture.seek(index)
                alpha, plain = separated(picture, path.name, [])
                plain = plain.convert("RGB")
                image = plain if alpha is None else Image.composite(plain, Image.new("RGB", plain.size, MATTE), alpha)
            except Exception as error:  # decoders raise many kinds of errors on malformed bytes
                words = f"{path.name}: its picture {index} is damaged ({error})"
                raise InvalidImage(words, "save it anew, or choose another file") from error
            lasts = float(picture.info.get("duration", 0)) / 1000
        yield seconds, np.array(image)
        seconds += lasts or USUAL
