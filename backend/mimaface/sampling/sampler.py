"""Sampler for motions of any length, clip by clip (spec 1.3, 1.6)."""

from __future__ import annotations

import hashlib
import io
import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor

from mimaface.engines.base import Engine
from mimaface.engines.precision import HINT, first_not_finite
from mimaface.model.config import MimaFaceConfig, SamplerConfig
from mimaface.model.motion_unet import Affinity, add_residual, affinity_from, stack_input
from mimaface.model.vision import VisionTokens
from mimaface.protocol.errors import InvalidInput, NotFinite

from . import schedule
from .clips import Clip, ClipPlan, Memory

log = logging.getLogger(__name__)
# the U-Net: stacked channels (B, channels, F, h, w), timestep, context (B·F, L, D) → (B, C, F, h, w)
Network = Callable[[Tensor, Tensor, Tensor], Tensor]
# Pixels of head motion in the generated picture after which 63 % of the residual is renewed. Raised: calmer, but the residual
# belongs to an earlier pose. From 1 on, a face that trembles by 0.05° flickers at most 10 % more than its reprojection.
RENEWAL_PIXELS = 2.0
STORED_CLIPS = 2  # clips: frames are stored in order, so a resumed run starts in the last clip or the next


@dataclass(frozen=True, eq=False)
class ClipInputs:
    """Inputs of one clip: conditions name → latents (F, c, h, w), signals name → (F, n) or, constant, (n,).

    ``moved`` (F,): distance of each frame's pose from the previous frame's, in pixels of the generated picture; the networks'
    output is then smoothed along the motion, see :func:`smoothed_along_motion`. None: frames are independent.
    """

    conditions: Mapping[str, Tensor]
    signals: Mapping[str, Tensor]
    moved: Tensor | None = None


@dataclass(frozen=True, eq=False)
class GeneratedClip:
    """A finished clip: all its latents (F, C, h, w); ``new`` are those of frames not produced before."""

    clip: Clip
    latents: Tensor

    @property
    def new(self) -> Tensor:
        """Latents (len(clip.new), C, h, w) of the shot frames ``clip.new``."""
        return self.latents[self.clip.given : self.clip.given + len(self.clip.new)]

    def tail(self, overlap: int) -> Tensor:
        """Returns the latents (overlap, C, h, w) from which the next clip, or a resumed run, starts."""
        return self.latents[len(self.latents) - overlap :]


def generate_clips(  # house: four of the nine are options that are given by name
    engine: Engine,
    plan: ClipPlan,
    source: VisionTokens,
    inputs: Callable[[Clip], ClipInputs],
    seed: int,
    *,
    steps: int | None = None,
    guidance: float | None = None,
    first: int = 0,
    previous: Tensor | None = None,
) -> Iterator[GeneratedClip | None]:
    """Generates the clips of a plan from clip ``first`` on: yields None after each denoising step, then the finished clip.

    ``inputs`` is called once per clip, so memory does not grow with the shot. The noise of a clip depends on (seed, clip index)
    alone, so a run resumed with ``first`` and ``previous``, the latents (overlap, C, h, w) of :meth:`GeneratedClip.tail`,
    continues exactly. steps and guidance default to the model's. Raises :class:`InvalidInput` if the overlap latents of a resumed
    clip are missing, and :class:`NotFinite` if a step's latents are not finite in two attempts.
    """
    if first > 0 and plan.overlap > 0 and (previous is None or len(previous) != plan.overlap):
        raise InvalidInput(f"clip {first} needs the {plan.overlap} latents before it", "resume from an earlier clip")
    for index in range(first, len(plan)):
        clip = plan[index]
        driven = inputs(clip)
        noise = clip_noise(seed, clip, driven, engine.config.latent_channels).to(engine.device)
        latents = noise
        context = engine.context(source, driven.signals)
        conditions = {name: value.transpose(0, 1)[None].to(noise) for name, value in driven.conditions.items()}
        overlap_latents = None if previous is None else previous.transpose(0, 1)[None].to(noise)  # (1, C, k, h, w)
        start = partial(sample_clips, engine.denoise, engine.config, noise, conditions, context, overlap_latents, steps, guidance)
        for step in finite_steps(start, clip, steps or engine.config.sampler.steps):
            latents = step
            yield None
        finished = GeneratedClip(clip, smoothed_along_motion(latents[0].transpose(0, 1), driven, engine.config.residual_of, previous))
        previous = finished.tail(plan.overlap) if plan.overlap else None
        yield finished


def smoothed_along_motion(latents: Tensor, inputs: ClipInputs, residual_of: str, previous: Tensor | None) -> Tensor:
    """Smooths latents (F, C, h, w) of a clip along the motion: each frame blends in the residual of the previous frame, the more
    the less the pose has moved. While a pose is held, frames are bitwise equal.

    The residual is the difference to the condition ``residual_of``; with "" it is the latents themselves. ``previous`` (k, C, h,
    w), the overlap latents, are unchanged, for their frames are finished.
    """
    if inputs.moved is None:
        return latents
    result = latents.clone()
    given = 0 if previous is None else len(previous)
    if previous is not None:
        result[:given] = previous.to(result)
    base = inputs.conditions[residual_of].to(result) if residual_of else torch.zeros_like(result)
    fresh = 1 - torch.exp(-inputs.moved.to(result) / RENEWAL_PIXELS)
    for place in range(max(given, 1), len(result)):
        carried = result[place - 1] + (base[place] - base[place - 1])  # bitwise unchanged where neither moves
        result[place] = carried + fresh[place] * (latents[place] - carried)
    return result


