"""TensorRT plans from a folder of ONNX graphs: ahead of time for RTX cards without one, or by TensorRT itself for the installed
GPU.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from mimaface.engines import exported
from mimaface.engines.exported import CONTEXT, DENOISE, Exported, NetworkFile
from mimaface.engines.parity import random_inputs
from mimaface.engines.tensorrt_engine import LIBRARIES, library
from mimaface.model.config import MimaFaceConfig
from mimaface.protocol.errors import InternalError, InvalidInput, NotInstalled

from .networks import example, latent_size_of
from .onnx_folder import Report, is_there, write_export

log = logging.getLogger(__name__)
# Clip lengths with an optimised profile: a still, a draft, and the lengths of the model family's training.
FRAMES = (1, 4, 12, 16)
TARGETS = ("sm86", "sm89", "sm120")  # GeForce 30, 40 and 50


class Range(NamedTuple):
    """Sizes of one input: smallest, optimal and largest."""

    least: tuple[int, ...]
    usual: tuple[int, ...]
    most: tuple[int, ...]


def export_tensorrt(
    graphs: Path, target: Path, frames: Sequence[int] = FRAMES, targets: Sequence[str] = TARGETS, report: Report = log.info
) -> bool:
    """Builds the plans of all networks of an ONNX export, atomically.

    frames: clip lengths with a profile of their own; all others up to the longest share one. targets: compute capabilities of RTX
    cards; TensorRT itself builds for the installed GPU. Returns False if these plans exist already. Raises :class:`NotInstalled`,
    :class:`InvalidInput` for a target unknown to the library, and :class:`InternalError` if it builds no plan.
    """
    name, tensorrt = installed()
    found = exported.read(graphs)
    exported.check_files(graphs)
    config = found.model()
    lengths = tuple(sorted({*frames, config.clip_length}))
    if lengths[0] < 1 or lengths[-1] > int(config.unet["motion_max_seq_length"]):
        raise InvalidInput(
            f"clips of {lengths[0]} to {lengths[-1]} frames are beyond this model", "use 1 to motion_max_seq_length"
        )
    files = {network: NetworkFile(f"{network}.plan", one.inputs, one.outputs) for network, one in found.networks.items()}
    made_with = {
        **found.made_with, "library": name, "tensorrt": str(tensorrt.__version__), "frames": " ".join(map(str, lengths)),
        "targets": " ".join(targets) if is_ahead_of_time(tensorrt) else "this GPU",
    }  # fmt: skip
    wanted = Exported.of("tensorrt", found.weights, config, found.precision, made_with, files)
    if is_there(target, wanted):
        return False

    def write(folder: Path) -> None:
        for network, one in found.networks.items():
            report(f"building {network}")
            plan = build(tensorrt, graphs / one.file, profiles(network, one.inputs, config, lengths), targets)
            (folder / files[network].file).write_bytes(plan)

    write_export(target, wanted, write, lambda folder: report("plans run on their GPUs only: they are compared with torch there"))
    return True


def installed() -> tuple[str, Any]:
    """Returns name and module of the installed library. Raises :class:`NotInstalled`."""
    for name in LIBRARIES:
        try:
            return name, library(name)
        except ImportError:
            continue
    raise NotInstalled("TensorRT is not installed", "pip install 'mimaface[tensorrt]', under NVIDIA's licence")


def is_ahead_of_time(tensorrt: Any) -> bool:
    """Returns whether the library builds for named GPUs instead of the installed one."""
    return hasattr(tensorrt, "ComputeCapability")


def profiles(network: str, names: Sequence[str], config: MimaFaceConfig, frames: Sequence[int]) -> list[dict[str, Range]]:
    """Returns the profiles of a network: one per number of frames and one for all others; pictures are processed one at a
    time."""
    clips = 2 if config.guidance != 1 else 1
    if network not in (CONTEXT, DENOISE):
        return [shapes_of(network, names, config, (1, 1, 1), (1, 1, 1))]
    fixed = [shapes_of(network, names, config, (count, count, count), (1, clips, clips)) for count in frames]
    return [*fixed, shapes_of(network, names, config, (1, config.clip_length, frames[-1]), (1, clips, clips))]


def shapes_of(
    network: str, names: Sequence[str], config: MimaFaceConfig, frames: tuple[int, int, int], clips: tuple[int, int, int]
) -> dict[str, Range]:
    """Returns input name → its sizes for the smallest, optimal and largest number of frames and clips."""
    every = [example(network, random_inputs(config, latent_size_of(config), many, count)) for many, count in zip(clips, frames)]
    return {name: Range(*(tuple(values[place].shape) for values in every)) for place, name in enumerate(names)}


def build(tensorrt: Any, graph: Path, ranges: Sequence[dict[str, Range]], targets: Sequence[str]) -> bytes:
    """Returns the plan of one graph, in the graph's types. Raises as :func:`export_tensorrt`."""
    logger = collecting_logger(tensorrt)
    builder = tensorrt.Builder(logger)
    network = parsed(tensorrt, builder, logger, graph)
    config = builder.create_builder_config()
    if is_ahead_of_time(tensorrt):
        config.num_compute_capabilities = len(targets)
        for place, one in enumerate(targets):
            config.set_compute_capability(capability(tensorrt, one), place)
    for sizes in ranges:
        profile = builder.create_optimization_profile()
        for place in range(network.num_inputs):
            value = network.get_input(place)
            if -1 in tuple(value.shape):
                profile.set_shape(value.name, *sizes[value.name])
        config.add_optimization_profile(profile)
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise InternalError(f"TensorRT builds no plan of {graph.name}: {logger.words[-1:] or 'it says nothing'}", "report this")
    return bytes(plan)


def parsed(tensorrt: Any, builder: Any, logger: Any, graph: Path) -> Any:
    """Returns the network of a graph, strongly typed. Raises :class:`InternalError` with the operations that the library does not
    support.
    """
    flag = getattr(tensorrt.NetworkDefinitionCreationFlag, "STRONGLY_TYPED", None)
    network = builder.create_network(0 if flag is None else 1 << int(flag))
    parser = tensorrt.OnnxParser(network, logger)
    if not parser.parse_from_file(str(graph)):
        words = "; ".join(str(parser.get_error(place)) for place in range(parser.num_errors))
        raise InternalError(f"TensorRT cannot read {graph.name}: {words}", "report this")
    for place in range(network.num_layers if hasattr(tensorrt, "IAttentionInputLayer") else 0):
        layer = network.get_layer(place)
        if layer.type == tensorrt.LayerType.ATTENTION_INPUT:
            layer.__class__ = tensorrt.IAttentionInputLayer  # the cast of the library's Python API
            layer.attention.decomposable = True  # decomposes into products where no kernel fits its size and type
    return network


def capability(tensorrt: Any, target: str) -> Any:
    """Returns the library's constant for a compute capability such as sm86. Raises :class:`InvalidInput` with the known ones."""
    known = sorted(name for name in vars(tensorrt.ComputeCapability) if name.startswith("SM"))
    if target.upper() not in known:
        raise InvalidInput(f"{target} is no target of TensorRT for RTX", f"known are {', '.join(known).lower()}")
    return getattr(tensorrt.ComputeCapability, target.upper())


def collecting_logger(tensorrt: Any) -> Any:
    """Returns a logger that collects the library's errors in ``words`` instead of printing them."""

    class Collecting(tensorrt.ILogger):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.words: list[str] = []

        def log(self, severity: Any, words: str) -> None:
            if int(severity) <= int(tensorrt.ILogger.Severity.ERROR):
                self.words.append(words)

    return Collecting()
