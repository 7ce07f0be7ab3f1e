"""``mimaface train``: the stages from the command line. torch is imported when a run starts."""

from __future__ import annotations

import argparse
import logging
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING

from mimaface.model.instances import INSTANCES, named
from mimaface.protocol.errors import InvalidInput, NotInstalled

from .config import STAGES, TrainingConfig

if TYPE_CHECKING:
    from mimaface.model.family import MimaFaceModel

    from .loop import Stage

FLAGS = {int: int, float: float, str: str}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``mimaface train``."""
    parser.add_argument("stage", choices=STAGES, help="autoencoder (demo only), image, video, decoder (demo only)")
    parser.add_argument("--model", default="demo", help="configuration to start afresh, or a model folder to go on from")
    parser.add_argument("--data", type=Path, required=True, help="folder of shards")
    parser.add_argument("--held-out", type=Path, required=True, help="folder of shards that is never trained on")
    parser.add_argument("--out", type=Path, required=True, help="folder of the run: checkpoints, curves, sheets, model")
    parser.add_argument("--photographs", type=Path, help="folder of pictures that the autoencoder also learns")
    parser.add_argument("--minutes", type=float, help="stop after a leg of so long; the same command goes on")
    for item in fields(TrainingConfig):
        kind = type(item.default)
        if item.name not in ("stage", "steps") and kind in FLAGS:
            parser.add_argument(f"--{item.name.replace('_', '-')}", type=FLAGS[kind], default=item.default)
    parser.add_argument("--steps", type=int, required=True)
    parser.add_argument("--without", default="", help="ablation: render, coefficients or affinity, separated by commas")
    parser.add_argument("--pixel-weighted", action="store_true", help="weigh latent channels by what they do to pixels")
    parser.add_argument("--average-context", action="store_true", help="ablation: context averaged over the frames")
    parser.add_argument("--checkpoint-gradients", action="store_true", help="less memory, more time")


def run(arguments: argparse.Namespace) -> int:
    """Train a leg; returns 0. Raises :class:`NotInstalled` without the extra ``train``."""
    try:
        import torch

        from .loop import train
    except ImportError as error:
        raise NotInstalled(f"training needs {error.name}", 'pip install "mimaface[train]"') from error
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", force=True)
    values = {item.name: getattr(arguments, item.name) for item in fields(TrainingConfig)}
    values["without"] = tuple(filter(None, arguments.without.split(",")))
    config = TrainingConfig(**values)
    torch.manual_seed(config.seed)
    model = open_model(arguments.model)
    done = train(
        make_stage(model, config, arguments.data, arguments.held_out, arguments.photographs),
        config,
        arguments.out,
        arguments.minutes,
    )
    arguments.out.mkdir(parents=True, exist_ok=True)
    config.save(arguments.out / "training.json")
    print(f"{done} of {config.steps} steps done; the run is in {arguments.out}")
    return 0


def open_model(name: str) -> MimaFaceModel:
    """A fresh model of a configuration, or a folder's in float32. Raises :class:`InvalidCheckpoint` or :class:`InvalidInput`."""
    import torch

    from mimaface.model.family import MimaFaceModel

    if name in INSTANCES:
        return MimaFaceModel(named(name))
    if not Path(name).is_dir():
        raise InvalidInput(f"{name} is neither a configuration nor a folder", f"configurations are {', '.join(INSTANCES)}")
    return MimaFaceModel.from_pretrained(name, torch.float32)


def make_stage(
    model: MimaFaceModel, config: TrainingConfig, data: Path, held_out: Path, photographs: Path | None = None
) -> Stage:
    """The stage that the configuration names, on folders of shards; photographs are for the autoencoder."""
    from mimaface.data.samples import shards_in

    if config.stage == "autoencoder":
        from .autoencoding import AutoencoderStage

        return AutoencoderStage(model, config, data, held_out, photographs)
    if config.stage == "decoder":
        from .redrawing import DecoderStage

        return DecoderStage(model, config, data, held_out)
    from .denoising import DenoisingStage, encoder_of
    from .latents import prepare_latents

    stores = [prepare_latents(model, shards_in(folder), encoder_of(model)) for folder in (data, held_out)]
    return DenoisingStage(model, config, *stores)
