"""Runs exported ONNX graphs with ONNX Runtime; by which of its providers is data, see :mod:`mimaface.engines.providers`."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from mimaface.protocol.errors import NotInstalled

from . import exported
from .exported_engine import ExportedEngine, LoadedNetwork
from .providers import CPU, Provider, plugged_in


class OnnxNetwork:
    """One graph in one session. Inputs and outputs are torch tensors, which the provider reads and writes in place."""

    def __init__(self, path: Path, provider: Provider = CPU, cache: Path | None = None) -> None:
        """cache: a folder for what the provider compiles. Raises what ONNX Runtime raises, or :class:`RuntimeError` where it would
        quietly run the graph with another provider."""
        try:
            import onnxruntime
        except ImportError:
            raise NotInstalled("ONNX Runtime is not installed", "pip install 'mimaface[onnx]'") from None
        settings = onnxruntime.SessionOptions()
        settings.log_severity_level = 3
        settings.intra_op_num_threads = torch.get_num_threads()
        settings.add_session_config_entry(
            "session.intra_op.allow_spinning", "0"
        )  # spinning threads slow down what runs beside it
        options = {name: value.format(cache=cache or path.parent) for name, value in provider.options}
        devices = plugged_in(provider) if provider.package else ()
        if devices:
            settings.add_provider_for_devices(list(devices), options)
            self.session = onnxruntime.InferenceSession(str(path), settings)
        else:
            self.session = onnxruntime.InferenceSession(str(path), settings, providers=[(provider.name, options)])
        if self.session.get_providers()[0] != provider.name:
            raise RuntimeError(f"{provider.name} does not run {path.name} here")
        self.provider = provider
        self.inputs = [value.name for value in self.session.get_inputs()]
        self.outputs = [value.name for value in self.session.get_outputs()]
        self._shapes: dict[tuple[torch.Size, ...], list[list[int]]] = {}  # of the outputs, by those of the inputs

    def __call__(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """Float32 tensors in the graph's order, in the provider's memory → its outputs there."""
        memory, binding = self.provider.memory, self.session.io_binding()
        for name, value in zip(self.inputs, inputs, strict=True):
            binding.bind_input(name, memory, value.device.index or 0, "float32", list(value.shape), value.data_ptr())
        if memory == "cuda":
            torch.cuda.current_stream().synchronize()  # what the inputs are computed from runs in torch's stream
        shapes = tuple(value.shape for value in inputs)
        if shapes not in self._shapes:  # how large the outputs are is learned once, with a copy of them
            for name in self.outputs:
                binding.bind_output(name, "cpu")
            self.session.run_with_iobinding(binding)
            results = tuple(torch.from_numpy(value.numpy()).to(inputs[0].device) for value in binding.get_outputs())
            self._shapes[shapes] = [list(value.shape) for value in results]
            return results
        results = tuple(torch.empty(shape, device=inputs[0].device) for shape in self._shapes[shapes])
        for name, value in zip(self.outputs, results):
            binding.bind_output(name, memory, value.device.index or 0, "float32", list(value.shape), value.data_ptr())
        self.session.run_with_iobinding(binding)
        return results


def open_onnx(folder: Path, provider: Provider = CPU, wanted: tuple[str, ...] = exported.NETWORKS) -> ExportedEngine:
    """The ``wanted`` networks of an export folder that are in it, by one provider. Raises :class:`InvalidCheckpoint` for a folder that is
    not whole, :class:`NotInstalled`, and as :class:`OnnxNetwork`."""
    found = exported.read(folder)
    exported.check_files(folder)
    cache = folder.with_name(f"{folder.name}-cache")  # not among the files that have checksums
    networks = {
        name: LoadedNetwork(one.inputs, OnnxNetwork(folder / one.file, provider, cache))
        for name, one in found.networks.items()
        if name in wanted
    }
    return ExportedEngine(found.model(), torch.device(provider.memory), networks)
