"""The interface to the networks of a model, independent of the runtime."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import torch
from torch import Tensor

from mimaface.model.config import MimaFaceConfig
from mimaface.model.refiner import Refinement
from mimaface.model.vision import VisionTokens


class Engine(Protocol):
    """Runs the networks of one model on one device. S: pixels per side of pictures; h: of latents. Returns float32 on that device."""

    @property
    def config(self) -> MimaFaceConfig:
        """The model's configuration."""

    @property
    def device(self) -> torch.device:
        """The device of results."""

    @property
    def has_refiner(self) -> bool:
        """Whether the model has a refiner, so that :meth:`refine` can be called."""

    def encode_images(self, images: Tensor) -> Tensor:
        """RGB in [−1, 1] (N, 3, S, S) → latents (N, C, h, h)."""

    def encode_source(self, image: Tensor) -> VisionTokens:
        """One portrait, RGB in [−1, 1] (1, 3, S, S) → its tokens, which all clips of a shot share."""

    def context(self, source: VisionTokens, signals: Mapping[str, Tensor]) -> Tensor:
        """Tokens of one portrait and the signals of F frames, name → (F, n) or (n,) → context (F, L, D)."""

    def denoise(self, sample: Tensor, timestep: Tensor, context: Tensor) -> Tensor:
        """The U-Net on stacked input channels (B, channels, F, h, h), context (B·F, L, D) → its output (B, C, F, h, h)."""

    def decode_latents(self, latents: Tensor) -> Tensor:
        """latents (N, C, h, h) → RGB in [−1, 1] (N, 3, S, S)."""

    def refine(self, **inputs: Tensor) -> Refinement:
        """Inputs of :meth:`mimaface.sampling.conditions.Conditions.refiner_inputs` → the refiner's output."""