def finite_steps(start: Callable[[], Iterator[Tensor]], clip: Clip, count: int) -> Iterator[Tensor]:
    """Yields x (1, C, F, h, w) after each of ``count`` steps; restarts a clip once from its noise when a step is not finite.

    Raises :class:`NotFinite` with the step and the frame.
    """
    where = ""
    for _ in range(2):
        for number, x in enumerate(start(), 1):
            place = first_not_finite(x)
            if place is not None:
                where = f"step {number} of {count} gave, for frame {clip.frames[place]},"
                break
            yield x
        else:
            return
        log.warning("%s numbers that are not finite", where)
    raise NotFinite(f"{where} numbers that are not finite, twice", HINT)


def clip_noise(seed: int, clip: Clip, inputs: ClipInputs, channels: int) -> Tensor:
    """Returns N(0, 1) of shape (1, C, F, h, w) that depends only on the seed and the clip's index."""
    size = next(iter(inputs.conditions.values())).shape[-2:]
    digest = hashlib.sha256(f"clip {clip.index} of seed {seed}".encode()).digest()
    generator = torch.Generator().manual_seed(int.from_bytes(digest[:7], "big"))
    shape = (1, channels, len(clip.frames), *size)
    return schedule.gaussian(shape, generator, torch.device("cpu"), torch.float32)


def sample_clips(
    network: Network,
    config: MimaFaceConfig,
    noise: Tensor,
    conditions: Mapping[str, Tensor],
    context: Tensor,
    previous: Tensor | None = None,
    steps: int | None = None,
    guidance: float | None = None,
) -> Iterator[Tensor]:
    """Denoises B clips from ``noise`` (B, C, F, h, w); yields x (B, C, F, h, w) after each step.

    conditions: name → (B, c, F, h, w); context (B·F, L, D); previous (B, C, k, h, w): overlap latents of the previous clips, None
    for first clips. steps and guidance default to the model's. Raises :class:`InvalidInput`.
    """
    model = conditional(network, config, conditions, affinity_from(previous, noise))
    guided = schedule.guidance(model, context, config.guidance if guidance is None else guidance)
    return _start(config.sampler, guided, noise, steps)


def conditional(
    network: Network, config: MimaFaceConfig, conditions: Mapping[str, Tensor], affinity: Affinity
) -> schedule.ConditionalModel:
    """Returns the U-Net bound to conditions, name → (B, c, F, h, w), with the residual added: x (B, C, F, h, w), or (2·B, …)
    under guidance.
    """

    def model(x: Tensor, timestep: Tensor, context: Tensor) -> Tensor:
        copies = len(x) // len(affinity.mask)  # 2 under guidance; the conditions are the same for both
        expanded = {name: value.repeat(copies, 1, 1, 1, 1) for name, value in conditions.items()}
        known = Affinity(*(value.repeat(copies, 1, 1, 1, 1) for value in affinity))
        output = network(stack_input(x, expanded, known, config.conditions), timestep, context)
        return add_residual(output, expanded, config.residual_of)

    return model


def _start(sampler: SamplerConfig, model: schedule.Model, noise: Tensor, steps: int | None = None) -> Iterator[Tensor]:
    """Starts the configured sampler on a network with the configured prediction type."""
    alphas = schedule.scaled_linear_schedule(
        sampler.beta_start, sampler.beta_end, sampler.train_steps, sampler.zero_terminal_snr
    )
    count = sampler.steps if steps is None else steps
    if not 1 <= count <= sampler.train_steps:
        raise InvalidInput(f"{count} sampling steps are out of range", f"use 1 to {sampler.train_steps}")
    timesteps = schedule.SPACINGS[sampler.spacing](count, sampler.train_steps)
    denoise = schedule.PREDICTIONS[sampler.prediction](model)
    if sampler.method == "euler":
        return schedule.euler(denoise, noise, schedule.euler_points(alphas, timesteps))
    return schedule.ddim(denoise, noise, schedule.ddim_points(alphas, timesteps))


def remember(done: GeneratedClip, plan: ClipPlan, memory: Memory, name: str = "clip") -> None:
    """Stores the overlap latents of a finished clip under ``name``, and deletes those before the last two clips."""
    index = done.clip.index
    memory.pop(f"{name}-{index - STORED_CLIPS:06d}", None)
    stream = io.BytesIO()
    np.save(stream, done.tail(plan.overlap).float().cpu().numpy())
    memory[f"{name}-{index:06d}"] = stream.getvalue()


def resume_point(plan: ClipPlan, start: int, memory: Memory, name: str = "clip") -> tuple[int, Tensor | None]:
    """Returns the clip to start with for frame ``start``, and its overlap latents (overlap, C, h, w) or None."""
    wanted = next(index for index in range(len(plan)) if start < plan[index].new.stop)
    for index in range(wanted, 0, -1):
        key = f"{name}-{index - 1:06d}"
        if key in memory:
            return index, torch.from_numpy(np.load(io.BytesIO(memory[key]), allow_pickle=False))
    return 0, None
