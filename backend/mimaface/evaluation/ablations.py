"""The paper's ablations as one command: each variant is trained by the shipped model's recipe, with the same smaller budget, and
evaluated on the same samples."""

from __future__ import annotations

import argparse
import json
import logging
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mimaface.protocol.errors import InvalidInput

if TYPE_CHECKING:
    from mimaface.training.config import TrainingConfig

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Variant:
    """What one variant lacks; the fields are those of ``TrainingConfig``."""

    name: str
    without: tuple[str, ...] = ()
    identity: bool = True
    average_context: bool = False


VARIANTS = (
    Variant("full"),
    Variant("without render", without=("render",)),
    Variant("without coefficients", without=("coefficients",)),
    Variant("without L_id", identity=False),
    Variant("without ICA", without=("affinity",)),
    Variant("context averaged over frames", average_context=True),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``mimaface ablate``."""
    parser.add_argument(
        "--model", required=True, help="folder to start from: after the autoencoder, or a whole model to train on"
    )
    parser.add_argument("--images", type=Path, required=True, help="shards of the image stage")
    parser.add_argument("--videos", type=Path, required=True, help="shards of the video stage, neighbouring frames")
    parser.add_argument("--held-out", type=Path, required=True, help="shards of neighbouring frames, never trained on")
    parser.add_argument("--recipe", type=Path, help="folder of image.json and video.json (default: those of the shipped model)")
    parser.add_argument("--image-steps", type=int, default=600)
    parser.add_argument("--video-steps", type=int, default=150)
    parser.add_argument("--samples", type=int, default=16)
    parser.add_argument(
        "--variants", help="only these, separated by commas, so that several machines share the work (default: all)"
    )
    parser.add_argument("--out", type=Path, required=True, help="folder of the runs; the table is in ablations.json there")
    parser.add_argument("--readme", type=Path, help="Markdown file whose ablation table is written anew")


def run(arguments: argparse.Namespace) -> int:
    """Train and evaluate every variant that has no results yet; returns 0. The table has all that have some.

    Raises :class:`InvalidInput` for a variant of no such name.
    """
    from rich.console import Console
    from rich.markdown import Markdown

    from .tables import replace_between, table

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", force=True)
    names = [variant.name for variant in VARIANTS]
    wanted = arguments.variants.split(",") if arguments.variants else names
    if unknown := set(wanted) - set(names):
        raise InvalidInput(f"no variant {', '.join(sorted(unknown))}", f"use: {', '.join(names)}")
    rows = {}
    for variant in VARIANTS:
        path = arguments.out / variant.name.replace(" ", "-") / "results.json"
        if variant.name in wanted and not path.exists():
            log.info("variant: %s", variant.name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(_measure(variant, arguments, path.parent), indent=1) + "\n")
        if path.exists():
            rows[variant.name] = json.loads(path.read_text())["results"]["model"]
    summary: dict[str, Any] = {"image_steps": arguments.image_steps, "video_steps": arguments.video_steps, "results": rows}
    (arguments.out / "ablations.json").write_text(json.dumps(summary, indent=1) + "\n")
    text = table(rows)
    Console().print(Markdown(text))
    if arguments.readme:
        replace_between(arguments.readme, "ablations", text)
    return 0


def _measure(variant: Variant, arguments: argparse.Namespace, folder: Path) -> dict[str, Any]:
    import torch

    from mimaface.animate import DEMO_MODEL
    from mimaface.data.samples import read_shards, shards_in
    from mimaface.engines.precision import best_device
    from mimaface.engines.torch_engine import TorchEngine
    from mimaface.training.commands import make_stage, open_model
    from mimaface.training.config import TrainingConfig
    from mimaface.training.loop import train

    from .evaluate import evaluate
    from .model_frames import model_generator

    recipe = arguments.recipe or DEMO_MODEL / "training"
    budgets = {"image": (arguments.image_steps, arguments.images), "video": (arguments.video_steps, arguments.videos)}
    start = arguments.model
    for stage_name, (steps, data) in budgets.items():
        config = variant_of(TrainingConfig.load(recipe / f"{stage_name}.json"), variant, steps)
        torch.manual_seed(0)
        out = folder / config.stage
        stage = make_stage(open_model(start), config, data, arguments.held_out)
        train(stage, config, out)
        start = str(out / "model")
    engine = TorchEngine.open(start, best_device())
    generate = model_generator(engine, photo=False, affinity="affinity" not in variant.without, without=variant.without)
    samples = islice(read_shards(shards_in(arguments.held_out)), arguments.samples)
    return evaluate(samples, {"model": generate}, (engine.config.clip_length, engine.config.overlap))


def variant_of(recipe: TrainingConfig, variant: Variant, steps: int) -> TrainingConfig:
    """The recipe without what the variant lacks, in ``steps`` steps of which the last half cool down."""
    return replace(
        recipe,
        steps=steps,
        warmup=min(recipe.warmup, steps // 10),
        cooldown=steps // 2,
        evaluate_every=steps,
        save_every=steps,
        ema_decay=min(recipe.ema_decay, 1 - 10 / steps),
        identity_weight=recipe.identity_weight * variant.identity,
        without=variant.without,
        average_context=variant.average_context,
        precision="auto",
    )
