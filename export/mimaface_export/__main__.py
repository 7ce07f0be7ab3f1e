"""``python -m mimaface_export CHECKPOINT -o FILE.onnx``: the motion U-Net of a checkpoint folder as an ONNX graph."""

from __future__ import annotations

import argparse
import logging
import sys
from pathlib import Path

from mimaface.protocol.errors import InternalError, MimaFaceError

log = logging.getLogger("mimaface_export")

DTYPES = ("float32", "float16")
TOLERANCE = {"float32": 1e-3, "float16": 2e-2}  # relative to the output's deviation


def parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="mimaface_export", description=__doc__)
    parser.add_argument("checkpoint", type=Path, help="a checkpoint folder, as save_pretrained writes it")
    parser.add_argument("-o", "--output", type=Path, required=True, help="the .onnx file; weights go beside it")
    parser.add_argument("--opset", type=int, default=18, choices=range(18, 24), help="23 keeps attention as one node")
    parser.add_argument("--dtype", default="float32", choices=DTYPES)
    parser.add_argument("--no-check", action="store_true", help="do not compare the graph with torch")
    return parser.parse_args(arguments)


def export(options: argparse.Namespace) -> None:
    """Load, export, compare. Raises a :class:`MimaFaceError`."""
    import torch

    from mimaface.model.family import load_unet

    from .onnx_graph import compare_with_torch, export_motion_unet

    unet = load_unet(options.checkpoint, getattr(torch, options.dtype))
    unet.time_embedding.float()  # steps between timesteps are small beside their size
    export_motion_unet(unet, options.output, options.opset)
    if options.no_check:
        return
    worst = max(compare_with_torch(unet, options.output))
    log.info("largest difference to torch: %.1e of the output's deviation", worst)
    if worst > TOLERANCE[options.dtype]:
        raise InternalError(f"the exported graph differs from torch by {worst:.1e}", "report this with both versions")


def main(arguments: list[str] | None = None) -> int:
    """Exit code 0, or 1 with one sentence on standard error."""
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    log.setLevel(logging.INFO)
    try:
        export(parse(arguments))
    except MimaFaceError as error:
        print(f"mimaface_export: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
