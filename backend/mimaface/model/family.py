"""``MimaFaceModel``: all parts of a model, loaded from and saved to a folder in the layout of a diffusers pipeline."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from . import checkpoint
from .appearance import build_appearance
from .autoencoder import build_autoencoder, decode_latents, downsampling, encode_images
from .config import EARLIER_NAMES, MimaFaceConfig
from .motion_unet import Affinity, build_motion_unet, initialise_for_training, stack_input
from .refiner import Refiner
from .vision import VisionTokens, build_vision, encode_source, vision_keys

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Part:
    """The file of a part's weights in its folder, and the library that loads it."""

    file: str
    library: str


PARTS = {
    "unet": Part(checkpoint.DIFFUSERS_WEIGHTS, "mimaface.model.motion_unet"),
    "vae": Part(checkpoint.DIFFUSERS_WEIGHTS, "diffusers"),
    "vision": Part(checkpoint.TRANSFORMERS_WEIGHTS, "transformers"),
    "appearance": Part(checkpoint.DIFFUSERS_WEIGHTS, "mimaface.model.appearance"),
    "refiner": Part(checkpoint.DIFFUSERS_WEIGHTS, "mimaface.model.refiner"),  # optional
}


class MimaFaceModel(nn.Module):
    """The model family of spec 1, any instance. A new one has zero motion output and zero W_cond."""

    def __init__(self, config: MimaFaceConfig) -> None:
        super().__init__()
        self.config = config
        self.unet = build_motion_unet(config.unet)
        self.vae = build_autoencoder(config.vae)
        self.vision = build_vision(config.vision)
        self.appearance = build_appearance(config.appearance)
        self.refiner: Refiner | None = None
        if config.refiner:
            block = downsampling(self.vae) // 2
            self.refiner = Refiner(config.latent_channels, block, config.refiner)
        if not self.unet.conv_in.weight.is_meta:
            initialise_for_training(self.unet, config.affinity_channels, bool(config.residual_of))

    def parts(self) -> dict[str, nn.Module]:
        """Returns the networks of this model by name."""
        return {name: getattr(self, name) for name in PARTS if getattr(self, name) is not None}

    @property
    def latent_size(self) -> int:
        """Latent pixels per side."""
        return self.config.image_size // downsampling(self.vae)

    def encode_images(self, images: Tensor) -> Tensor:
        """RGB in [−1, 1] (N, 3, H, W) → latents (N, C, h, w)."""
        return encode_images(self.vae, images)

    def decode_latents(self, latents: Tensor) -> Tensor:
        """latents (N, C, h, w) → RGB in [−1, 1] (N, 3, H, W)."""
        return decode_latents(self.vae, latents)

    def encode_source(self, images: Tensor) -> VisionTokens:
        """Source portraits, RGB in [−1, 1] (B, 3, H, W) → tokens; once per portrait."""
        return encode_source(self.vision, images)

    def context(self, source: VisionTokens, signals: Mapping[str, Tensor]) -> Tensor:
        """Tokens of B portraits and signals name → (B, F, n) → the U-Net's context (B·F, L, D)."""
        context: Tensor = self.appearance(source, signals)
        return context

    def network(
        self, noisy: Tensor, timestep: Tensor, conditions: Mapping[str, Tensor], affinity: Affinity, context: Tensor
    ) -> Tensor:
        """Returns the raw U-Net output (B, C, F, h, w) for noisy latents (B, C, F, h, w), before the residual is added; other
        shapes as in ``motion_unet``.
        """
        output: Tensor = self.unet(stack_input(noisy, conditions, affinity, self.config.conditions), timestep, context)
        return output

    def save_pretrained(self, folder: Path | str, dtype: torch.dtype | None = None) -> None:
        """Writes the checkpoint folder, floating-point weights in ``dtype`` if given. Raises :class:`NotWritable`."""
        target = Path(folder)
        diffusers_version = version("diffusers")
        configurations = {
            "unet": {"_class_name": "MotionUNet", "_diffusers_version": diffusers_version, **self.config.unet},
            "vae": {"_diffusers_version": diffusers_version, **self.config.vae},
            "vision": {"model_type": "clip_vision_model", "architectures": ["CLIPVisionModel"], **self.config.vision},
        }
        index: dict[str, Any] = {"_class_name": "MimaFaceModel", "_diffusers_version": diffusers_version}
        for name, module in self.parts().items():
            part = PARTS[name]
            checkpoint.write_weights(target / name / part.file, module.state_dict(), dtype)
            if name in configurations:
                checkpoint.write_json(target / name / "config.json", configurations[name])
            index[name] = [part.library, type(module).__name__]
        checkpoint.write_json(target / "config.json", self.config.to_json())
        checkpoint.write_json(target / "model_index.json", index)

    @classmethod
    def from_pretrained(
        cls, folder: Path | str, dtype: torch.dtype | None = None, device: torch.device | str = "cpu"
    ) -> MimaFaceModel:
        """Loads a checkpoint folder, strictly and without a second copy. Raises :class:`InvalidCheckpoint`.

        dtype None keeps the stored precision.
        """
        source = Path(folder)
        config = load_config(source)
        model = checkpoint.without_memory(lambda: cls(config))
        for name, module in model.parts().items():
            path = _folder_of(source, name) / PARTS[name].file
            weights = checkpoint.read_weights(path, dtype)
            if name == "vision":
                weights = vision_keys(weights)
            checkpoint.load_weights(module, weights, str(path))
            module.to(device)
        log.info("loaded %s from %s", config.name, source)
        return model.eval()


def _folder_of(checkpoint_folder: Path, part: str) -> Path:
    """Returns a part's folder, also in checkpoints of earlier versions."""
    earlier = [old for old, new in EARLIER_NAMES.items() if new == part and (checkpoint_folder / old).is_dir()]
    return checkpoint_folder / (earlier[0] if earlier else part)


def load_config(folder: Path) -> MimaFaceConfig:
    """Returns the configuration of a checkpoint folder, without its weights. Raises :class:`InvalidCheckpoint`."""
    parts = {
        name: checkpoint.public_fields(checkpoint.read_json(folder / name / "config.json"), name == "vae")
        for name in ("unet", "vae", "vision")
    }
    return MimaFaceConfig.from_json(checkpoint.read_json(folder / "config.json"), parts, str(folder))
