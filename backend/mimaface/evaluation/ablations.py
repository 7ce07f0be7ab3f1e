"""The paper's ablations: each variant is trained with the shipped model's recipe in a smaller budget and evaluated on the same
samples.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mimaface.protocol.errors import InvalidInput
from mimaface.protocol.files import write_whole

if TYPE_CHECKING:
    from mimaface.training.config import TrainingConfig

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Variant:
    """Omissions of a variant; the fields are those of ``TrainingConfig``."""

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


@dataclass(frozen=True)
class Ablation:
    """Settings common to all variants.

      model        folder to start from: after the autoencoder, or a whole model
      images, videos, held_out  folders of shards of the two stages and of the evaluation; the last two contain consecutive frames
      recipe       folder of image.json and video.json
      image_steps, video_steps  optimiser steps of the two stages
      samples      people of the evaluation
    """

    model: str
    images: Path
    videos: Path
    held_out: Path
    recipe: Path
    image_steps: int = 600
    video_steps: int = 150
    samples: int = 16


def choose_variants(names: Sequence[str]) -> tuple[Variant, ...]:
    """Returns the variants with these names, all if empty. Raises :class:`InvalidInput` for an unknown name."""
    known = [variant.name for variant in VARIANTS]
    if unknown := set(names) - set(known):
        raise InvalidInput(f"no variant {', '.join(sorted(unknown))}", f"use: {', '.join(known)}")
    return tuple(variant for variant in VARIANTS if not names or variant.name in names)


def ablate(ablation: Ablation, variants: Sequence[Variant], folder: Path) -> dict[str, Any]:
    """Trains and evaluates each variant without results in ``folder``; returns the rows of all variants with results, by name."""
    rows = {}
    for variant in VARIANTS:
        path = folder / variant.name.replace(" ", "-") / "results.json"
        if variant in variants and not path.exists():
            log.info("variant: %s", variant.name)
            path.parent.mkdir(parents=True, exist_ok=True)
            results = _measure(ablation, variant, path.parent)
            write_whole(path, (json.dumps(results, indent=1) + "\n").encode())
        if path.exists():
            rows[variant.name] = json.loads(path.read_text())["results"]["model"]
    summary = {"image_steps": ablation.image_steps, "video_steps": ablation.video_steps, "results": rows}
    write_whole(folder / "ablations.json", (json.dumps(summary, indent=1) + "\n").encode())
    return rows


def _measure(ablation: Ablation, variant: Variant, folder: Path) -> dict[str, Any]:
    import torch

    from mimaface.data.samples import read_shards, shards_in
    from mimaface.engines.precision import best_device
    from mimaface.engines.torch_engine import TorchEngine
    from mimaface.training.config import TrainingConfig
    from mimaface.training.loop import train
    from mimaface.training.stages import make_stage, open_model

    from .evaluate import evaluate, model_generator

    budgets = {"image": (ablation.image_steps, ablation.images), "video": (ablation.video_steps, ablation.videos)}
    start = ablation.model
    for stage_name, (steps, data) in budgets.items():
        config = variant_of(TrainingConfig.load(ablation.recipe / f"{stage_name}.json"), variant, steps)
        torch.manual_seed(0)
        out = folder / config.stage
        stage = make_stage(open_model(start), config, data, ablation.held_out)
        train(stage, config, out)
        start = str(out / "model")
    engine = TorchEngine.open(start, best_device())
    generate = model_generator(engine, photo=False, affinity="affinity" not in variant.without, without=variant.without)
    samples = islice(read_shards(shards_in(ablation.held_out)), ablation.samples)
    return evaluate(samples, {"model": generate}, (engine.config.clip_length, engine.config.overlap))


def variant_of(recipe: TrainingConfig, variant: Variant, steps: int) -> TrainingConfig:
    """Returns the recipe with a variant's omissions in ``steps`` steps, the last half of which cool down."""
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
