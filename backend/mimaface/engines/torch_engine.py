"""Runs the networks of a model with torch; the interface is :class:`mimaface.engines.base.Engine`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mimaface.model.config import MimaFaceConfig
from mimaface.model.family import MimaFaceModel
from mimaface.model.refiner import Refinement
from mimaface.model.vision import VisionTokens

from .precision import fast_dtype

SMALL_LATENTS = 32  # pixels per side of latents up to which plain matrix products are the faster attention on a CPU


class TorchEngine:
    """The networks of one model on one device. Every method runs without gradients and returns on that device."""

    name = "torch"

    def __init__(self, model: MimaFaceModel) -> None:
        self._model = model

    @classmethod
    def open(cls, folder: Path | str, device: torch.device | str = "cpu", dtype: torch.dtype | None = None) -> TorchEngine:
        """Load a checkpoint folder; dtype None: the fast type of the device. Raises :class:`InvalidCheckpoint`."""
        model = load_model(folder, dtype or fast_dtype(torch.device(device).type), device)
        lay_out(model)
        return cls(model)

    @property
    def config(self) -> MimaFaceConfig:
        return self._model.config

    @property
    def device(self) -> torch.device:
        return self._model.unet.conv_in.weight.device

    @property
    def has_refiner(self) -> bool:
        return self._model.refiner is not None

    def _put(self, value: Tensor, part: torch.nn.Module) -> Tensor:
        weight = next(part.parameters())
        return value.to(weight.device, weight.dtype)

    @torch.inference_mode()
    def encode_images(self, images: Tensor) -> Tensor:
        """RGB in [−1, 1] (N, 3, H, W) → float32 latents (N, C, h, w), one picture at a time."""
        return torch.cat([self._model.encode_images(self._put(image[None], self._model.vae)) for image in images]).float()

    @torch.inference_mode()
    def decode_latents(self, latents: Tensor) -> Tensor:
        """latents (N, C, h, w) → float32 RGB in [−1, 1] (N, 3, H, W), one picture at a time."""
        return torch.cat([self._model.decode_latents(self._put(each[None], self._model.vae)) for each in latents]).float()

    @torch.inference_mode()
    def refine(self, **inputs: Tensor) -> Refinement:
        """Run the refiner; see :meth:`Refiner.forward`. Only for models with a refiner."""
        decoder = self._model.refiner
        assert decoder is not None
        change: Refinement = decoder(**{name: self._put(value, decoder) for name, value in inputs.items()})
        return change

    @torch.inference_mode()
    def encode_source(self, image: Tensor) -> VisionTokens:
        """One portrait, RGB in [−1, 1] (1, 3, H, W) → its tokens; keep them for the whole shot."""
        return self._model.encode_source(image.to(self.device))

    @torch.inference_mode()
    def context(self, source: VisionTokens, signals: Mapping[str, Tensor]) -> Tensor:
        """Tokens of one portrait and the signals of a clip, name → (F, n) or (n,) → context (F, L, D)."""
        batched = {name: self._put(value, self._model.appearance)[None] for name, value in signals.items()}
        tokens = VisionTokens(*(self._put(value, self._model.appearance) for value in source))
        return self._model.context(tokens, batched)

    @torch.inference_mode()
    def denoise(self, sample: Tensor, timestep: Tensor, context: Tensor) -> Tensor:
        """The U-Net on stacked input channels (B, C, F, h, w), context (B·F, L, D) → float32 (B, C, F, h, w)."""
        unet = self._model.unet
        prediction: Tensor = unet(self._put(sample, unet), timestep, self._put(context, unet))
        return prediction.float()


def load_model(folder: Path | str, dtype: torch.dtype, device: torch.device | str = "cpu") -> MimaFaceModel:
    """Load the networks of a checkpoint folder in ``dtype``, with exceptions that stay float32. Raises :class:`InvalidCheckpoint`.

    The time embedding, because differences between timesteps are small; the refiner, whose bfloat16 rounding flickers. With float16 also the
    autoencoder, of which Stable Diffusion's overflows, and the appearance networks, which are wrong by up to 6 %. All are cheap.
    """
    model = MimaFaceModel.from_pretrained(folder, dtype, device)
    model.unet.time_embedding.float()
    if dtype == torch.float16:
        model.vae.float()
        model.appearance.float()
    if model.refiner is not None:
        model.refiner.float()
    return model


def lay_out(model: MimaFaceModel) -> None:
    """Select the fastest memory layout of the weights and the fastest attention for the device; values do not change."""
    networks: tuple[Any, ...] = (model.unet, model.vae, model.refiner)
    for part in filter(None, networks):
        part.to(memory_format=torch.channels_last)
    if model.unet.conv_in.weight.device.type == "cpu":
        model.unet.attend_by_matmul(spatial=model.latent_size <= SMALL_LATENTS)
