"""An engine without networks and with known results, for tests of renderers and serving."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional

from mimaface.model.config import MimaFaceConfig
from mimaface.model.instances import DEMO
from mimaface.model.refiner import Refinement
from mimaface.model.vision import VisionTokens


class MockEngine:
    """Latents are the shrunken picture, prediction is the render, and the refiner multiplies all light by ``gain``; see
    :class:`mimaface.engines.base.Engine`. ``has_refiner`` False decodes instead. ``calls`` counts the methods."""

    name = "mock"

    def __init__(self, config: MimaFaceConfig = DEMO, gain: float = 1.0, has_refiner: bool = True) -> None:
        self.config, self.gain, self.has_refiner = config, gain, has_refiner
        self.device = torch.device("cpu")
        self.calls: dict[str, int] = {}

    def _count(self, name: str) -> None:
        self.calls[name] = self.calls.get(name, 0) + 1

    def encode_images(self, images: Tensor) -> Tensor:
        self._count("encode_images")
        latents = images.new_zeros(len(images), self.config.latent_channels, *[self.config.unet["sample_size"]] * 2)
        latents[:, :3] = functional.adaptive_avg_pool2d(images, self.config.unet["sample_size"])
        return latents

    def encode_source(self, image: Tensor) -> VisionTokens:
        self._count("encode_source")
        return VisionTokens(image.mean((2, 3)), image.flatten(2).transpose(1, 2)[:, :1])

    def context(self, source: VisionTokens, signals: Mapping[str, Tensor]) -> Tensor:
        self._count("context")
        frames = max(len(value) if value.ndim == 2 else 1 for value in signals.values())
        return source.class_token[:, None].expand(frames, -1, -1)

    def denoise(self, sample: Tensor, timestep: Tensor, context: Tensor) -> Tensor:
        self._count("denoise")
        return torch.zeros_like(sample[:, : self.config.latent_channels])

    def decode_latents(self, latents: Tensor) -> Tensor:
        self._count("decode_latents")
        return functional.interpolate(latents[:, :3], (self.config.image_size,) * 2, mode="nearest")

    def refine(self, **inputs: Tensor) -> Refinement:
        self._count("refine")
        count, _, height, width = inputs["normals"].shape
        flow = torch.zeros(count, 2, height, width)
        return Refinement(flow, torch.full((count, 3, height, width), self.gain), torch.zeros(count, 3, height, width))
