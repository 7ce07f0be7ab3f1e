"""Colour encoding of picture files – ICC profile, chunks, boxes, EXIF – and conversion to sRGB."""

from __future__ import annotations

import functools
import io
import struct
from typing import NamedTuple

import numpy as np
from PIL import ExifTags, Image, ImageCms

from mimaface.protocol.arrays import Array

from .profiles import ADOBE_RGB, SRGB, Encoding, encoding_of_code, matrix_profile

SRGB_TOLERANCE = 2  # levels of 255. A profile with smaller differences from sRGB counts as sRGB, and pixels are unchanged
SRGB_GAMMA = 0.44, 0.47  # values of a PNG's gAMA chunk that writers use for sRGB
WIDE = 9, 11, 12  # codes of primaries beyond sRGB's in videos: BT.2020 and P3; those of standard definition are too near to be heeded
NARROW = b"\0"  # last byte of a PNG's cICP chunk whose black is 16 and whose white 235, as in videos
PRIMARIES_TOLERANCE = 0.01  # xy distance below which primaries count as sRGB's


class Described(NamedTuple):
    """The colour encoding of a file: an ICC profile, and its name in warnings."""

    profile: bytes
    where: str


def in_srgb(plain: Image.Image, picture: Image.Image, content: bytes, name: str, notes: list[str]) -> Image.Image:
    """Converts ``plain``, the colours of ``picture`` (mode L, RGB, CMYK or LAB), to sRGB, mode RGB. Appends warnings to
    ``notes``."""
    if plain.mode == "LAB":
        lab = ImageCms.createProfile("LAB")
        return _converted(plain, ImageCms.ImageCmsProfile(lab))
    if picture.mode == "1" or picture.mode.startswith(("I", "F")):
        return plain.convert("RGB")  # black and white, or converted with its depth
    if content[:4] == b"\x89PNG" and _chunk(content, b"cICP")[3:] == NARROW:
        plain = plain.point(np.rint(np.clip((np.arange(256) - 16) * 255 / 219, 0, 255)).astype(int).tolist() * len(plain.getbands()))
    described = description(picture, content)
    if described is None:
        return plain.convert("RGB")
    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(described.profile))
        space = profile.profile.xcolor_space.strip()
        if plain.mode == "L" and space == "GRAY":
            return plain.point(np.rint(_curve(profile)).astype(int).tolist()).convert("RGB")
        if plain.mode == "L" and space == "RGB":
            plain = plain.convert("RGB")
        if {"L": "GRAY"}.get(plain.mode, plain.mode) != space:
            notes.append(f"{name}: its profile is for {space} and not for {plain.mode}, so it is not used")
            return plain.convert("RGB")
        return plain if space == "RGB" and _is_srgb(profile) else _converted(plain, profile)
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        notes.append(f"{name}: {described.where} cannot be used, so its colours are taken for sRGB")
        return plain.convert("RGB")


@functools.cache
def frame_conversion(primaries: int, curve: int) -> ImageCms.ImageCmsTransform | None:
    """Returns the transform to sRGB for :func:`converted_frame` of video frames with these codes of ITU-T H.273.

    None for those that are shown as sRGB as they are: of a usual gamut and range, and of unknown codes.
    """
    encoding = encoding_of_code(primaries, curve)
    if encoding is None or (primaries not in WIDE and encoding.curve not in ("pq", "hlg")):
        return None
    profile, out = ImageCms.ImageCmsProfile(io.BytesIO(matrix_profile(encoding))), ImageCms.createProfile("sRGB")
    return ImageCms.buildTransform(profile, out, "RGB", "RGB", ImageCms.Intent.RELATIVE_COLORIMETRIC)


def converted_frame(image: Array, conversion: ImageCms.ImageCmsTransform) -> Array:
    """Returns the frame (H, W, 3) uint8 in sRGB."""
    done = ImageCms.applyTransform(Image.fromarray(image), conversion)
    assert done is not None
    return np.asarray(done)


def grey_curve(picture: Image.Image, name: str, notes: list[str]) -> Array:
    """Returns the sRGB level (256,), 0–255, of 256 even steps from black to white of a grey picture."""
    described = description(picture, b"")
    if described is not None:
        try:
            profile = ImageCms.ImageCmsProfile(io.BytesIO(described.profile))
            if profile.profile.xcolor_space.strip() in ("GRAY", "RGB"):
                return _curve(profile)
        except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
            notes.append(f"{name}: {described.where} cannot be used, so its grey is taken for sRGB's")
    return np.arange(256.0)


