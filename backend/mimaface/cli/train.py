"""``mimaface train``: trains one stage on shards."""

from __future__ import annotations

import argparse
import logging
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING

from mimaface.optional import imports
from mimaface.training.config import STAGES, TrainingConfig
from mimaface.training.stages import FROM_SCRATCH, PAPER, PARTS, make_stage, open_model

from .terminal import Commands

if TYPE_CHECKING:
    from mimaface.model.family import MimaFaceModel

FLAGS = {int: int, float: float, str: str}


def add(commands: Commands) -> None:
    """Add ``train``."""
    train = commands.add_parser("train", help="train a model on shards: autoencoder, image, video, refiner; distill it")
    add_arguments(train)
    train.set_defaults(command=_train)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``train``; most are the fields of :class:`TrainingConfig`."""
    parser.add_argument("stage", choices=STAGES, help="autoencoder (demo only), image, video, refiner (demo only), distill (a trained model)")
    parser.add_argument(
        "--model",
        default=FROM_SCRATCH,
        help=f"{FROM_SCRATCH}: from random weights; {PAPER}: from published weights; or a model folder to start from",
    )
    parts = parser.add_argument_group(f"the published weights of {PAPER}, as on the model hub")
    for option, contents in PARTS.items():
        parts.add_argument(option, type=Path, help=contents)
    parser.add_argument("--data", type=Path, required=True, help="folder of shards to train on")
    parser.add_argument("--held-out", type=Path, required=True, help="folder of shards to evaluate on, never trained on")
    parser.add_argument("--out", type=Path, required=True, help="folder of the run: checkpoints, curves, sheets, model")
    parser.add_argument("--photographs", type=Path, help="folder of pictures that the autoencoder also learns")
    parser.add_argument("--minutes", type=float, help="stop after so many minutes; the same command continues")
    for item in fields(TrainingConfig):
        kind = type(item.default)
        if item.name not in ("stage", "steps") and kind in FLAGS:
            parser.add_argument(f"--{item.name.replace('_', '-')}", type=FLAGS[kind], default=item.default)
    parser.add_argument("--steps", type=int, required=True, help="optimiser steps of the whole run")
    parser.add_argument("--without", default="", help="ablation: render, coefficients or affinity, separated by commas")
    parser.add_argument("--pixel-weighted", action="store_true", help="weigh each latent channel by its effect on pixels")
    parser.add_argument("--average-context", action="store_true", help="ablation: average the context over the frames")
    parser.add_argument("--checkpoint-gradients", action="store_true", help="use less memory and more time")


def opened(parsed: argparse.Namespace) -> MimaFaceModel:
    """Returns the model that the arguments name. Raises as :func:`open_model`."""
    diffusion, clip, autoencoder, motion = (getattr(parsed, option.removeprefix("--").replace("-", "_")) for option in PARTS)
    return open_model(parsed.model, diffusion, clip, autoencoder, motion, getattr(parsed, "stage", ""))


def _train(parsed: argparse.Namespace) -> int:
    with imports("training", "train"):
        import torch

        from mimaface.training.loop import train
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", force=True)
    values = {item.name: getattr(parsed, item.name) for item in fields(TrainingConfig) if item.name in parsed}
    values["without"] = tuple(filter(None, parsed.without.split(",")))
    config = TrainingConfig(**values)
    torch.manual_seed(config.seed)
    stage = make_stage(opened(parsed), config, parsed.data, parsed.held_out, parsed.photographs)
    done = train(stage, config, parsed.out, parsed.minutes)
    parsed.out.mkdir(parents=True, exist_ok=True)
    config.save(parsed.out / "training.json")
    print(f"{done} of {config.steps} steps done; the run is in {parsed.out}")
    return 0
