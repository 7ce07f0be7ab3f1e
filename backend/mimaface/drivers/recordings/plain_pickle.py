"""Reads numbers, strings, lists, dictionaries and numpy arrays from a pickle without unpickling it; anything else raises.

A pickle is a program. :mod:`pickletools` parses it into opcodes; this module interprets only those that build data, and its own
code replaces the few numpy functions that build arrays.
"""

from __future__ import annotations

import pickletools
from typing import Any

import numpy as np

from mimaface.protocol.errors import InvalidMotion

MOST_OPCODES = 5_000_000  # opcodes; 200,000 frames of a template have 4 million
LARGEST = 1 << 28  # bytes
ARRAYS = {f"numpy.{core}.multiarray {name}" for core in ("core", "_core") for name in ("_reconstruct", "scalar")}
BUFFERS = {"numpy.core.numeric _frombuffer", "numpy._core.numeric _frombuffer"}  # of pickle protocol 5
KNOWN = ARRAYS | BUFFERS | {"numpy ndarray", "numpy dtype", "_codecs encode"}
PUSHED = {
    "INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT", "UNICODE", "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8",
    "STRING", "BINSTRING", "SHORT_BINSTRING", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8",
}  # fmt: skip
FIXED: dict[str, Any] = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
MARK = object()


class _Name(str):
    """A function named in a pickle."""


class _Array:
    """An array under construction: ``BUILD`` sets shape, dtype and data."""

    value: Any = None


class _DType:
    """A numpy dtype of plain numbers."""

    def __init__(self, code: Any) -> None:
        if not isinstance(code, str) or np.dtype(code).kind not in "biuf":
            raise ValueError("arrays of objects are refused")
        self.value: np.dtype[Any] = np.dtype(code)


def read_plain(content: bytes, name: str) -> Any:
    """Returns the data of a pickle. Raises :class:`InvalidMotion` for code, objects, damaged and too large files."""
    if len(content) > LARGEST:
        raise InvalidMotion(f"{name}: {len(content) >> 20} MB are too large for a take", "export a shorter take")
    machine = _Machine()
    try:
        for count, (step, argument, _) in enumerate(pickletools.genops(content)):
            if count > MOST_OPCODES:
                raise ValueError("it has too many steps")
            if step.name == "STOP":
                return _plain(machine.stack.pop())
            machine.do(step.name, argument)
    except (ValueError, TypeError, IndexError, KeyError, AttributeError, OverflowError, RecursionError, UnicodeError) as error:
        raise InvalidMotion(
            f"{name}: refused: the file contains more than numbers, or is damaged ({error})", "export a template of plain numbers and arrays"
        ) from error
    raise InvalidMotion(f"{name}: the file ends too early", "export it again")


def _plain(value: Any) -> Any:
    if isinstance(value, _Array):
        if value.value is None:
            raise ValueError("an array without values")
        return value.value
    if isinstance(value, (_Name, _DType)):
        raise ValueError("a function where data should be")
    return value


class _Machine:
    """Stack and memo of the pickle machine."""

    def __init__(self) -> None:
        self.stack: list[Any] = []
        self._memory: dict[int, Any] = {}

    def do(self, step: str, argument: Any) -> None:  # house: one line a step of the format, which is a flat list
        stack = self.stack
        if step in PUSHED:
            stack.append(argument.encode("latin-1") if step in ("STRING", "BINSTRING", "SHORT_BINSTRING") else argument)
        elif step in FIXED:
            stack.append(FIXED[step])
        elif step in ("PROTO", "FRAME"):
            pass
        elif step == "MARK":
            stack.append(MARK)
        elif step in ("EMPTY_LIST", "EMPTY_DICT", "EMPTY_TUPLE"):
            stack.append({"EMPTY_LIST": list, "EMPTY_DICT": dict, "EMPTY_TUPLE": tuple}[step]())
        elif step in ("TUPLE1", "TUPLE2", "TUPLE3"):
            count = int(step[-1])
            stack[-count:] = [tuple(stack[-count:])]
        elif step in ("TUPLE", "LIST"):
            stack.append((tuple if step == "TUPLE" else list)(self._marked()))
        elif step == "DICT":
            items = self._marked()
            stack.append(dict(zip(items[::2], map(_plain, items[1::2]))))
        elif step == "APPEND":
            value = stack.pop()
            _list(stack[-1]).append(value)
        elif step == "APPENDS":
            values = self._marked()
            _list(stack[-1]).extend(values)
        elif step == "SETITEM":
            value, key = stack.pop(), stack.pop()
            _dict(stack[-1])[key] = value
        elif step == "SETITEMS":
            items = self._marked()
            _dict(stack[-1]).update(zip(items[::2], items[1::2]))
        elif step == "POP":
            stack.pop()
        elif step == "MEMOIZE":
            self._memory[len(self._memory)] = stack[-1]
        elif step in ("PUT", "BINPUT", "LONG_BINPUT"):
            self._memory[int(argument)] = stack[-1]
        elif step in ("GET", "BINGET", "LONG_BINGET"):
            stack.append(self._memory[int(argument)])
        elif step == "GLOBAL":
            stack.append(_known(argument))
        elif step == "STACK_GLOBAL":
            title, module = stack.pop(), stack.pop()
            stack.append(_known(f"{module} {title}"))
        elif step == "REDUCE":
            arguments, function = stack.pop(), stack.pop()
            stack.append(_made(function, arguments))
        elif step == "BUILD":
            state = stack.pop()
            _build(stack[-1], state)
        else:
            raise ValueError(f"the step {step} builds no plain data")

    def _marked(self) -> list[Any]:
        place = len(self.stack) - 1 - next(index for index, item in enumerate(reversed(self.stack)) if item is MARK)
        items = self.stack[place + 1 :]
        del self.stack[place:]
        return items


def _known(function: str) -> _Name:
    if function not in KNOWN:
        raise ValueError(f"it names the function {function[:80]!r}")
    return _Name(function)


def _made(function: Any, arguments: Any) -> Any:
    """Returns the result of one of the known functions, computed here."""
    if not isinstance(function, _Name):
        raise ValueError("it calls what is no function")
    if function.endswith("_reconstruct"):
        return _Array()
    if function == "numpy dtype":
        return _DType(arguments[0])
    if function.endswith(" scalar"):
        kind, raw = arguments
        return np.frombuffer(raw, kind.value)[0].item()
    if function in BUFFERS:
        raw, kind, shape, order = arguments
        made = _Array()
        made.value = np.frombuffer(bytes(raw), kind.value).reshape(shape, order=order)
        return made
    if function == "_codecs encode":  # encodes bytes in protocols before 3
        return arguments[0].encode("latin-1")
    raise ValueError(f"it calls {function}")


def _build(target: Any, state: Any) -> None:
    if isinstance(target, _DType):
        order = state[1]
        if order in ("<", ">"):
            target.value = target.value.newbyteorder(order)
        return
    if not isinstance(target, _Array):
        raise ValueError("it builds an object")
    _, shape, kind, by_column, raw = state
    values = np.frombuffer(raw, kind.value)
    target.value = values.reshape(shape, order="F" if by_column else "C")


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise ValueError("it adds to what is no list")
    return value


def _dict(value: Any) -> dict[Any, Any]:
    if not isinstance(value, dict):
        raise ValueError("it adds to what is no dictionary")
    return value
