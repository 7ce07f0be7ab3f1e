"""Runs exported TensorRT plans on a GPU, by TensorRT for RTX or by TensorRT, whose objects differ in their attributes.

TensorRT is proprietary software of NVIDIA and optional: ``mimaface[tensorrt]`` installs it. ``mimaface export tensorrt`` builds plans.
"""

from __future__ import annotations

import importlib
import importlib.util
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mimaface.protocol.files import write_whole

from . import exported
from .exported_engine import ExportedEngine, LoadedNetwork

log = logging.getLogger(__name__)
LIBRARIES = ("tensorrt_rtx", "tensorrt")  # for RTX cards; for data-centre cards


def library(name: str) -> Any:
    """Import one of ``LIBRARIES``. Raises :class:`ImportError`."""
    return importlib.import_module(name)


class PlanNetwork:
    """One plan, ready to run on torch tensors of one GPU."""

    def __init__(self, path: Path, tensorrt: Any, cache: Path | None = None) -> None:
        """cache: file of the kernels compiled for this GPU, read if it exists and written after the first run of every shape.
        Raises :class:`RuntimeError` for a plan of another version or GPU, or without a GPU."""
        self._logger = tensorrt.Logger(tensorrt.Logger.ERROR)
        self._runtime = tensorrt.Runtime(self._logger)  # must outlive the engine
        self._engine = self._runtime.deserialize_cuda_engine(path.read_bytes())
        if self._engine is None:
            raise RuntimeError(f"{path.name} is of another version of {tensorrt.__name__}, or of another GPU, or there is none")
        self._cache = cache
        self._compiled: Any = None
        self._context = self._new_context(tensorrt)
        if self._context is None:
            raise RuntimeError(f"out of memory: {path.name} does not fit into that of the GPU")
        names = [self._engine.get_tensor_name(index) for index in range(self._engine.num_io_tensors)]
        is_input = {name: self._engine.get_tensor_mode(name) == tensorrt.TensorIOMode.INPUT for name in names}
        self.inputs = [name for name in names if is_input[name]]
        self.outputs = [name for name in names if not is_input[name]]
        self._known: set[tuple[torch.Size, ...]] = set()  # shapes that have run

    def _new_context(self, tensorrt: Any) -> Any:
        if not hasattr(self._engine, "create_runtime_config"):
            return self._engine.create_execution_context()
        config = self._engine.create_runtime_config()
        if hasattr(config, "cuda_graph_strategy"):  # the library captures a graph for every shape, and replays it
            config.cuda_graph_strategy = tensorrt.CudaGraphStrategy.WHOLE_GRAPH_CAPTURE
        if self._cache is not None and hasattr(config, "create_runtime_cache"):
            self._compiled = config.create_runtime_cache()
            if self._cache.is_file() and not self._compiled.deserialize(self._cache.read_bytes()):
                log.info("%s is of another GPU or driver: its kernels are compiled anew", self._cache)
            config.set_runtime_cache(self._compiled)
        return self._engine.create_execution_context(config)

    def profile(self, shapes: Sequence[Sequence[int]]) -> int:
        """Returns the index of the first, and so narrowest, profile that allows these shapes of inputs. Raises :class:`RuntimeError`."""
        for index in range(max(self._engine.num_optimization_profiles, 1)):
            limits = [self._engine.get_tensor_profile_shape(name, index) for name in self.inputs]
            if all(fits(shape, least, most) for shape, (least, _, most) in zip(shapes, limits, strict=True)):
                return index
        raise RuntimeError(
            f"no profile of the plan holds inputs of {[tuple(shape) for shape in shapes]}: export with other --frames"
        )

    def __call__(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """Float32 tensors in the plan's order, on the GPU → its outputs there. Raises :class:`RuntimeError`."""
        context, stream, device = self._context, current_stream(), inputs[0].device
        shapes = tuple(value.shape for value in inputs)
        index = self.profile(shapes)
        if context.active_optimization_profile != index and not context.set_optimization_profile_async(index, stream):
            raise RuntimeError(f"profile {index} cannot be used")
        for name, value in zip(self.inputs, inputs):
            if not (context.set_input_shape(name, tuple(value.shape)) and context.set_tensor_address(name, value.data_ptr())):
                raise RuntimeError(f"input {name} of {tuple(value.shape)} is refused")
        results = tuple(torch.empty(tuple(context.get_tensor_shape(name)), device=device) for name in self.outputs)
        for name, value in zip(self.outputs, results):
            context.set_tensor_address(name, value.data_ptr())
        if not context.execute_async_v3(stream):
            raise RuntimeError("the GPU did not run the network")
        if shapes not in self._known:
            self._known.add(shapes)
            self._keep_compiled()
        return results

    def _keep_compiled(self) -> None:
        if self._compiled is None or self._cache is None:
            return
        try:
            self._cache.parent.mkdir(parents=True, exist_ok=True)
            write_whole(self._cache, bytes(self._compiled.serialize()))
        except OSError as error:
            log.warning("%s cannot be written: %s; kernels are compiled again next time", self._cache, error.strerror)


def fits(shape: Sequence[int], least: Sequence[int], most: Sequence[int]) -> bool:
    """Whether every size is within its limits."""
    return len(shape) == len(least) and all(low <= size <= high for size, low, high in zip(shape, least, most))


def current_stream() -> int:
    """Returns the handle of torch's current CUDA stream; 0, the default stream, without a GPU."""
    return int(torch.cuda.current_stream().cuda_stream) if torch.cuda.is_available() else 0


def open_tensorrt(folder: Path, wanted: tuple[str, ...] = exported.NETWORKS, device: str = "cuda") -> ExportedEngine:
    """Open the ``wanted`` plans of an export folder. Raises :class:`InvalidCheckpoint` for an incomplete or damaged folder,
    :class:`ImportError` without the library that built it, and the errors of :class:`PlanNetwork`."""
    found = exported.read(folder)
    exported.check_files(folder)
    tensorrt = library(found.made_with["library"])
    cache = folder.with_name(f"{folder.name}-cache")  # not among the files that have checksums
    networks = {
        name: LoadedNetwork(one.inputs, PlanNetwork(folder / one.file, tensorrt, cache / f"{name}.bin"))
        for name, one in found.networks.items()
        if name in wanted
    }
    return ExportedEngine(found.model(), torch.device(device), networks)
