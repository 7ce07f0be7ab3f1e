"""``mimaface export``: exports the networks of a model for ONNX Runtime and TensorRT."""

from __future__ import annotations

import argparse
import importlib
from pathlib import Path
from typing import Any

from mimaface.protocol.errors import NotInstalled

from .terminal import Commands

PRECISIONS = ("float32", "float16", "bfloat16")


def add(commands: Commands) -> None:
    """Add ``export`` with its kinds."""
    group = commands.add_parser("export", help="export a model's networks for ONNX Runtime or TensorRT")
    kinds = group.add_subparsers(title="kinds", required=True, metavar="KIND")
    onnx = kinds.add_parser("onnx", help="ONNX graphs, compared with torch; renders use them where they are faster")
    _add_common(onnx, "float32")
    onnx.set_defaults(command=lambda parsed: _exporter().onnx(parsed))
    tensorrt = kinds.add_parser("tensorrt", help="TensorRT plans: for this machine's GPU, or without one for RTX cards")
    _add_common(tensorrt, "float16")
    tensorrt.add_argument(
        "--frames", type=int, nargs="+", default=[1, 4, 12, 16], metavar="N", help="lengths of clips to optimise for (default: 1 4 12 16)"
    )
    tensorrt.add_argument(
        "--targets", nargs="+", default=["sm86", "sm89", "sm120"], metavar="SM",
        help="compute capabilities of RTX cards (default: sm86 sm89 sm120, GeForce 30, 40 and 50)",
    )  # fmt: skip
    tensorrt.set_defaults(command=lambda parsed: _exporter().tensorrt(parsed))


def _add_common(kind: argparse.ArgumentParser, precision: str) -> None:
    kind.add_argument("checkpoint", help="a checkpoint folder, or demo or released")
    kind.add_argument("-o", "--output", type=Path, help="a folder (default: the one in the user's folder that renderers read)")
    kind.add_argument("--precision", choices=PRECISIONS, default=precision, help=f"precision of the networks (default: {precision})")
    kind.add_argument("--size", type=int, default=0, help="pixels a side of the generated picture (default: the model's own)")


def _exporter() -> Any:
    """Import the exporter, a separate package that no other module depends on. Raises :class:`NotInstalled`."""
    try:
        return importlib.import_module("mimaface_export.command")
    except ModuleNotFoundError as error:
        raise NotInstalled(f"export is not installed ({error.name} is missing)", "pip install 'mimaface[onnx]'") from None
