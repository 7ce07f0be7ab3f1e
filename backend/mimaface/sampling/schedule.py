"""Noise schedule, samplers and guidance as plain functions; samplers are independent of the network and vice versa.

x = signal · clean + noise · ε with ε ~ N(0, 1); a :class:`Point` contains the two factors at one timestep. The
variance-preserving form, the networks' input, has signal² + noise² = 1; the variance-exploding form, in which Euler integrates,
has signal = 1 and noise = σ.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor

from mimaface.protocol.errors import InvalidInput


class Point(NamedTuple):
    """One step of a sampling run: x = signal · clean + noise · ε."""

    timestep: float
    signal: float
    noise: float


Model = Callable[[Tensor, Tensor], Tensor]  # x (variance-preserving), timestep () → ε, v or clean, shaped like x
ConditionalModel = Callable[[Tensor, Tensor, Tensor], Tensor]  # the same with a context (N, L, D)
Denoiser = Callable[[Tensor, Point], Tensor]  # x at a point → the expected clean latents


def scaled_linear_schedule(
    beta_start: float = 0.00085, beta_end: float = 0.012, steps: int = 1000, zero_terminal_snr: bool = False
) -> Tensor:
    """Returns Stable Diffusion's schedule: ᾱ (steps,) float64, √β evenly spaced.

    zero_terminal_snr shifts and scales √ᾱ so that the last is 0 (Lin et al. 2023, Algorithm 1): sampling starts from pure noise.
    """
    betas = torch.linspace(beta_start**0.5, beta_end**0.5, steps, dtype=torch.float64) ** 2
    alphas = torch.cumprod(1 - betas, dim=0)
    if zero_terminal_snr:
        roots = alphas.sqrt()
        alphas = ((roots - roots[-1]) * roots[0] / (roots[0] - roots[-1])) ** 2
    return alphas


def linspace_timesteps(steps: int, train_steps: int = 1000) -> list[float]:
    """Returns fractional timesteps from the last to 0, inclusive: 999, 957.375, 915.75 … for 25 (spec 1.6)."""
    if steps == 1:
        return [float(train_steps - 1)]
    return [(train_steps - 1) * (steps - 1 - i) / (steps - 1) for i in range(steps)]


def trailing_timesteps(steps: int, train_steps: int = 1000) -> list[float]:
    """Returns evenly spaced whole timesteps from the last, without 0: 999, 749, 499, 249 for 4 (Lin et al. 2023)."""
    return [float(round(train_steps - i * train_steps / steps) - 1) for i in range(steps)]


SPACINGS = {"linspace": linspace_timesteps, "trailing": trailing_timesteps}


def euler_points(alphas: Tensor, timesteps: Sequence[float]) -> list[Point]:
    """Returns variance-exploding points, σ linear between whole timesteps, σ = 0 at the end. Raises :class:`InvalidInput` at σ =
    ∞.
    """
    if float(alphas[-1]) == 0:
        raise InvalidInput("Euler cannot start at zero signal-to-noise, where sigma is infinite", "sample with ddim")
    sigmas = ((1 - alphas) / alphas).sqrt()
    return [Point(t, 1.0, _interpolated(sigmas, t)) for t in timesteps] + [Point(0.0, 1.0, 0.0)]


def ddim_points(alphas: Tensor, timesteps: Sequence[float]) -> list[Point]:
    """Returns variance-preserving points, ᾱ linear between whole timesteps, noise 0 at the end."""
    levels = [_interpolated(alphas, t) for t in timesteps]
    return [Point(t, a**0.5, (1 - a) ** 0.5) for t, a in zip(timesteps, levels)] + [Point(0.0, 1.0, 0.0)]


def _interpolated(values: Tensor, index: float) -> float:
    low = math.floor(index)
    high = min(low + 1, len(values) - 1)
    return float(values[low] + (values[high] - values[low]) * (index - low))


def from_epsilon(model: Model) -> Denoiser:
    """Returns the denoiser of a network that predicts ε: clean = (x − noise · ε) / signal."""

    def denoise(x: Tensor, point: Point) -> Tensor:
        size = math.hypot(point.signal, point.noise)
        epsilon = model(x / size, _timestep(x, point))
        return (x - point.noise * epsilon) / point.signal

    return denoise


def from_v(model: Model) -> Denoiser:
    """Returns the denoiser of a network that predicts v = signal · ε − noise · clean: clean = signal · x − noise · v (Salimans,
    Ho 2022).
    """

    def denoise(x: Tensor, point: Point) -> Tensor:
        size = math.hypot(point.signal, point.noise)
        velocity = model(x / size, _timestep(x, point))
        return (point.signal / size) * (x / size) - (point.noise / size) * velocity

    return denoise


def from_sample(model: Model) -> Denoiser:
    """Returns the denoiser of a network that predicts the clean latents."""

    def denoise(x: Tensor, point: Point) -> Tensor:
        return model(x / math.hypot(point.signal, point.noise), _timestep(x, point))

    return denoise


PREDICTIONS = {"epsilon": from_epsilon, "v": from_v, "sample": from_sample}


def clean_of(prediction: str, output: Tensor, x: Tensor, signal: Tensor, noise: Tensor) -> Tensor:
    """Returns the clean latents from a network's output at x = signal · clean + noise · ε; all shapes equal or broadcast.

    Like the denoisers above, with one timestep per batch item.
    """
    if prediction == "epsilon":
        return (x - noise * output) / signal
    return signal * x - noise * output if prediction == "v" else output


def _timestep(x: Tensor, point: Point) -> Tensor:
    return torch.tensor(point.timestep, dtype=torch.float32, device=x.device)


def euler(denoise: Denoiser, noise: Tensor, points: Sequence[Point]) -> Iterator[Tensor]:
    """Euler's method on dx/dσ = (x − clean) / σ (Karras et al. 2022, Algorithm 1) over :func:`euler_points`.

    noise N(0, 1) of the latents' shape. Yields x after each step; the last is the clean result.
    """
    x = noise * points[0].noise
    for now, after in pairwise(points):
        slope = (x - denoise(x, now)) / now.noise
        x = x + slope * (after.noise - now.noise)
        yield x


def ddim(
    denoise: Denoiser, noise: Tensor, points: Sequence[Point], eta: float = 0.0, generator: torch.Generator | None = None
) -> Iterator[Tensor]:
    """DDIM (Song et al. 2020, Eq. 12 and 16) over :func:`ddim_points`; eta > 0 adds noise drawn from ``generator``.

    noise N(0, 1) of the latents' shape. Yields x after each step; the last is the clean result.
    """
    x = noise
    for now, after in pairwise(points):
        clean = denoise(x, now)
        epsilon = (x - now.signal * clean) / now.noise
        ratio = max(0.0, 1 - (now.signal / after.signal) ** 2)
        fresh = eta * after.noise / now.noise * ratio**0.5
        x = after.signal * clean + math.sqrt(max(0.0, after.noise**2 - fresh**2)) * epsilon
        if fresh > 0:
            x = x + fresh * gaussian(x.shape, generator, x.device, x.dtype)
        yield x


def guidance(model: ConditionalModel, context: Tensor, scale: float) -> Model:
    """Classifier-free guidance with an all-zero unconditional context: u + scale · (c − u).

    Both halves run as one batch of 2·B, the unconditional first; a scale of 1 runs a single batch of B.
    """
    if scale == 1:
        return lambda x, timestep: model(x, timestep, context)
    both = torch.cat([torch.zeros_like(context), context])

    def guided(x: Tensor, timestep: Tensor) -> Tensor:
        unconditional, conditional = model(torch.cat([x, x]), timestep, both).chunk(2)
        return unconditional + scale * (conditional - unconditional)

    return guided


def gaussian(shape: Sequence[int], generator: torch.Generator | None, device: torch.device, dtype: torch.dtype) -> Tensor:
    """Returns N(0, 1) drawn in float32 on the generator's device, so that all devices get the same numbers."""
    source = generator.device if generator is not None else torch.device("cpu")
    return torch.randn(*shape, generator=generator, device=source).to(device, dtype)


