"""Comparison of two engines of one model, in results and speed, on random inputs of every method."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from mimaface.model.config import MimaFaceConfig
from mimaface.model.vision import VisionTokens

from .base import Engine
from .exported import CONTEXT, DECODE, DENOISE, ENCODE, NETWORKS, REFINE, VISION

# (clips, frames) of the inputs: a still, and the smallest clip with guidance, because full-size models take minutes per clip
COUNTS = (1, 1), (2, 2)


class Inputs(NamedTuple):
    """Random inputs of all methods of an engine: B clips of F frames."""

    images: Tensor
    latents: Tensor
    source: VisionTokens
    signals: dict[str, Tensor]
    sample: Tensor
    context: Tensor
    refiner: dict[str, Tensor]


def random_inputs(config: MimaFaceConfig, size: int, batch: int, frames: int, seed: int = 0) -> Inputs:
    """Returns inputs in [−1, 1]; size: pixels per side of the latents. Signals that a clip's frames share have one frame."""
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> Tensor:
        return 2 * torch.rand(shape, generator=generator) - 1

    side, hidden, channels = config.image_size, config.appearance.token_width, config.latent_channels
    patches = (int(config.vision["image_size"]) // int(config.vision["patch_size"])) ** 2
    appearance = config.appearance
    tokens = 1 + patches + (len(appearance.signals) if appearance.modulation == "concat" else 0)
    signals = {signal.name: draw(frames, signal.size) for signal in appearance.signals}
    signals |= {name: value[0] for name, value in signals.items() if name in ("identity", "albedo", "illumination")}
    shapes = {
        "latents": (channels, size, size), "render": (channels, size, size), "source": (channels, size, size),
        "picture": (3, side, side), "provenance": (3, 2 * size, 2 * size), "normals": (4, 2 * size, 2 * size),
        "source_normals": (4, size, size),
    }  # fmt: skip
    return Inputs(
        draw(batch, 3, side, side),
        draw(batch, channels, size, size),
        VisionTokens(draw(1, hidden), draw(1, 1 + patches, hidden)),
        signals,
        draw(batch, config.input_channels, frames, size, size),
        draw(batch * frames, tokens, appearance.context_width),
        {name: draw(batch, *shape) for name, shape in shapes.items()},
    )


def latent_size(engine: Engine) -> int:
    """Returns the pixels per side of a model's latents."""
    side = engine.config.image_size
    return engine.encode_images(torch.zeros(1, 3, side, side, device=engine.device)).shape[-1]


def call(engine: Engine, network: str, inputs: Inputs) -> tuple[Tensor, ...]:
    """Returns the results of an engine's method for these inputs."""
    methods: dict[str, Callable[[], Tensor | tuple[Tensor, ...]]] = {
        ENCODE: lambda: engine.encode_images(inputs.images.to(engine.device)),
        VISION: lambda: engine.encode_source(inputs.images[:1].to(engine.device)),
        CONTEXT: lambda: engine.context(inputs.source, inputs.signals),
        DENOISE: lambda: engine.denoise(inputs.sample, torch.tensor(957.375), inputs.context),
        DECODE: lambda: engine.decode_latents(inputs.latents.to(engine.device)),
        REFINE: lambda: engine.refine(**inputs.refiner),
    }
    result = methods[network]()
    return (result,) if isinstance(result, Tensor) else tuple(result)


def networks_of(engine: Engine) -> tuple[str, ...]:
    """Returns the names of a model's networks."""
    return tuple(name for name in NETWORKS if name != REFINE or engine.has_refiner)


def difference(engine: Engine, reference: Engine, network: str, inputs: Inputs) -> float:
    """Returns the largest |Δ| of a method's results, relative to the reference's deviation; infinite if a result is not finite."""
    pairs = zip(call(engine, network, inputs), call(reference, network, inputs), strict=True)
    found = [float((a.float().cpu() - b.float().cpu()).abs().max() / b.float().std().clamp(min=1e-6)) for a, b in pairs]
    return max(value if value == value else float("inf") for value in found)


def differences(engine: Engine, reference: Engine, networks: Iterable[str]) -> Iterator[tuple[str, float]]:
    """Yields (network, its largest difference over ``COUNTS``)."""
    size = latent_size(reference)
    for network in networks:
        every = (random_inputs(reference.config, size, *count, seed=seed) for seed, count in enumerate(COUNTS))
        yield network, max(difference(engine, reference, network, inputs) for inputs in every)


def seconds(engine: Engine, network: str, inputs: Inputs, times: int = 2) -> float:
    """Returns the seconds of the fastest of several calls, after a warm-up."""
    found = []
    for _ in range(times + 1):
        start = time.perf_counter()
        call(engine, network, inputs)
        if engine.device.type == "cuda":
            torch.cuda.synchronize()
        found.append(time.perf_counter() - start)
    return min(found[1:])
