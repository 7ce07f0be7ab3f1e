"""Exported networks with the interface :class:`mimaface.engines.base.Engine`, independent of the runtime."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from mimaface.model.config import MimaFaceConfig
from mimaface.model.refiner import Refinement
from mimaface.model.vision import VisionTokens
from mimaface.protocol.errors import InternalError

from .exported import CONTEXT, DECODE, DENOISE, ENCODE, REFINE, VISION


class LoadedNetwork(NamedTuple):
    """A loaded network: the names of its inputs in order, and the function that runs it on float32 tensors of the engine's device."""

    inputs: tuple[str, ...]
    run: Callable[..., tuple[Tensor, ...]]


class ExportedEngine:
    """Exported networks of one model on one device; see :class:`mimaface.engines.base.Engine`. Pictures are processed one at a time, so that
    their bytes do not depend on the batch."""

    def __init__(self, config: MimaFaceConfig, device: torch.device, networks: Mapping[str, LoadedNetwork]) -> None:
        self.config, self.device, self.networks = config, device, networks

    @property
    def has_refiner(self) -> bool:
        return REFINE in self.networks

    def _run(self, name: str, *inputs: Tensor) -> tuple[Tensor, ...]:
        ready = [value.to(self.device, torch.float32).contiguous() for value in inputs]
        return self.networks[name].run(*ready)

    def encode_images(self, images: Tensor) -> Tensor:
        return torch.cat([self._run(ENCODE, image[None])[0] for image in images])

    def decode_latents(self, latents: Tensor) -> Tensor:
        """Raises :class:`InternalError` where numbers overflowed."""
        images = torch.cat([self._run(DECODE, each[None])[0] for each in latents])
        if not bool(torch.isfinite(images).all()):
            raise InternalError("the decoder produced numbers that are not finite", "export the model again in float32")
        return images.clamp(-1, 1)

    def refine(self, **inputs: Tensor) -> Refinement:
        names = self.networks[REFINE].inputs
        count = len(inputs[names[0]])
        each = [self._run(REFINE, *(inputs[name][index, None] for name in names)) for index in range(count)]
        return Refinement(*(torch.cat(values) for values in zip(*each)))

    def encode_source(self, image: Tensor) -> VisionTokens:
        return VisionTokens(*self._run(VISION, image))

    def context(self, source: VisionTokens, signals: Mapping[str, Tensor]) -> Tensor:
        frames = max((len(value) for value in signals.values() if value.ndim == 2), default=1)
        names = self.networks[CONTEXT].inputs[len(source) :]
        given = [signals[name] if signals[name].ndim == 2 else signals[name][None].expand(frames, -1) for name in names]
        return self._run(CONTEXT, *source, *given)[0]

    def denoise(self, sample: Tensor, timestep: Tensor, context: Tensor) -> Tensor:
        return self._run(DENOISE, sample, timestep, context)[0]