def add_noise(alphas: Tensor, clean: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
    """Returns the training input x = √ᾱ · clean + √(1 − ᾱ) · noise for whole timesteps (B,); clean, noise (B, …)."""
    signal, level = _factors(alphas, clean, timesteps)
    return signal * clean + level * noise


def training_target(prediction: str, alphas: Tensor, clean: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
    """Returns the training target: ε, v = √ᾱ · ε − √(1 − ᾱ) · clean, or clean. Shapes as in :func:`add_noise`."""
    if prediction != "v":
        return noise if prediction == "epsilon" else clean
    signal, level = _factors(alphas, clean, timesteps)
    return signal * noise - level * clean


def min_snr_weight(prediction: str, alphas: Tensor, timesteps: Tensor, gamma: float = 5.0) -> Tensor:
    """Returns the loss weight (B,) of Hang et al. 2023: min(SNR, γ) / SNR for ε, min(SNR, γ) + 1 for clean latents, that over SNR
    + 1 for v.

    Departure: their weight for clean latents, min(SNR, γ), is zero at a zero terminal SNR and would leave the first sampling step
    untrained.
    """
    level = alphas.to(timesteps.device)[timesteps]
    snr = level / (1 - level)
    clipped = snr.clamp(max=gamma)
    weight = {"epsilon": clipped / snr, "v": (clipped + 1) / (snr + 1), "sample": clipped + 1}
    return weight[prediction].float()


def _factors(alphas: Tensor, like: Tensor, timesteps: Tensor) -> tuple[Tensor, Tensor]:
    level = alphas.to(timesteps.device)[timesteps].reshape(-1, *([1] * (like.ndim - 1)))
    return level.sqrt().to(like), (1 - level).sqrt().to(like)