def description(picture: Image.Image, content: bytes) -> Described | None:
    """Returns the most specific colour encoding in a file, or None for sRGB and untagged files."""
    if content[:4] == b"\x89PNG" and (code := _chunk(content, b"cICP")):
        encoding = encoding_of_code(code[0], code[1]) if len(code) == 4 else None
        if encoding is not None:
            return None if encoding == SRGB else Described(matrix_profile(encoding), "its cICP chunk")
    profile = picture.info.get("icc_profile") or _boxed_profile(content)
    if profile:
        return Described(profile, "its colour profile")
    encoding = _of_avif(content) or _of_png(picture) or _of_exif(picture)
    return None if encoding in (None, SRGB) else Described(matrix_profile(encoding), "what it says of its colours")


def _converted(
    plain: Image.Image, profile: ImageCms.ImageCmsProfile, flags: ImageCms.Flags = ImageCms.Flags.BLACKPOINTCOMPENSATION
) -> Image.Image:
    out = ImageCms.createProfile("sRGB")
    done = ImageCms.profileToProfile(plain, profile, out, ImageCms.Intent.RELATIVE_COLORIMETRIC, "RGB", flags=flags)
    assert done is not None
    return done


def _curve(profile: ImageCms.ImageCmsProfile) -> Array:
    """Returns the sRGB level (256,) of the profile's grey levels 0–255."""
    steps = Image.fromarray(np.arange(256, dtype=np.uint8)[None])
    if profile.profile.xcolor_space.strip() == "RGB":
        steps = steps.convert("RGB")
    exact = ImageCms.Flags.BLACKPOINTCOMPENSATION | ImageCms.Flags.NOOPTIMIZE  # the optimised path for grey is off by ten levels
    level = np.asarray(_converted(steps, profile, exact))[0, :, 1].astype(np.float64)
    return np.arange(256.0) if np.abs(level - np.arange(256)).max() <= SRGB_TOLERANCE else level


def _is_srgb(profile: ImageCms.ImageCmsProfile) -> bool:
    levels = np.linspace(0, 255, 9).round().astype(np.uint8)
    probe = np.stack(np.meshgrid(levels, levels, levels), axis=-1).reshape(1, -1, 3)
    there = np.asarray(_converted(Image.fromarray(probe), profile)).astype(int)
    return bool(np.abs(there - probe).max() <= SRGB_TOLERANCE)


def _chunk(content: bytes, kind: bytes) -> bytes:
    """Returns the data of a PNG file's chunk before its pixels, or b""."""
    place = 8
    while place + 8 <= len(content):
        length, found = struct.unpack_from(">I4s", content, place)
        if found == kind:
            return content[place + 8 : place + 8 + length]
        if found == b"IDAT":
            break
        place += 12 + length
    return b""


def _boxed_profile(content: bytes) -> bytes:
    """Returns the ICC profile in the header of a JPEG 2000 file, which Pillow omits, or b""."""
    place = content.find(b"colr\x02", 0, 1 << 16) if content[4:8] == b"jP  " else -1
    if place < 4:
        return b""
    return content[place + 7 : place - 4 + int.from_bytes(content[place - 4 : place], "big")]


def _of_avif(content: bytes) -> Encoding | None:
    """Returns the encoding from the codes in an AVIF file, which Pillow omits, or None."""
    place = content.find(b"colrnclx", 0, 1 << 16) if content[4:8] == b"ftyp" else -1
    if place < 0 or len(content) < place + 12:
        return None
    return encoding_of_code(*struct.unpack_from(">HH", content, place + 8))


def _of_png(picture: Image.Image) -> Encoding | None:
    """Returns the encoding from the chunks sRGB, gAMA and cHRM, or None."""
    if "srgb" in picture.info:
        return SRGB
    gamma: float = picture.info.get("gamma") or 0.0
    places: tuple[float, ...] = picture.info.get("chromaticity") or ()
    if not gamma and not places:
        return None
    white, primaries = SRGB.white, SRGB.primaries
    whole = len(places) == 8 and min(places[1::2]) > 0
    if whole and max(abs(a - b) for a, b in zip(places, (*white, *primaries))) > PRIMARIES_TOLERANCE:
        white, primaries = (places[0], places[1]), places[2:]
    usual = not gamma or SRGB_GAMMA[0] <= gamma <= SRGB_GAMMA[1]
    return Encoding(primaries, white, SRGB.curve if usual else 1 / min(max(gamma, 0.1), 10.0))


def _of_exif(picture: Image.Image) -> Encoding | None:
    """Returns Adobe RGB if EXIF states it, the only place where cameras do (DCF: interoperability index R03), or None."""
    try:
        exif = picture.getexif()
        index = exif.get_ifd(ExifTags.IFD.Interop).get(1)
        space = exif.get_ifd(ExifTags.IFD.Exif).get(ExifTags.Base.ColorSpace)
    except Exception:  # damaged EXIF
        return None
    return ADOBE_RGB if str(index).startswith("R03") or space == 2 else None
