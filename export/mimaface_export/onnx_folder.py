"""Export of a checkpoint folder to ONNX graphs, and their comparison with torch."""

from __future__ import annotations

import importlib.metadata
import inspect
import logging
import os
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import torch

from mimaface import __version__
from mimaface.engines import exported
from mimaface.engines.exported import Exported, NetworkFile
from mimaface.engines.onnx_engine import open_onnx
from mimaface.engines.parity import differences, random_inputs
from mimaface.engines.torch_engine import TorchEngine, load_model
from mimaface.protocol.errors import InternalError, InvalidCheckpoint, NotInstalled, NotWritable
from mimaface.protocol.files import put_folder, writable
from mimaface.weights import checksums
from mimaface.weights.convert import clear_abandoned

from .networks import Network, example, networks

log = logging.getLogger(__name__)

OPSET = 23  # the first with single nodes for attention and group normalisation
LIBRARIES = ("torch", "diffusers", "transformers", "onnxscript")  # versions that determine a graph
PRECISIONS = ("float32", "float16", "bfloat16")
# largest |Δ| to torch in float32, relative to the output's deviation
TOLERANCE = {"float32": 1e-4, "float16": 1e-2, "bfloat16": 1e-1}
TRACED_SHAPE = 2, 3  # clips and frames for tracing: above one, one of them odd, and different from those compared
Report = Callable[[str], None]


def export_onnx(checkpoint: Path, target: Path, precision: str = "float32", size: int = 0, report: Report = log.info) -> bool:
    """Writes the graphs of all networks of a checkpoint folder to ``target`` atomically, and compares them with torch.

    size, in pixels, replaces the side of the model's pictures; 0 keeps it. Returns False if this export exists already; any other
    is replaced. Raises :class:`InvalidCheckpoint`, :class:`NotInstalled`, :class:`NotWritable`, and :class:`InternalError` for
    graphs that differ from torch.
    """
    require_onnx()
    # hides its warning about torchvision, which these networks do not need
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    model = load_model(checkpoint, getattr(torch, precision))
    if size:
        model.config = model.config.but(image_size=size)
    every = networks(model)
    files = {name: NetworkFile(f"{name}.onnx", tuple(one.free), one.outputs) for name, one in every.items()}
    made_with = {"mimaface": __version__, "opset": str(OPSET), **{name: importlib.metadata.version(name) for name in LIBRARIES}}
    wanted = Exported.of("onnx", checksums.fingerprint(checkpoint), model.config, precision, made_with, files)
    if is_there(target, wanted):
        return False
    traced = random_inputs(model.config, model.latent_size, *TRACED_SHAPE)

    def write(folder: Path) -> None:
        for name, network in every.items():
            report(f"{checkpoint.name}: {name}")
            write_graph(network, example(name, traced), folder / files[name].file, {"network": name, **labels(wanted)})

    def check(folder: Path) -> None:
        if precision == "bfloat16":  # ONNX Runtime has no bfloat16 kernels for CPUs
            return report("bfloat16 runs on graphics cards only: not compared with torch here")
        for name, value in compare(folder, checkpoint).items():
            report(f"{name} differs from torch by {value:.1e}")
        return None

    write_export(target, wanted, write, check)
    return True


def compare(folder: Path, checkpoint: Path) -> dict[str, float]:
    """Returns the largest difference of each exported network to torch in float32, in ONNX Runtime on the CPU.

    Raises :class:`InternalError` if one exceeds its tolerance.
    """
    found = exported.read(folder)
    reference = load_model(checkpoint, torch.float32)
    reference.config = found.model()
    measured = dict(differences(open_onnx(folder), TorchEngine(reference), found.networks))
    wrong = {name: value for name, value in measured.items() if not value <= TOLERANCE[found.precision]}
    if wrong:
        words = ", ".join(f"{name} by {value:.1e}" for name, value in wrong.items())
        raise InternalError(f"exported networks differ from torch: {words}", "report this with the versions in export.json")
    return measured


def require_onnx() -> None:
    """Raises :class:`NotInstalled` without the ``onnx`` extra."""
    try:
        import onnxruntime  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError:
        raise NotInstalled("ONNX export is not installed", "pip install 'mimaface[onnx]'") from None


def is_there(target: Path, wanted: Exported) -> bool:
    """Returns whether a folder contains this export, undamaged."""
    try:
        found = exported.read(target)
        exported.check_files(target)
    except InvalidCheckpoint:
        return False
    return found.is_of(wanted)


def labels(wanted: Exported) -> dict[str, str]:
    """Returns the metadata of each file."""
    return {"weights": wanted.weights, "configuration": wanted.configuration, "precision": wanted.precision, **wanted.made_with}


def write_export(target: Path, description: Exported, write: Callable[[Path], None], check: Callable[[Path], None]) -> None:
    """Writes a folder of networks with its description and checksums; it is moved into place after ``check`` passes.

    Raises :class:`NotWritable` if the target has other content, or as ``write`` and ``check``.
    """
    if target.exists() and not (target / exported.NAME).exists() and any(target.iterdir()):
        raise NotWritable(f"{target} holds something else", "choose a new folder")
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        with writable(target):
            clear_abandoned(target)
            part.mkdir(parents=True)
            write(part)
            (part / exported.NAME).write_text(description.to_json(), encoding="utf-8")
            checksums.write(part)
            check(part)
            put_folder(part, target)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def write_graph(network: Network, traced: tuple[torch.Tensor, ...], path: Path, metadata: dict[str, str]) -> None:
    """Writes one graph, with its weights beside it as ``<name>.data``."""
    cast(Any, network.module.eval()).to(memory_format=torch.contiguous_format)
    taken = inspect.signature(network.module.forward).parameters.values()
    fixed = sum(one.kind is not inspect.Parameter.VAR_POSITIONAL for one in taken)
    shapes = tuple(network.free.values())
    nested = (*shapes[:fixed], shapes[fixed:]) if fixed < len(taken) else shapes  # torch.export takes *signals as one argument
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's own warnings
        program = torch.onnx.export(
            network.module, traced, input_names=list(network.free), output_names=list(network.outputs),
            opset_version=OPSET, dynamo=True, dynamic_shapes=nested, verbose=False,
        )  # fmt: skip
    assert program is not None
    program.model.metadata_props.update(metadata)
    program.save(path, external_data=True)
