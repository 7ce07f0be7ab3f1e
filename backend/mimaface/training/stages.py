"""Opens the model and the stage of a training run. Imports torch only when a model is opened."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from mimaface.model.instances import INSTANCES, named
from mimaface.protocol.errors import InvalidInput

from .config import TrainingConfig

if TYPE_CHECKING:
    from mimaface.model.family import MimaFaceModel

    from .loop import Stage

FROM_SCRATCH = "demo"  # the configuration that is small enough to train from random weights
PAPER = "paper-sd15"
PARTS = {  # published weights from which ``paper-sd15`` starts, by command line option
    "--stable-diffusion": "folder of Stable Diffusion v1-5, of which unet/ is read",
    "--clip": "folder of CLIP ViT-L/14",
    "--vae": "folder of sd-vae-ft-mse",
    "--motion-modules": "folder or file of AnimateDiff v3, from which the video stage goes on (default: new motion modules)",
}


def open_model(
    name: str,
    stable_diffusion: Path | None = None,
    clip: Path | None = None,
    autoencoder: Path | None = None,
    motion: Path | None = None,
    stage: str = "",
) -> MimaFaceModel:
    """Opens a model to train, in float32: the small one with random weights, the paper's from published weights, or a folder's.
    ``stage`` "distill" requires a folder.

    The parts are those of :func:`start_paper` and apply to no other model. Raises :class:`InvalidCheckpoint` or
    :class:`InvalidInput`.
    """
    import torch

    from mimaface.model.family import MimaFaceModel
    from mimaface.weights.start_paper import start_paper

    given = dict(zip(PARTS, (stable_diffusion, clip, autoencoder, motion)))
    if name != PAPER and any(given.values()):
        raise InvalidInput(
            f"{', '.join(option for option, path in given.items() if path)} is for {PAPER}, not {name}", "leave it out"
        )
    if stage == "distill" and name in (FROM_SCRATCH, PAPER):
        raise InvalidInput("only a model that is trained can be distilled", "name the folder of one with --model")
    if name == FROM_SCRATCH:
        return MimaFaceModel(named(name))
    if name == PAPER:
        if stable_diffusion is None or clip is None or autoencoder is None:
            missing = [option for option in list(PARTS)[:3] if given[option] is None]
            raise InvalidInput(f"{PAPER} starts from published weights: {', '.join(missing)} missing", _parts_hint(missing))
        return start_paper(stable_diffusion, clip, autoencoder, motion, base=named(PAPER), dtype=torch.float32)
    if not Path(name).is_dir():
        known = f"train {FROM_SCRATCH}, {PAPER} or the folder of a model"
        raise InvalidInput(
            f"{name} cannot be trained from nothing" if name in INSTANCES else f"{name} is no model and no folder", known
        )
    return MimaFaceModel.from_pretrained(name, torch.float32)


def _parts_hint(missing: list[str]) -> str:
    return "give " + ", ".join(f"{option} FOLDER ({PARTS[option].removeprefix('folder of ')})" for option in missing)


def make_stage(
    model: MimaFaceModel, config: TrainingConfig, data: Path, held_out: Path, photographs: Path | None = None
) -> Stage:
    """Returns the configured stage on folders of shards; photographs are for the autoencoder."""
    from mimaface.data.samples import SIGNALS, shards_in

    if config.stage == "autoencoder":
        from .autoencoding import AutoencoderStage

        return AutoencoderStage(model, config, data, held_out, photographs)
    if config.stage == "refiner":
        from .refining import RefinerStage

        return RefinerStage(model, config, data, held_out)
    from .denoising import DenoisingStage, encoder_of
    from .distilling import DistillingStage
    from .latents import prepare_latents

    unknown = {signal.name for signal in model.config.appearance.signals} - set(SIGNALS)
    if unknown:
        raise InvalidInput(
            f"{model.config.name} is driven by {', '.join(sorted(unknown))}, which shards do not hold",
            "train a model that ARKit blendshapes drive",
        )
    own = model.config.sampler.steps
    if config.stage == "distill" and own <= config.student_steps and model.config.guidance == 1:
        raise InvalidInput(f"{model.config.name} samples in {own} steps without guidance: a student could not be faster", "use it as it is")
    stores = [prepare_latents(model, shards_in(folder), encoder_of(model)) for folder in (data, held_out)]
    return (DistillingStage if config.stage == "distill" else DenoisingStage)(model, config, *stores)
