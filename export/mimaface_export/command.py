"""Implementation of ``mimaface export``; :mod:`mimaface.cli.export` defines its arguments."""

from __future__ import annotations

import argparse
from pathlib import Path

from mimaface.engines import choosing, chosen_engine, exported
from mimaface.engines.precision import best_device
from mimaface.protocol.errors import InvalidCheckpoint
from mimaface.renderers.registry import SHIPPED
from mimaface.weights import checksums, library

from .onnx_folder import export_onnx
from .tensorrt_plan import export_tensorrt, installed


def onnx(parsed: argparse.Namespace) -> int:
    """Exports ONNX graphs; in the default location, measures the fastest runtime."""
    checkpoint = checkpoint_of(parsed.checkpoint)
    home = exported.exports_folder(checksums.fingerprint(checkpoint))
    target = parsed.output or home / f"onnx-{parsed.precision}"
    new = export_onnx(checkpoint, target, parsed.precision, parsed.size, report=print)
    print(f"exported to {target}" if new else f"{target} is up to date")
    if parsed.output is None:
        choose(checkpoint)
    return 0


def tensorrt(parsed: argparse.Namespace) -> int:
    """Exports TensorRT plans of ONNX graphs, which are exported beside them if missing."""
    installed()  # fails early, before anything slow
    checkpoint = checkpoint_of(parsed.checkpoint)
    home = exported.exports_folder(checksums.fingerprint(checkpoint))
    target = parsed.output or home / f"tensorrt-{parsed.precision}"
    graphs = target.with_name(f"{target.name}-onnx") if parsed.output else home / f"onnx-{parsed.precision}"
    export_onnx(checkpoint, graphs, parsed.precision, parsed.size, report=print)
    new = export_tensorrt(graphs, target, parsed.frames, parsed.targets, report=print)
    print(f"exported to {target}" if new else f"{target} is up to date")
    if parsed.output is None:
        choose(checkpoint)
    return 0


def choose(checkpoint: Path) -> None:
    """Measures all runtimes on this machine and reports the one selected for each network."""
    for measured in chosen_engine.measure(checkpoint, best_device()):
        print(measured)
    print(choosing.in_words(checkpoint))


def checkpoint_of(name: str) -> Path:
    """Returns a checkpoint folder by its path or by the name of an installed model. Raises :class:`InvalidCheckpoint`."""
    folder = {"demo": SHIPPED, "released": library.models_folder() / library.RELEASED}.get(name, Path(name))
    if not (folder / "model_index.json").exists():
        raise InvalidCheckpoint(f"{folder} is no checkpoint folder", "give a folder with model_index.json, or demo or released")
    return folder
