"""Generators for samples with precomputed conditions: clip by clip as at inference, with the refiner or the plain decoder."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from mimaface.data.samples import SIGNALS, Sample
from mimaface.engines.torch_engine import TorchEngine
from mimaface.model.refiner import feathered, refined
from mimaface.protocol.arrays import Array
from mimaface.sampling.clips import Clip, ClipPlan
from mimaface.sampling.conditions import Conditions, as_images, as_pictures, blanked
from mimaface.sampling.sampler import ClipInputs, generate_clips
from mimaface.training.latents import conditions_of


def autoencoder_generator(engine: TorchEngine) -> Callable[[Sample], Array]:
    """Returns a generator that encodes and decodes the truth: the upper bound."""
    return lambda sample: as_pictures(engine.decode_latents(engine.encode_images(as_images(sample.driven))))


def model_generator(
    engine: TorchEngine, steps: int | None = None, photo: bool = True, affinity: bool = True, without: tuple[str, ...] = ()
) -> Callable[[Sample], Array]:
    """Returns a generator of the model; non-consecutive frames are clips of their own. ``photo``: use its refiner, if any;
    ``without`` as in ``TrainingConfig``.
    """

    def generate(sample: Sample) -> Array:
        frame_conditions = conditions_of(engine.encode_images, sample, engine.config, engine.device)
        latents = generate_latents(engine, sample, frame_conditions, steps, affinity, without)
        if not photo or not engine.has_refiner:
            return as_pictures(engine.decode_latents(latents))
        side = frame_conditions.picture.shape[-1]
        change = engine.refine(**frame_conditions.refiner_inputs(latents))
        return as_pictures(refined(frame_conditions.picture, feathered(change, side), side))

    return generate


def generate_latents(
    engine: TorchEngine,
    sample: Sample,
    frame_conditions: Conditions,
    steps: int | None,
    affinity: bool = True,
    without: tuple[str, ...] = (),
) -> Tensor:
    """Returns latents (F, C, h, w) of a sample's frames for their conditions."""
    tokens = engine.encode_source(as_images(sample.source[None]))
    config = engine.config
    conditions = frame_conditions.channels(dict(config.conditions))
    if "render" in without:
        conditions = blanked(conditions)
    signals = {name: torch.from_numpy(sample.signals[name].copy()) for name in SIGNALS}
    if "coefficients" in without:
        signals = {name: torch.zeros_like(value) for name, value in signals.items()}
    length = min(config.clip_length, len(sample)) if sample.rate else 1
    overlap = config.overlap if affinity and length == config.clip_length and length > config.overlap else 0
    plan = ClipPlan(len(sample), length, overlap)

    def inputs(clip: Clip) -> ClipInputs:
        frames = list(clip.frames)
        spatial, driven = ({name: value[frames] for name, value in each.items()} for each in (conditions, signals))
        return ClipInputs(spatial, driven)

    made = [clip.new for clip in generate_clips(engine, plan, tokens, inputs, 0, steps=steps) if clip is not None]
    return torch.cat(made)
