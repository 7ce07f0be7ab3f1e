"""The runtimes of exported networks on this machine: each export in the renderers' folder by each installed runtime."""

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
    """One export with one runtime.

    name   identifies the export's content and the runtime: equal names give equal bytes on one machine
    open   loads the given networks. Raises the runtime's errors for a damaged file or a missing device
    """

    name: str
    open: Callable[[tuple[str, ...]], ExportedEngine]


def runtimes(folder: Path) -> list[Runtime]:
    """Returns all runtimes of an exports folder (:func:`mimaface.engines.exported.exports_folder`), without loading any."""
    found = []
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        try:
            kind = exported.read(path).kind
        except InvalidCheckpoint:  # also a folder being written, or a runtime's cache
            continue
        if kind == "onnx":
            found += [onnx_runtime(path, provider) for provider in providers.available()]
        elif kind == "tensorrt" and importlib.util.find_spec(exported.read(path).made_with["library"]) is not None:
            found.append(tensorrt_runtime(path))
    return found


def onnx_runtime(path: Path, provider: providers.Provider) -> Runtime:
    """Returns the runtime of an ONNX export by one provider."""

    def load(wanted: tuple[str, ...]) -> ExportedEngine:
        from .onnx_engine import open_onnx

        return open_onnx(path, provider, wanted)

    return Runtime(f"{name_of(path)} {provider.name} of ONNX Runtime {providers.version()}", load)


def tensorrt_runtime(path: Path) -> Runtime:
    """Returns the runtime of an export of TensorRT plans, by the library that built them."""

    def load(wanted: tuple[str, ...]) -> ExportedEngine:
        from .tensorrt_engine import open_tensorrt

        return open_tensorrt(path, wanted)

    return Runtime(name_of(path), load)


def name_of(path: Path) -> str:
    """Returns an export's name: its folder's and the first digits of the SHA-256 of its checksums."""
    return f"{path.name}@{hashlib.sha256((path / checksums.NAME).read_bytes()).hexdigest()[:8]}"
