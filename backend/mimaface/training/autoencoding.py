"""Training stage of the ``demo`` autoencoder on crops of rendered heads and photographs (spec 6.7)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from mimaface.data.samples import read_shards, shards_in
from mimaface.engines.precision import autocast
from mimaface.model.autoencoder import SmallAutoencoder
from mimaface.model.family import MimaFaceModel
from mimaface.pictures import load_pictures
from mimaface.protocol.errors import InvalidInput
from mimaface.sampling.conditions import as_images, rows_of_pictures

from .config import Losses, TrainingConfig
from .loop import Batch, Stage, item_generator

CROP = 128  # pixels per side of a crop. Higher: more context in a step, and fewer crops a second
LEVELS = 3  # bands of the loss, the coarsest of 8 pixels, a latent pixel's width. Higher: the loss also weighs broad shading


class Autoencoding(nn.Module):
    """Reconstructs crops; the loss is L1 on pixels and on the bands of a Laplacian pyramid, which preserves sharp eyes."""

    def __init__(self, autoencoder: SmallAutoencoder, losses: Losses) -> None:
        super().__init__()
        self.autoencoder, self.losses = autoencoder, losses

    def forward(self, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        """images (B, 3, S, S) in [−1, 1], noise (B, C, h, w) N(0, 1) → losses."""
        images = tensors["images"].contiguous(memory_format=torch.channels_last)
        latents = self.autoencoder.encode(images).latents
        spread = latents.detach().float().std(dim=(0, 2, 3), keepdim=True)
        result = self.autoencoder.decode(latents + self.losses.latent_noise * spread * tensors["noise"]).sample.float()
        pixels = (result - images).abs().mean()
        bands = sum((a - b).abs().mean() for a, b in zip(laplacian(result), laplacian(images)))
        loss = pixels + bands + self.losses.latent_weight * latents.float().square().mean()
        return {"loss": loss, "pixels": pixels, "squared": (result - images).square().mean()}


def laplacian(images: Tensor) -> list[Tensor]:
    """Returns the finest Laplacian bands (N, 3, H/2ⁱ, W/2ⁱ) of pictures (Burt and Adelson 1983)."""
    bands = []
    for _ in range(LEVELS):
        smaller = functional.avg_pool2d(images, 2)
        bands.append(images - functional.interpolate(smaller, scale_factor=2.0, mode="bilinear", align_corners=False))
        images = smaller
    return bands


class AutoencoderStage(Stage):
    """Trains ``vae``; measures its latents' statistics when the model is saved."""

    def __init__(
        self, model: MimaFaceModel, config: TrainingConfig, data: Path, held_out: Path, photographs: Path | None
    ) -> None:
        if not isinstance(model.vae, SmallAutoencoder):
            raise InvalidInput(f"{model.config.name} has a pretrained autoencoder", "train its image stage")
        self.model, self.config = model, config
        self.trainee = Autoencoding(model.vae, config.losses)
        model.vae.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's types lack it
        self.rendered = [
            picture
            for sample in read_shards(shards_in(data))
            for picture in (sample.source, *sample.driven[::2], sample.projected[0])
        ]
        self.photographs = load_pictures(photographs) if photographs else []
        for kind, pictures in (("render", self.rendered), ("photograph", self.photographs)):
            _check_sizes(kind, pictures)
        self.held_out = [sample.driven[0] for sample in read_shards(shards_in(held_out))][:16]

    def batch(self, step: int, places: range) -> Batch:
        crops, noise, names = [], [], []
        for place in places:
            draw = item_generator(self.config.seed, step, place)
            crop, name = self._crop(draw)
            crops.append(crop)
            names.append(name)
            side = CROP // 2 ** len(self.model.vae.config.widths)
            noise.append(torch.randn(self.model.config.latent_channels, side, side, generator=draw))
        return Batch({"images": as_images(np.stack(crops)), "noise": torch.stack(noise)}, names)

    def _crop(self, draw: torch.Generator) -> tuple[np.ndarray, str]:
        """Returns a random crop (S, S, 3) uint8 and its name; photographs are also scaled and tinted at random."""

        def uniform() -> float:
            return float(torch.rand(1, generator=draw))

        photograph = bool(self.photographs) and uniform() < self.config.losses.photographs
        pool = self.photographs if photograph else self.rendered
        number = int(uniform() * len(pool))
        picture = pool[number]
        stride = 1 + int(uniform() * min(3, min(picture.shape[:2]) // CROP)) if photograph else 1
        top = int(uniform() * (picture.shape[0] - CROP * stride + 1))
        left = int(uniform() * (picture.shape[1] - CROP * stride + 1))
        crop = picture[top : top + CROP * stride, left : left + CROP * stride]
        crop = crop.reshape(CROP, stride, CROP, stride, 3).mean((1, 3)) if stride > 1 else crop
        if uniform() < 0.5:
            crop = crop[:, ::-1]
        if photograph:
            gain = np.array([0.7 + 0.6 * uniform() for _ in range(3)])
            crop = np.clip(crop * gain, 0, 255)
        return np.ascontiguousarray(crop, np.uint8), f"{'photograph' if photograph else 'render'} {number}"

    def evaluate(self) -> tuple[dict[str, float], Any]:
        """Returns the PSNR of held-out pictures in dB, and a sheet of them above their reconstructions."""
        images = as_images(np.stack(self.held_out)).to(self.model.vae.latent_mean.device)
        with autocast(self.config.precision, images.device):
            result = torch.cat([self.model.vae.decode(self.model.vae.encode(x[None]).latents).sample for x in images]).float()
        error = (result.clamp(-1, 1) - images).square().mean((1, 2, 3)) / 4
        return {"psnr": float((-10 * error.log10()).mean())}, rows_of_pictures([images[:8].cpu(), result[:8].cpu()])

    def save_model(self, folder: Path) -> None:
        """Saves the model with this autoencoder, its latents normalised to zero mean and unit deviation."""
        vae = self.model.vae
        with torch.no_grad():
            raw = torch.cat([vae.encode(as_images(picture[None]).to(vae.latent_mean.device)).latents for picture in self.rendered[:256]])
            mean, std = raw.mean((0, 2, 3)), raw.std((0, 2, 3))
            vae.set_statistics(vae.latent_mean + vae.latent_std * mean, vae.latent_std * std)
        self.model.save_pretrained(folder)


def _check_sizes(kind: str, pictures: list[np.ndarray]) -> None:
    for number, picture in enumerate(pictures):
        height, width = picture.shape[:2]
        if min(height, width) < CROP:
            hint = f"the autoencoder is trained on crops: use {CROP} on each side or more"
            raise InvalidInput(f"{kind} {number} has {width} × {height} pixels", hint)
