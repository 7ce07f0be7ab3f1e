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
FRESH = "demo"  # the one configuration that is small enough to learn from nothing
PAPER = "paper-sd15"
PARTS = {  # where ``paper-sd15`` starts, by option
    "--stable-diffusion": "folder of Stable Diffusion v1-5, of which unet/ is read",
    "--clip": "folder of CLIP ViT-L/14",
    "--vae": "folder of sd-vae-ft-mse",
    "--motion-modules": "folder or file of AnimateDiff v3, from which the video stage will go on; left out, motion modules are new",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``mimaface train``."""
    parser.add_argument("stage", choices=STAGES, help="autoencoder (demo only), image, video, decoder (demo only)")
    parser.add_argument(
        "--model", default=FRESH, help=f"{FRESH}, from nothing; {PAPER}, from the parts; or a model folder to go on from"
    )
    parts = parser.add_argument_group(f"the parts of {PAPER}, as the hub has them")
    for option, words in PARTS.items():
        parts.add_argument(option, type=Path, help=words)
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
    model = opened(arguments)
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


def opened(arguments: argparse.Namespace) -> MimaFaceModel:
    """The model that the command line asks for; raises as :func:`open_model`."""
    parts = [getattr(arguments, option.removeprefix("--").replace("-", "_")) for option in PARTS]
    return open_model(arguments.model, *parts)


def open_model(
    name: str,
    stable_diffusion: Path | None = None,
    clip: Path | None = None,
    autoencoder: Path | None = None,
    motion: Path | None = None,
) -> MimaFaceModel:
    """A model to train, in float32: the small one fresh, the paper's from published weights, or a folder's.

    The parts are those of :func:`start_paper`, and of no other model. Raises :class:`InvalidCheckpoint` or :class:`InvalidInput`.
    """
    import torch

    from mimaface.model.family import MimaFaceModel
    from mimaface.weights.start_paper import start_paper

    given = dict(zip(PARTS, (stable_diffusion, clip, autoencoder, motion)))
    if name != PAPER and any(given.values()):
        raise InvalidInput(
            f"{', '.join(option for option, path in given.items() if path)} is for {PAPER}, not {name}", "leave it out"
        )
    if name == FRESH:
        return MimaFaceModel(named(name))
    if name == PAPER:
        if stable_diffusion is None or clip is None or autoencoder is None:
            missing = [option for option in list(PARTS)[:3] if given[option] is None]
            raise InvalidInput(f"{PAPER} starts from published weights: {', '.join(missing)} missing", _parts_hint(missing))
        return start_paper(stable_diffusion, clip, autoencoder, motion, base=named(PAPER), dtype=torch.float32)
    if not Path(name).is_dir():
        known = f"train {FRESH}, {PAPER} or the folder of a model"
        raise InvalidInput(
            f"{name} cannot be trained from nothing" if name in INSTANCES else f"{name} is no model and no folder", known
        )
    return MimaFaceModel.from_pretrained(name, torch.float32)


def _parts_hint(missing: list[str]) -> str:
    return "give " + ", ".join(f"{option} FOLDER ({PARTS[option].removeprefix('folder of ')})" for option in missing)


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
