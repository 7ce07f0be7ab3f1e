"""Runs exported ONNX graphs with ONNX Runtime, by any of its providers (:mod:`mimaface.engines.providers`)."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from mimaface.optional import optional

from . import exported
from .exported_engine import ExportedEngine, LoadedNetwork
from .providers import CPU, Provider, plugged_in


class OnnxNetwork:
    """One graph in one session. Inputs and outputs are torch tensors, which the provider reads and writes in place."""

    def __init__(self, path: Path, provider: Provider = CPU, cache: Path | None = None) -> None:
        """cache: folder of the provider's compiled kernels. Raises the errors of ONNX Runtime, and :class:`RuntimeError` where it would
        silently use another provider."""
        onnxruntime = optional("onnxruntime", "ONNX Runtime is not installed", "onnx")
        settings = onnxruntime.SessionOptions()
        settings.log_severity_level = 3
        settings.intra_op_num_threads = torch.get_num_threads()
        settings.add_session_config_entry(
            "session.intra_op.allow_spinning", "0"
        )  # spinning threads slow down other work
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
        self._shapes: dict[tuple[torch.Size, ...], list[list[int]]] = {}  # shapes of the inputs → of the outputs

    def __call__(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """Float32 tensors in the graph's order, in the provider's memory → its outputs there."""
        memory, binding = self.provider.memory, self.session.io_binding()
        for name, value in zip(self.inputs, inputs, strict=True):
            binding.bind_input(name, memory, value.device.index or 0, "float32", list(value.shape), value.data_ptr())
        if memory == "cuda":
            torch.cuda.current_stream().synchronize()  # torch's stream computes the inputs
        shapes = tuple(value.shape for value in inputs)
        if shapes not in self._shapes:  # the first run finds the shapes of the outputs, and copies them
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
    """Open the ``wanted`` networks of an export folder by one provider. Raises :class:`InvalidCheckpoint` for an incomplete or damaged
    folder, :class:`NotInstalled`, and the errors of :class:`OnnxNetwork`."""
    found = exported.read(folder)
    exported.check_files(folder)
    cache = folder.with_name(f"{folder.name}-cache")  # beside the folder, whose files have checksums
    networks = {
        name: LoadedNetwork(one.inputs, OnnxNetwork(folder / one.file, provider, cache))
        for name, one in found.networks.items()
        if name in wanted
    }
    return ExportedEngine(found.model(), torch.device(provider.memory), networks)
