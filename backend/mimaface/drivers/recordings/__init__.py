"""Readers of other programs' recordings, selected by suffix and content."""

from __future__ import annotations

import codecs

from mimaface.drivers.reading import ReadingSettings
from mimaface.drivers.table import decoded
from mimaface.protocol.errors import InvalidMotion, MimaFaceError
from mimaface.protocol.motion import MotionClip

from . import bvh, captured_text, coefficients, live_portrait, mediapipe, openface, weights_json
from .base import Reader

READERS = (bvh.READER, openface.READER, captured_text.READER, mediapipe.READER, weights_json.READER, coefficients.READER, live_portrait.READER)
WIDE_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE, codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)
LARGEST = 1 << 28  # bytes; 200,000 frames of 73 numbers take 117 MB


def reader_of(name: str, start: bytes) -> Reader | None:
    """Returns the reader for a file's name and first 64 KB, or None for another kind of file."""
    start = _in_utf8(start, whole=False)
    return next((reader for reader in READERS if reader.recognises(name, start)), None)


def read_recording(reader: Reader, content: bytes, name: str, settings: ReadingSettings) -> MotionClip:
    """Returns the motion in ``content``. Raises only :class:`InvalidMotion`, whatever the content is."""
    if len(content) > LARGEST:
        raise InvalidMotion(f"{name}: {len(content) >> 20} MB are too large for a take", "export a shorter take")
    try:
        return reader.read(_in_utf8(content, whole=True), name, settings)
    except (MimaFaceError, MemoryError):
        raise
    except Exception as error:  # readers raise many kinds of errors on malformed bytes
        raise InvalidMotion(f"{name}: this file of {reader.name} is damaged ({type(error).__name__}: {error})", "export it again") from error


def _in_utf8(content: bytes, whole: bool) -> bytes:
    """Returns a text in UTF-16 or UTF-32, as spreadsheets and Windows' shell write it, in UTF-8, and every other content as it is."""
    text = decoded(content, whole) if content.startswith(WIDE_MARKS) else None
    return content if text is None else text.encode()
