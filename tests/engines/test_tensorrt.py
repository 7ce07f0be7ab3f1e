"""The wrapper of TensorRT with a library that is played, for a plan runs on a GPU only; what it computes is known in advance."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from mimaface.engines.tensorrt_engine import PlanNetwork
from mimaface.shortage import shortage

Mode = Enum("Mode", "INPUT OUTPUT")
Graphs = Enum("Graphs", "DISABLED WHOLE_GRAPH_CAPTURE")


class Cache:
    def __init__(self, library: PlayedLibrary) -> None:
        self.library = library

    def deserialize(self, content: bytes) -> bool:
        self.library.kernels = content
        return content == b"kernels of this GPU"

    def serialize(self) -> bytes:
        return b"kernels of this GPU"


class Context:
    """Doubles ``a`` and adds ``b``, by the addresses that it is given."""

    def __init__(self, library: PlayedLibrary, config: Any) -> None:
        self.library, self.config = library, config
        self.active_optimization_profile = 0
        self.shapes: dict[str, tuple[int, ...]] = {}
        self.addresses: dict[str, int] = {}

    def set_optimization_profile_async(self, index: int, stream: int) -> bool:
        self.active_optimization_profile = index
        self.library.switches.append(index)
        return True

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
        self.shapes[name] = shape
        return True

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        return self.shapes["a"]

    def set_tensor_address(self, name: str, address: int) -> bool:
        self.addresses[name] = address
        return True

    def execute_async_v3(self, stream: int) -> bool:
        a, b, out = (at(self.addresses[name], self.shapes["a"]) for name in ("a", "b", "sum"))
        out.copy_(2 * a + b)
        return self.library.runs


class PlayedEngine:
    num_io_tensors, num_optimization_profiles = 3, 3
    LIMITS = ((4, 3), (4, 3)), ((12, 3), (12, 3)), ((1, 3), (16, 3))  # two lengths of their own, and all others

    def __init__(self, library: PlayedLibrary) -> None:
        self.library = library
        if library.is_rtx:
            self.create_runtime_config = lambda: library.config

    def get_tensor_name(self, index: int) -> str:
        return ("a", "sum", "b")[index]

    def get_tensor_mode(self, name: str) -> Mode:
        return Mode.OUTPUT if name == "sum" else Mode.INPUT

    def get_tensor_profile_shape(self, name: str, index: int) -> tuple[tuple[int, int], ...]:
        least, most = self.LIMITS[index]
        return least, most, most

    def create_execution_context(self, config: Any = None) -> Context | None:
        return Context(self.library, config) if self.library.has_memory else None


class PlayedLibrary:
    """What ``tensorrt_rtx`` has that the wrapper uses, or, without ``is_rtx``, ``tensorrt``."""

    __name__ = "tensorrt_played"
    TensorIOMode, CudaGraphStrategy = Mode, Graphs

    def __init__(self, is_rtx: bool = True) -> None:
        self.is_rtx, self.has_memory, self.runs = is_rtx, True, True
        self.kernels = b""
        self.switches: list[int] = []
        self.config = SimpleNamespace(
            cuda_graph_strategy=Graphs.DISABLED, create_runtime_cache=lambda: Cache(self), set_runtime_cache=lambda cache: None
        )

    class Logger:
        ERROR = 1

        def __init__(self, level: int) -> None:
            pass

    def Runtime(self, logger: Any) -> Any:
        return SimpleNamespace(deserialize_cuda_engine=lambda plan: PlayedEngine(self) if plan == b"a plan" else None)


def at(address: int, shape: tuple[int, ...]) -> torch.Tensor:
    import ctypes

    count = shape[0] * shape[1]
    return torch.frombuffer((ctypes.c_float * count).from_address(address), dtype=torch.float32).view(shape)


@pytest.fixture
def plan(tmp_path: Path) -> Path:
    (tmp_path / "denoise.plan").write_bytes(b"a plan")
    return tmp_path / "denoise.plan"


def test_tensors_go_in_and_out_by_their_addresses_and_a_profile_is_switched_only_when_it_changes(plan: Path) -> None:
    library = PlayedLibrary()
    network = PlanNetwork(plan, library)
    assert (network.inputs, network.outputs) == (["a", "b"], ["sum"])
    for frames in (4, 4, 12, 5, 7):
        a, b = torch.rand(frames, 3), torch.rand(frames, 3)
        torch.testing.assert_close(network(a, b), (2 * a + b,))
    assert library.switches == [1, 2], "from profile 0 of 4 frames to those of 12, and of any other number"


def test_a_number_of_frames_beyond_every_profile_is_a_sentence(plan: Path) -> None:
    with pytest.raises(RuntimeError, match=r"no profile of the plan holds inputs of \[\(17, 3\), \(17, 3\)\].*--frames"):
        PlanNetwork(plan, PlayedLibrary())(torch.rand(17, 3), torch.rand(17, 3))


def test_rtx_captures_graphs_and_keeps_what_it_compiled(plan: Path, tmp_path: Path) -> None:
    library, cache = PlayedLibrary(), tmp_path / "cache" / "denoise.bin"
    network = PlanNetwork(plan, library, cache)
    assert library.config.cuda_graph_strategy is Graphs.WHOLE_GRAPH_CAPTURE
    assert not cache.exists() and library.kernels == b"", "a miss"
    network(torch.rand(4, 3), torch.rand(4, 3))
    assert cache.read_bytes() == b"kernels of this GPU"
    PlanNetwork(plan, library, cache)
    assert library.kernels == b"kernels of this GPU", "a hit"


def test_kernels_of_another_gpu_are_compiled_anew(plan: Path, tmp_path: Path) -> None:
    cache = tmp_path / "denoise.bin"
    cache.write_bytes(b"kernels of another GPU")
    PlanNetwork(plan, PlayedLibrary(), cache)(torch.rand(4, 3), torch.rand(4, 3))
    assert cache.read_bytes() == b"kernels of this GPU"


def test_a_library_without_graphs_and_cache_runs_without(plan: Path, tmp_path: Path) -> None:
    network = PlanNetwork(plan, PlayedLibrary(is_rtx=False), tmp_path / "denoise.bin")
    torch.testing.assert_close(network(torch.ones(4, 3), torch.ones(4, 3)), (torch.full((4, 3), 3.0),))
    assert not (tmp_path / "denoise.bin").exists()


def test_a_plan_of_another_version_a_full_gpu_and_one_that_fails_are_told_apart(plan: Path) -> None:
    library = PlayedLibrary()
    plan.with_name("other.plan").write_bytes(b"of another version")
    with pytest.raises(RuntimeError, match=r"other.plan is of another version of tensorrt_played, or of another GPU"):
        PlanNetwork(plan.with_name("other.plan"), library)
    library.has_memory = False
    with pytest.raises(RuntimeError, match="out of memory") as error:
        PlanNetwork(plan, library)
    assert shortage(error.value) is not None, "so that a job waits for it"
    library.has_memory, library.runs = True, False
    with pytest.raises(RuntimeError, match="did not run"):
        PlanNetwork(plan, library)(torch.rand(4, 3), torch.rand(4, 3))


