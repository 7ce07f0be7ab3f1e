"""``mimaface ablate``: trains and measures the paper's ablations."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

from .terminal import Commands


def add(commands: Commands) -> None:
    """Add ``ablate``."""
    parser = commands.add_parser("ablate", help="train and measure the paper's ablations")
    parser.add_argument(
        "--model", required=True, help="folder to start from: after the autoencoder, or a whole model to train on"
    )
    parser.add_argument("--images", type=Path, required=True, help="shards of the image stage")
    parser.add_argument("--videos", type=Path, required=True, help="shards of the video stage, of neighbouring frames")
    parser.add_argument("--held-out", type=Path, required=True, help="shards of neighbouring frames, never trained on")
    parser.add_argument("--recipe", type=Path, help="folder of image.json and video.json (default: those of the shipped model)")
    parser.add_argument("--image-steps", type=int, default=600, help="steps of the image stage")
    parser.add_argument("--video-steps", type=int, default=150, help="steps of the video stage")
    parser.add_argument("--samples", type=int, default=16, help="number of people of the evaluation")
    parser.add_argument(
        "--variants", default="", help="only these, separated by commas, so that several machines share the work (default: all)"
    )
    parser.add_argument("--out", type=Path, required=True, help="folder of the runs and of the table, ablations.json")
    parser.add_argument("--readme", type=Path, help="a Markdown file whose ablation table is replaced")
    parser.set_defaults(command=_ablate)


def _ablate(parsed: argparse.Namespace) -> int:
    from rich.console import Console
    from rich.markdown import Markdown

    from mimaface.evaluation.ablations import Ablation, ablate, choose_variants
    from mimaface.evaluation.tables import replace_between, table
    from mimaface.renderers.generated import SHIPPED

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", force=True)
    variants = choose_variants(list(filter(None, parsed.variants.split(","))))
    folders = (parsed.images, parsed.videos, parsed.held_out, parsed.recipe or SHIPPED / "training")
    ablation = Ablation(parsed.model, *folders, parsed.image_steps, parsed.video_steps, parsed.samples)
    text = table(ablate(ablation, variants, parsed.out))
    Console().print(Markdown(text))
    if parsed.readme:
        replace_between(parsed.readme, "ablations", text)
    return 0
