"""Networks of a model as exportable graphs: float32 tensors in and out, one per method of
:class:`mimaface.engines.base.Engine`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from mimaface.engines.exported import CONTEXT, DECODE, DENOISE, ENCODE, REFINE, VISION
from mimaface.engines.parity import Inputs, random_inputs
from mimaface.model.autoencoder import build_autoencoder, downsampling, encode_images
from mimaface.model.checkpoint import without_memory
from mimaface.model.config import MimaFaceConfig
from mimaface.model.family import MimaFaceModel
from mimaface.model.motion_unet import MotionUNet
from mimaface.model.refiner import Refinement
from mimaface.model.vision import CLIP_MEAN, CLIP_STD, VisionTokens

FREE = torch.export.Dim.DYNAMIC


@dataclass(frozen=True, eq=False)
class Network:
    """A network to export.

      module   maps float32 tensors in the order of ``free`` to as many outputs as ``outputs`` names
      free     name of an input → its dynamic dimensions; all others are fixed
    """

    module: nn.Module
    free: dict[str, dict[int, Any]]
    outputs: tuple[str, ...]


def networks(model: MimaFaceModel) -> dict[str, Network]:
    """Returns all networks of a model by the engine method that they implement."""
    config = model.config
    pictures = {0: FREE}
    names = tuple(signal.name for signal in config.appearance.signals)
    vision = Vision(model.vision, config.image_size, int(config.vision["image_size"]))
    found = {
        ENCODE: Network(Encode(model.vae), {"images": pictures}, ("latents",)),
        DECODE: Network(Decode(model.vae), {"latents": pictures}, ("images",)),
        VISION: Network(vision, {"image": {}}, VisionTokens._fields),
        CONTEXT: Network(
            Context(model.appearance, names),
            {"class_token": {}, "tokens": {}, **dict.fromkeys(names, pictures)},
            ("context",),
        ),
        DENOISE: Network(
            Denoise(model.unet), {"sample": {0: FREE, 2: FREE}, "timestep": {}, "context": pictures}, ("prediction",)
        ),
    }
    if model.refiner is not None:
        given = tuple(random_inputs(config, model.latent_size, 1, 1).refiner)
        found[REFINE] = Network(Refine(model.refiner, given), dict.fromkeys(given, pictures), Refinement._fields)
    return found


def example(network: str, given: Inputs) -> tuple[Tensor, ...]:
    """Returns the inputs of one network, in order, from those of all methods."""
    if network == CONTEXT:
        return (*given.source, *(per_frame(signal, given) for signal in given.signals.values()))
    return {
        ENCODE: (given.images,),
        DECODE: (given.latents,),
        VISION: (given.images[:1],),
        DENOISE: (given.sample, torch.tensor(957.375), given.context),
        REFINE: tuple(given.refiner.values()),
    }[network]


def latent_size_of(config: MimaFaceConfig) -> int:
    """Returns latent pixels per side for a configuration."""
    return config.image_size // downsampling(without_memory(lambda: build_autoencoder(config.vae)))


def per_frame(signal: Tensor, given: Inputs) -> Tensor:
    """A signal (F, n), or (n,) for all F frames, → (F, n)."""
    return signal if signal.ndim == 2 else signal[None].repeat(given.sample.shape[2], 1)


def dtype_of(module: nn.Module) -> torch.dtype:
    """Returns the floating-point type of a network's weights."""
    return next(module.parameters()).dtype


class Encode(nn.Module):
    def __init__(self, vae: Any) -> None:
        super().__init__()
        self.vae = vae

    def forward(self, images: Tensor) -> Tensor:
        return encode_images(self.vae, images.to(dtype_of(self.vae))).float()


class Decode(nn.Module):
    """Not clamped, so that non-finite values remain visible."""

    def __init__(self, vae: Any) -> None:
        super().__init__()
        self.vae = vae

    def forward(self, latents: Tensor) -> Tensor:
        images: Tensor = self.vae.decode(latents.to(dtype_of(self.vae)) / float(self.vae.config.scaling_factor)).sample
        return images.float()


class Vision(nn.Module):
    """Downsizes the portrait by matrix products, because not every runtime has torch's antialiased bicubic interpolation."""

    shrink: Tensor  # (clip, side)
    mean: Tensor
    std: Tensor

    def __init__(self, vision: Any, side: int, clip: int) -> None:
        super().__init__()
        self.vision, self.resizes = vision, clip != side
        rows = torch.eye(side)[None, None]  # resizing the unit vectors gives its matrix
        shrink = functional.interpolate(rows, (clip, side), mode="bicubic", antialias=True)[0, 0]
        self.register_buffer("shrink", shrink, persistent=False)
        self.register_buffer("mean", torch.tensor(CLIP_MEAN)[:, None, None], persistent=False)
        self.register_buffer("std", torch.tensor(CLIP_STD)[:, None, None], persistent=False)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        if self.resizes:
            image = (self.shrink @ image @ self.shrink.T).clamp(-1, 1)
        output = self.vision((((image + 1) / 2 - self.mean) / self.std).to(dtype_of(self.vision)))
        return output.class_token.float(), output.tokens.float()


class Context(nn.Module):
    def __init__(self, appearance: nn.Module, names: tuple[str, ...]) -> None:
        super().__init__()
        self.appearance, self.names = appearance, names

    def forward(self, class_token: Tensor, tokens: Tensor, *signals: Tensor) -> Tensor:
        kind = dtype_of(self.appearance)
        given = {name: value.to(kind)[None] for name, value in zip(self.names, signals)}
        context: Tensor = self.appearance(VisionTokens(class_token.to(kind), tokens.to(kind)), given)
        return context.float()


class Denoise(nn.Module):
    def __init__(self, unet: MotionUNet) -> None:
        super().__init__()
        self.unet = unet

    def forward(self, sample: Tensor, timestep: Tensor, context: Tensor) -> Tensor:
        kind = self.unet.conv_in.weight.dtype  # the time embedding has its own dtype
        prediction: Tensor = self.unet(sample.to(kind), timestep, context.to(kind))
        return prediction.float()


class Refine(nn.Module):
    def __init__(self, refiner: nn.Module, names: tuple[str, ...]) -> None:
        super().__init__()
        self.refiner, self.names = refiner, names

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        change: tuple[Tensor, ...] = self.refiner(**dict(zip(self.names, inputs)))
        return tuple(change)
