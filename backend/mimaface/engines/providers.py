"""The execution providers of ONNX Runtime, for CPUs, GPUs and plug-ins. Imports no torch."""

from __future__ import annotations

import functools
import importlib
import importlib.util
from dataclasses import dataclass
from typing import Any


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


def available() -> list[Provider]:
    """Returns the providers of the installed ONNX Runtime, best first; [] if it is not installed."""
    if importlib.util.find_spec("onnxruntime") is None:
        return []
    import onnxruntime

    built_in = onnxruntime.get_available_providers()
    return [one for one in PROVIDERS if (plugged_in(one) if one.package and one.name not in built_in else one.name in built_in)]


def version() -> str:
    """Returns the version of ONNX Runtime. Raises :class:`ImportError` if it is not installed."""
    import onnxruntime

    return str(onnxruntime.__version__)


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
