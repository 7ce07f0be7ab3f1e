"""What runs exported networks on this machine: ONNX Runtime by each of its providers, and TensorRT. Imports no torch."""

from __future__ import annotations

import functools
import hashlib
import importlib
import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mimaface.protocol.errors import InvalidCheckpoint
from mimaface.weights import checksums

from . import exported

if TYPE_CHECKING:
    from .exported_engine import ExportedEngine


@dataclass(frozen=True)
class Provider:
    """One execution provider.

    name     as ONNX Runtime calls it
    memory   "cuda" where it reads torch tensors on a GPU without copies, else "cpu"
    package  the module of the wheel that brings it as a plug-in; "" for those that are built in
    options  of the provider; "{cache}" in a value becomes a folder that it may keep compiled networks in
    """

    name: str
    memory: str
    package: str = ""
    options: tuple[tuple[str, str], ...] = ()


# In the order in which they are tried; what is measured to be fastest is chosen, see mimaface.engines.choosing.
PROVIDERS = (
    Provider(
        "NvTensorRTRTXExecutionProvider", "cuda", "onnxruntime_ep_nv_tensorrt_rtx", (("nv_runtime_cache_path", "{cache}"),)
    ),
    Provider("CUDAExecutionProvider", "cuda", options=(("use_tf32", "0"),)),  # TF32 rounds float32 to 10 bits
    Provider("OpenVINOExecutionProvider", "cpu", "onnxruntime_ep_openvino"),
    Provider("DmlExecutionProvider", "cpu"),
    Provider("CoreMLExecutionProvider", "cpu"),
    Provider("CPUExecutionProvider", "cpu"),
)  # fmt: skip
CPU = PROVIDERS[-1]


def available_providers() -> list[Provider]:
    """Returns the providers of the installed ONNX Runtime, best first; [] if it is not installed."""
    if importlib.util.find_spec("onnxruntime") is None:
        return []
    import onnxruntime

    built_in = onnxruntime.get_available_providers()
    return [one for one in PROVIDERS if (plugged_in(one) if one.package and one.name not in built_in else one.name in built_in)]


@functools.cache
def plugged_in(provider: Provider) -> tuple[Any, ...]:
    """Returns the devices of a plug-in provider, and register its library once; () if it is not installed or cannot be loaded."""
    import onnxruntime

    if importlib.util.find_spec(provider.package) is None:
        return ()
    try:
        onnxruntime.register_execution_provider_library(
            provider.name, importlib.import_module(provider.package).get_library_path()
        )
        return tuple(device for device in onnxruntime.get_ep_devices() if device.ep_name == provider.name)
    except Exception:  # ONNX Runtime's errors have no common base
        return ()


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
            found += [onnx_runtime(path, provider) for provider in available_providers()]
        elif kind == "tensorrt" and importlib.util.find_spec(exported.read(path).made_with["library"]) is not None:
            found.append(tensorrt_runtime(path))
    return found


def onnx_runtime(path: Path, provider: Provider) -> Runtime:
    """Returns the runtime of an ONNX export by one provider."""
    import onnxruntime

    def load(wanted: tuple[str, ...]) -> ExportedEngine:
        from .onnx_engine import open_onnx

        return open_onnx(path, provider, wanted)

    return Runtime(f"{name_of(path)} {provider.name} of ONNX Runtime {onnxruntime.__version__}", load)


def tensorrt_runtime(path: Path) -> Runtime:
    """Returns the runtime of an export of TensorRT plans, by the library that built them."""

    def load(wanted: tuple[str, ...]) -> ExportedEngine:
        from .tensorrt_engine import open_tensorrt

        return open_tensorrt(path, wanted)

    return Runtime(name_of(path), load)


def name_of(path: Path) -> str:
    """Returns an export's name: its folder's and the first digits of the SHA-256 of its checksums."""
    return f"{path.name}@{hashlib.sha256((path / checksums.NAME).read_bytes()).hexdigest()[:8]}"
