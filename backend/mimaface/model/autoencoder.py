"""Autoencoders: Stable Diffusion's KL-VAE for ``sd15``, TAESD for its drafts, and a small one for ``demo``."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn import functional

from mimaface.protocol.errors import InternalError, InvalidCheckpoint


class ResidualBlock(nn.Module):
    """x + conv(SiLU(conv(SiLU(x)))), with the last convolution initialised to zero."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(width, width, 3, padding=1)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1)
        for weight in self.conv2.parameters():
            nn.init.zeros_(weight)

    def forward(self, x: Tensor) -> Tensor:
        """x (N, C, H, W) → (N, C, H, W)."""
        residual: Tensor = self.conv2(functional.silu(self.conv1(functional.silu(x))))
        return x + residual


@dataclass
class Encoded:
    latents: Tensor  # (N, C, h, w)


@dataclass
class Decoded:
    sample: Tensor  # RGB (N, 3, H, W)


class SmallAutoencoder(nn.Module):
    """A TAESD-class autoencoder: 8× downsampling, no KL term, and cheap at full resolution, where it works on 2 × 2 pixel blocks.

      widths                  channels at 1/2, 1/4 and 1/8 of the image size
      encoder_blocks, decoder_blocks   residual blocks at each of them

    Latents have zero mean and unit deviation per channel after :meth:`set_statistics`.
    """

    latent_mean: Tensor
    latent_std: Tensor

    def __init__(
        self,
        latent_channels: int = 8,
        widths: tuple[int, ...] = (64, 96, 128),
        encoder_blocks: tuple[int, ...] = (1, 1, 2),
        decoder_blocks: tuple[int, ...] = (1, 3, 3),
        scaling_factor: float = 1.0,
    ) -> None:
        super().__init__()
        self.config = SimpleNamespace(latent_channels=latent_channels, widths=tuple(widths), scaling_factor=scaling_factor)
        self.encoder = nn.Sequential(nn.PixelUnshuffle(2), nn.Conv2d(12, widths[0], 3, padding=1))
        for level, (width, blocks) in enumerate(zip(widths, encoder_blocks)):
            if level:
                self.encoder.append(nn.Conv2d(widths[level - 1], width, 3, stride=2, padding=1))
            self.encoder.extend(ResidualBlock(width) for _ in range(blocks))
        self.encoder.append(nn.Conv2d(widths[-1], latent_channels, 3, padding=1))
        self.decoder = nn.Sequential(nn.Conv2d(latent_channels, widths[-1], 3, padding=1))
        for level in reversed(range(len(widths))):
            self.decoder.extend(ResidualBlock(widths[level]) for _ in range(decoder_blocks[level]))
            if level:
                self.decoder.append(nn.Upsample(scale_factor=2, mode="nearest"))
                self.decoder.append(nn.Conv2d(widths[level], widths[level - 1], 3, padding=1))
        self.decoder.extend([nn.SiLU(), nn.Conv2d(widths[0], 12, 3, padding=1), nn.PixelShuffle(2)])
        self.register_buffer("latent_mean", torch.zeros(latent_channels))
        self.register_buffer("latent_std", torch.ones(latent_channels))

    def encode(self, images: Tensor) -> Encoded:
        """RGB in [−1, 1] (N, 3, H, W) → latents (N, C, H/8, W/8)."""
        return Encoded((self.encoder(images) - self.latent_mean[:, None, None]) / self.latent_std[:, None, None])

    def decode(self, latents: Tensor) -> Decoded:
        """latents (N, C, h, w) → RGB in about [−1, 1] (N, 3, 8·h, 8·w)."""
        return Decoded(self.decoder(latents * self.latent_std[:, None, None] + self.latent_mean[:, None, None]))

    @torch.no_grad()
    def set_statistics(self, mean: Tensor, std: Tensor) -> None:
        """Sets mean and deviation (C,) of the encoder's raw latents over a data set; call once, after training."""
        self.latent_mean.copy_(mean)
        self.latent_std.copy_(std)


Autoencoder: TypeAlias = Any  # of one of these classes; diffusers' types do not express their common encode, decode and config
SMALL = "SmallAutoencoder"
OF_DIFFUSERS = ("AutoencoderKL", "AutoencoderTiny")


def build_autoencoder(config: Mapping[str, Any]) -> Autoencoder:
    """Returns the autoencoder of class ``_class_name`` with initial weights. Raises :class:`InvalidCheckpoint`."""
    name = config.get("_class_name", "AutoencoderKL")
    values = {key: value for key, value in config.items() if not key.startswith("_")}
    if name == SMALL:
        return SmallAutoencoder(**values)
    if name not in OF_DIFFUSERS:
        raise InvalidCheckpoint(f"autoencoder class {name!r} is unknown", f"known are {', '.join((*OF_DIFFUSERS, SMALL))}")
    import diffusers  # 4 s of a processor, which the shipped model does without

    kind = getattr(diffusers, name)
    known = inspect.signature(kind.__init__).parameters  # files also hold fields that other versions of diffusers add by themselves
    return kind(**{key: value for key, value in values.items() if key in known})


def downsampling(autoencoder: Autoencoder) -> int:
    """Returns image pixels per side of a latent pixel."""
    config = autoencoder.config
    if isinstance(autoencoder, SmallAutoencoder):
        return int(2 ** len(config.widths))
    widths = getattr(config, "encoder_block_out_channels", None) or config.block_out_channels  # of AutoencoderTiny, AutoencoderKL
    return int(2 ** (len(widths) - 1))


def encode_images(autoencoder: Autoencoder, images: Tensor) -> Tensor:
    """RGB in [−1, 1] (N, 3, H, W) → latents (N, C, h, w), scaled for the U-Net; the mode of a KL posterior (spec 1.8.5)."""
    encoded = autoencoder.encode(images)
    latents: Tensor = encoded.latent_dist.mode() if hasattr(encoded, "latent_dist") else encoded.latents
    return latents * float(autoencoder.config.scaling_factor)


def decode_latents(autoencoder: Autoencoder, latents: Tensor) -> Tensor:
    """latents (N, C, h, w) → RGB (N, 3, H, W), clamped to [−1, 1]. Raises :class:`InternalError` on overflow."""
    images: Tensor = autoencoder.decode(latents / float(autoencoder.config.scaling_factor)).sample
    if not bool(torch.isfinite(images).all()):
        raise InternalError(
            "the decoder produced numbers that are not finite", "run the autoencoder in bfloat16 or float32, not float16"
        )
    return images.clamp(-1, 1)
