"""Encoding and parsing of all messages: msgpack with hard limits, then the schema of each kind."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import msgpack

from .errors import InvalidMessage
from .messages import check_fields

MAX_CONTROL = 256 * 1024  # bytes of the first part
MAX_PARTS = 4  # the control part and up to three raw ones
MAX_PART = 256 * 1024 * 1024  # bytes of each raw part
MAX_ITEMS, MAX_TEXT, MAX_DEPTH = 4096, 64 * 1024, 8  # fields or items, characters, levels of nesting
SMALLEST_INTEGER, LARGEST_INTEGER = -(2**63), 2**64 - 1  # range of msgpack integers


@dataclass(frozen=True)
class Message:
    """kind selects the schema; number pairs a reply with its request; parts are raw bytes (pictures, motion)."""

    kind: str
    fields: dict[str, Any] = field(default_factory=dict)
    parts: tuple[bytes, ...] = ()
    number: int = 0


class Codec:
    """Converts between :class:`Message` and ZeroMQ frames. Raises :class:`InvalidMessage` for anything outside schema and
    limits."""

    @staticmethod
    def encode(message: Message) -> list[bytes]:
        check_fields(message.kind, message.fields, len(message.parts))
        _check_parts(message.parts)
        _check_values(message.fields, 0)
        try:
            control = msgpack.packb([message.kind, message.number, message.fields], use_bin_type=True)
        except (ValueError, TypeError, OverflowError, RecursionError) as error:
            raise InvalidMessage(f"{message.kind}: it cannot be sent ({type(error).__name__})") from error
        if len(control) > MAX_CONTROL:
            raise InvalidMessage(f"{message.kind}: the control part has {len(control)} bytes, the limit is {MAX_CONTROL}")
        return [control, *message.parts]

    @staticmethod
    def decode(frames: Sequence[bytes | memoryview]) -> Message:
        if not 1 <= len(frames) <= MAX_PARTS:
            raise InvalidMessage(f"a message has 1 to {MAX_PARTS} parts, this one has {len(frames)}")
        if len(frames[0]) > MAX_CONTROL:
            raise InvalidMessage(f"the control part has {len(frames[0])} bytes, the limit is {MAX_CONTROL}")
        _check_parts(frames[1:])
        try:
            content = msgpack.unpackb(
                bytes(frames[0]), raw=False, strict_map_key=True, object_pairs_hook=_no_duplicates, ext_hook=_no_extension,
                max_str_len=MAX_TEXT, max_bin_len=MAX_TEXT, max_array_len=MAX_ITEMS, max_map_len=MAX_ITEMS, max_ext_len=0,
            )  # fmt: skip
        except InvalidMessage:
            raise
        except (ValueError, TypeError, RecursionError, msgpack.UnpackException) as error:
            raise InvalidMessage(f"the control part is not a valid message ({type(error).__name__})") from error
        if not isinstance(content, list) or len(content) != 3:
            raise InvalidMessage("the control part is not [kind, number, fields]")
        kind, number, fields = content
        if not isinstance(kind, str) or not isinstance(fields, dict) or type(number) is not int or not 0 <= number < 2**63:
            raise InvalidMessage("the control part is not [kind, number, fields]")
        _check_values(fields, 0)
        check_fields(kind, fields, len(frames) - 1)
        return Message(kind, fields, tuple(bytes(part) for part in frames[1:]), number)


def _check_parts(parts: Sequence[bytes | memoryview]) -> None:
    largest = max(map(len, parts), default=0)
    if largest > MAX_PART:
        raise InvalidMessage(
            f"{largest / 2**20:.0f} MB are too large for one message: the limit is {MAX_PART >> 20} MB",
            "save the picture as JPEG or PNG, or use a shorter take",
        )


def _no_duplicates(pairs: list[tuple[Any, Any]]) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for key, value in pairs:
        if not isinstance(key, str):
            raise InvalidMessage("a field name is not text")
        if key in result:
            raise InvalidMessage(f"field {key[:40]!r} is given twice")
        result[key] = value
    return result


def _no_extension(code: int, data: bytes) -> Any:
    raise InvalidMessage("extension types are not part of the protocol")


def _check_values(value: Any, depth: int) -> None:
    if depth > MAX_DEPTH:
        raise InvalidMessage(f"values are nested deeper than {MAX_DEPTH}")
    if isinstance(value, dict):
        if len(value) > MAX_ITEMS:
            raise InvalidMessage(f"a map has {len(value)} fields, the limit is {MAX_ITEMS}")
        for key, item in value.items():
            if not isinstance(key, str):
                raise InvalidMessage("a field name is not text")
            _check_text(key)
            _check_values(item, depth + 1)
    elif isinstance(value, (list, tuple)):
        if len(value) > MAX_ITEMS:
            raise InvalidMessage(f"a list has {len(value)} items, the limit is {MAX_ITEMS}")
        for item in value:
            _check_values(item, depth + 1)
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise InvalidMessage("a number is not finite")
    elif isinstance(value, str):
        _check_text(value)
    elif isinstance(value, int):
        if not SMALLEST_INTEGER <= value <= LARGEST_INTEGER:
            raise InvalidMessage("a whole number needs more than 64 bits")
    elif value is not None:
        raise InvalidMessage(f"a value of type {type(value).__name__} cannot be sent")


def _check_text(text: str) -> None:
    if len(text) > MAX_TEXT:
        raise InvalidMessage(f"a text has {len(text)} letters, the limit is {MAX_TEXT}")
    if not text.isascii():
        try:
            encoded = text.encode("utf-8")
        except UnicodeEncodeError as error:
            raise InvalidMessage(
                f"the text {text[:80]!r} has characters that cannot be sent", "give the file or name another spelling"
            ) from error
        if len(encoded) > MAX_TEXT:
            raise InvalidMessage(f"a text has {len(encoded)} bytes, the limit is {MAX_TEXT}")
