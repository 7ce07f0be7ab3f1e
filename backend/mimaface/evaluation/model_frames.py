"""A model on samples whose conditions are rendered already: clip by clip as in use, by its photo decoder or the plain one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from mimaface.data.samples import SIGNALS, Sample
from mimaface.engines.torch_engine import TorchEngine
from mimaface.model.photo_decoder import feathered, redraw
from mimaface.sampling.clips import Clip, ClipPlan
from mimaface.sampling.images import as_images, as_pictures, normals_condition, origin_condition
from mimaface.sampling.sampler import ClipInputs, generate_clips
from mimaface.training.latents import look_of

Array = NDArray[Any]


def autoencoder_generator(engine: TorchEngine) -> Callable[[Sample], Array]:
    """The ceiling: the truth, encoded and decoded."""
    return lambda sample: as_pictures(engine.decode_latents(engine.encode_images(as_images(sample.driven))))


def model_generator(
    engine: TorchEngine, steps: int | None = None, photo: bool = True, affinity: bool = True, without: tuple[str, ...] = ()
) -> Callable[[Sample], Array]:
    """The model; frames that are no neighbours in time are clips of their own. ``photo``: by its photo decoder, if it has one.
    ``without`` as in ``TrainingConfig``."""
    model = engine.model

    def generate(sample: Sample) -> Array:
        rendered = as_images(getattr(sample, look_of(model.config))).to(engine.device)
        render = engine.encode_images(rendered)
        latents = generate_latents(engine, sample, render, steps, affinity, without)
        if not photo or model.photo_decoder is None:
            return as_pictures(engine.decode_latents(latents))
        side, count = rendered.shape[-1], len(sample)
        still = normals_condition(sample.source_normals[None], model.latent_size)
        change = engine.redrawing(
            latents=latents, render=render, picture=rendered, normals=normals_condition(sample.normals, 2 * model.latent_size),
            origin=origin_condition(sample.origin, 2 * model.latent_size),
            source=engine.encode_images(as_images(sample.source[None])).expand(count, -1, -1, -1),
            source_normals=still.expand(count, -1, -1, -1),
        )  # fmt: skip
        return as_pictures(redraw(rendered, feathered(change, side), side))

    return generate


def generate_latents(
    engine: TorchEngine, sample: Sample, render: Tensor, steps: int | None, affinity: bool = True, without: tuple[str, ...] = ()
) -> Tensor:
    """Latents (F, C, h, w) of a sample's frames from its ``render`` latents (F, C, h, w)."""
    photo = as_images(sample.source[None])
    tokens, source = engine.encode_source(photo), engine.encode_images(photo)
    normals, still = (
        normals_condition(pictures, render.shape[-1]).to(render.device)
        for pictures in (sample.normals, sample.source_normals[None])
    )
    if "render" in without:
        render, normals = torch.zeros_like(render), torch.zeros_like(normals)
    signals = {name: torch.from_numpy(sample.signals[name].copy()) for name in SIGNALS}
    if "coefficients" in without:
        signals = {name: torch.zeros_like(value) for name, value in signals.items()}
    config = engine.config
    length = min(config.clip_length, len(sample)) if sample.rate else 1
    overlap = config.overlap if affinity and length == config.clip_length and length > config.overlap else 0
    plan = ClipPlan(len(sample), length, overlap)

    def inputs(clip: Clip) -> ClipInputs:
        frames = list(clip.frames)
        conditions = {
            "render": render[frames],
            "source": source.expand(len(frames), -1, -1, -1),
            "normals": normals[frames],
            "source_normals": still.expand(len(frames), -1, -1, -1),
        }
        return ClipInputs(conditions, {name: value[frames] for name, value in signals.items()})

    made = [clip.new for clip in generate_clips(engine, plan, tokens, inputs, 0, steps=steps) if clip is not None]
    return torch.cat(made)
