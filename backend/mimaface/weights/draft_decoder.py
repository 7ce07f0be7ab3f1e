"""TAESD, a decoder of Stable Diffusion's latents of a hundredth of its VAE's work: installed beside the models, used for drafts."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mimaface.protocol.errors import InvalidCheckpoint, InvalidInput
from mimaface.protocol.files import put_folder, writable

from . import checksums

if TYPE_CHECKING:
    import torch
    from torch import Tensor

CLASS = "AutoencoderTiny"  # diffusers' name


def install(source: Path, target: Path, overwrite: bool = False) -> bool:
    """Checks a published folder, ``config.json`` and weights under diffusers' keys, and copies it; False if it is there already.

    Raises :class:`InvalidCheckpoint` with what does not fit, :class:`InvalidInput`, :class:`NotWritable`.
    """
    if target.exists() and not overwrite:
        if any(problem for _, problem in checksums.compare(target)):
            raise InvalidInput(f"{target} is damaged", "add --overwrite to replace it")
        return False
    config, weights = _read(source)
    from mimaface.model import checkpoint

    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        checkpoint.write_json(part / "config.json", config)
        checkpoint.write_weights(part / checkpoint.DIFFUSERS_WEIGHTS, weights)
        checksums.write(part)
        with writable(target, "choose another MIMAFACE_HOME"):
            put_folder(part, target)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return True


def load(folder: Path, device: torch.device, latent_channels: int, side: int) -> Callable[[Tensor], Tensor]:
    """Returns the decoder: latents (N, ``latent_channels``, h, w) as the U-Net has them → RGB in [−1, 1] (N, 3, ``side``, ``side``).

    Runs in float32. Raises :class:`InvalidCheckpoint` for one of other latents, at the latest when it decodes.
    """
    import torch

    from mimaface.model import checkpoint
    from mimaface.model.autoencoder import build_autoencoder, decode_latents

    config, weights = _read(folder)
    network = checkpoint.without_memory(lambda: build_autoencoder(config))
    checkpoint.load_weights(network, weights, str(folder))
    network.to(device).eval()
    other = InvalidCheckpoint(f"{folder.name} decodes the latents of another model", f"remove it: mimaface models remove {folder.name}")
    if int(network.config.latent_channels) != latent_channels:
        raise other

    @torch.inference_mode()
    def decode(latents: Tensor) -> Tensor:
        images = decode_latents(network, latents.to(device, torch.float32))
        if images.shape[-1] != side:
            raise other
        return images

    return decode


def _read(folder: Path) -> tuple[dict[str, Any], Any]:
    """The configuration and float32 weights of a folder, which fit each other. Raises :class:`InvalidCheckpoint`."""
    import torch

    from mimaface.model import checkpoint
    from mimaface.model.autoencoder import build_autoencoder

    config = checkpoint.public_fields(checkpoint.read_json(folder / "config.json"), with_class=True)
    if config.get("_class_name") != CLASS:
        raise InvalidCheckpoint(f"{folder} holds a {config.get('_class_name')}, no {CLASS}", "name a folder of TAESD")
    weights = checkpoint.read_weights(folder / checkpoint.DIFFUSERS_WEIGHTS, torch.float32)
    try:
        network = checkpoint.without_memory(lambda: build_autoencoder(config))
    except (TypeError, ValueError) as error:
        raise InvalidCheckpoint(f"{folder / 'config.json'}: {error}", "name a folder of TAESD") from error
    checkpoint.check_weights(network.state_dict(), weights, str(folder / checkpoint.DIFFUSERS_WEIGHTS))
    return config, weights
