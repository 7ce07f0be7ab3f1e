"""What can run exported networks on this machine: each export that lies where renderers look, by each runtime that is installed."""

from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mimaface.protocol.errors import InvalidCheckpoint
from mimaface.weights import checksums

from . import exported, providers

if TYPE_CHECKING:
    from .exported_engine import ExportedEngine


@dataclass(frozen=True)
class Runtime:
    """One way to run the networks of one export.

    name   names the export's content and what runs it: the same name gives the same bytes on one machine
    open   loads networks, given which. Raises whatever the runtime raises for a file that is damaged or a device that is not there
    """

    name: str
    open: Callable[[tuple[str, ...]], ExportedEngine]


def runtimes(folder: Path) -> list[Runtime]:
    """All that can run what lies in an exports folder (:func:`mimaface.engines.exported.exports_folder`); nothing is loaded."""
    found = []
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        try:
            kind = exported.read(path).kind
        except InvalidCheckpoint:  # also a folder that is being written, or that a runtime keeps what it compiles in
            continue
        if kind == "onnx":
            found += [onnx_runtime(path, provider) for provider in providers.available()]
        elif kind == "tensorrt" and importlib.util.find_spec(exported.read(path).made_with["library"]) is not None:
            found.append(tensorrt_runtime(path))
    return found


def onnx_runtime(path: Path, provider: providers.Provider) -> Runtime:
    """An export of ONNX graphs by one of ONNX Runtime's providers."""

    def load(wanted: tuple[str, ...]) -> ExportedEngine:
        from .onnx_engine import open_onnx

        return open_onnx(path, provider, wanted)

    return Runtime(f"{name_of(path)} {provider.name} of ONNX Runtime {providers.version()}", load)


def tensorrt_runtime(path: Path) -> Runtime:
    """An export of TensorRT plans by the library that made them."""

    def load(wanted: tuple[str, ...]) -> ExportedEngine:
        from .tensorrt_engine import open_tensorrt

        return open_tensorrt(path, wanted)

    return Runtime(name_of(path), load)


def name_of(path: Path) -> str:
    """An export by its folder's name and the first digits of what its files' checksums add up to."""
    return f"{path.name}@{hashlib.sha256((path / checksums.NAME).read_bytes()).hexdigest()[:8]}"
