"""``mimaface evaluate``: compares generators with the truth of held-out samples and writes JSON.

The motion of synthetic samples never comes from the source picture, so they are the paper's cross-identity case with an exact
truth: the same person rendered with that motion. Shards of recorded video, with source and driven frames of one clip, are its
same-identity case.
"""

from __future__ import annotations

import json
import platform
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mimaface import __version__
from mimaface.data.samples import SIGNALS, Sample
from mimaface.engines.precision import best_device
from mimaface.engines.torch_engine import TorchEngine
from mimaface.model.refiner import feathered, refined
from mimaface.protocol.arrays import Array
from mimaface.protocol.errors import InvalidInput
from mimaface.protocol.files import write_whole
from mimaface.sampling.clips import Clip, ClipPlan
from mimaface.sampling.conditions import Conditions, as_images, as_pictures, blanked
from mimaface.sampling.sampler import ClipInputs, generate_clips
from mimaface.training.latents import conditions_of
from mimaface.weights import checksums

from .metrics import absent_metrics, descriptor, inter_clip_jump_with_placebo, motion_metrics, picture_metrics, read_face

Generator = Callable[[Sample], Array]  # a sample → generated frames (F, S, S, 3) uint8


@dataclass(frozen=True)
class Summary:
    """Mean of a metric over samples, its standard error, and the number of samples."""

    mean: float
    error: float
    count: int


def copy_of_source(sample: Sample) -> Array:
    """Returns the source picture for each frame: the lower bound."""
    return np.repeat(sample.source[None], len(sample), axis=0)


def proxy(sample: Sample) -> Array:
    """Returns the pictures of the reprojection (``proxy``)."""
    return sample.projected


def generators_of(names: Iterable[str], folder: Path | None, steps: int | None = None) -> dict[str, Generator]:
    """Returns generators by name: source, proxy, autoencoder, model, model-bare (with the plain decoder), on the GPU if torch has
    one.

    Raises :class:`InvalidInput`.
    """
    plain: dict[str, Generator] = {"source": copy_of_source, "proxy": proxy}
    found: dict[str, Generator] = {}
    engine: TorchEngine | None = None
    for name in names:
        if name in plain:
            found[name] = plain[name]
            continue
        if name not in ("autoencoder", "model", "model-bare"):
            raise InvalidInput(f"generator {name!r} is unknown", "use source, proxy, autoencoder, model or model-bare")
        if folder is None:
            raise InvalidInput(f"generator {name} needs a model", "add --model FOLDER")
        engine = engine or TorchEngine.open(folder, best_device())
        found[name] = autoencoder_generator(engine) if name == "autoencoder" else model_generator(engine, steps, name == "model")
    return found


def evaluate(
    samples: Iterable[Sample],
    generators: dict[str, Generator],
    clip: tuple[int, int] = (12, 3),
    progress: Callable[[int], None] = lambda _: None,
) -> dict[str, Any]:
    """Returns each metric of each generator, {generator: {metric: {"mean", "error", "count"}}}, and the numbers of frames without
    a face.

    Metrics are averaged over the frames of a sample first. Metrics of faces use only frames in which the truth and every
    generator show a face, so that no generator gains by losing hard frames. ``clip`` is length and overlap of the model's clips:
    ``icj`` is measured at their boundaries, in samples that are longer, and averaged geometrically. Raises :class:`InvalidInput`
    without samples.
    """
    values: dict[str, dict[str, list[float]]] = {name: {} for name in generators}
    faceless = dict.fromkeys(("truth", *generators), 0)
    with_descriptor = "csim@dlib" not in absent_metrics()
    frames = count = 0
    for count, sample in enumerate(samples, 1):
        pictures = {name: generate(sample) for name, generate in generators.items()}
        found = list(frame_metrics(sample, pictures, with_descriptor))
        frames += len(found)
        for name in (name for _, lost in found for name in lost):
            faceless[name] += 1
        for name, made in pictures.items():
            for metric, value in {**over_frames([rows[name] for rows, _ in found]), **_jumps(made, sample, clip)}.items():
                values[name].setdefault(metric, []).append(value)
        progress(count)
    if count == 0:
        raise InvalidInput("there is no sample to evaluate", "make some with: mimaface data synthetic FOLDER")
    results = {
        name: {metric: vars(summary(numbers, metric.startswith("icj"))) for metric, numbers in found.items()}
        for name, found in values.items()
    }
    return {"samples": count, "frames": frames, "results": results, "frames_without_a_face": faceless, "absent": absent_metrics()}


def frame_metrics(
    sample: Sample, pictures: dict[str, Array], with_descriptor: bool
) -> Iterator[tuple[dict[str, dict[str, float]], list[str]]]:
    """Yields for each frame the metrics of each generator's picture, and who shows no face: generators, or "truth"."""
    source = read_face(sample.source)
    own = descriptor(sample.source, source) if with_descriptor and source is not None else None
    for index, true_picture in enumerate(sample.driven):
        truth = read_face(true_picture)
        faces = {name: read_face(made[index]) for name, made in pictures.items()}
        lost = [name for name, face in (("truth", truth), *faces.items()) if face is None]
        rows = {name: picture_metrics(made[index], true_picture, sample.box[index]) for name, made in pictures.items()}
        for name, face in faces.items():
            if lost or truth is None or face is None:
                continue
            rows[name] |= motion_metrics(face, truth)
            if own is not None:
                rows[name]["csim@dlib"] = float(own @ descriptor(pictures[name][index], face))
        yield rows, lost


def over_frames(rows: list[dict[str, float]]) -> dict[str, float]:
    """Returns means over the frames that have a metric; infinite values (the PSNR of equal pictures) are excluded."""
    found: dict[str, list[float]] = {}
    for row in rows:
        for metric, value in row.items():
            if np.isfinite(value):
                found.setdefault(metric, []).append(value)
    return {metric: float(np.mean(numbers)) for metric, numbers in found.items()}


def _jumps(made: Array, sample: Sample, clip: tuple[int, int]) -> dict[str, float]:
    """Returns the ICJ of a sample of consecutive frames, and its geometric mean at placebo boundaries."""
    if not sample.rate or len(sample) <= clip[0]:
        return {}
    jump, elsewhere = inter_clip_jump_with_placebo(made, *clip)
    found = {"icj": jump, "icj-placebo": float(np.exp(np.mean(np.log(elsewhere)))) if elsewhere else float("nan")}
    return {metric: value for metric, value in found.items() if np.isfinite(value)}


def summary(values: list[float], geometric: bool = False) -> Summary:
    """Returns the mean over at least one sample and its standard error, 0 for a single one."""
    numbers = np.log(values) if geometric else np.array(values)
    mean = float(numbers.mean())
    error = float(numbers.std(ddof=1) / np.sqrt(len(numbers))) if len(numbers) > 1 else 0.0
    if geometric:
        mean, error = float(np.exp(mean)), float(np.exp(mean) * error)
    return Summary(mean, error, len(numbers))


def write_results(path: Path, results: dict[str, Any], command: str, shards: list[Path]) -> None:
    """Writes the results as JSON with the command, data digests and versions."""
    about = {
        "command": command,
        "data": {shard.name: checksums.digest(shard) for shard in shards},
        "versions": {"mimaface": __version__, **{name: version(name) for name in ("torch", "torchmetrics", "numpy")}},
        "machine": f"{platform.system()} {platform.machine()}",
    }
    write_whole(path, (json.dumps({**about, **results}, indent=1, allow_nan=False) + "\n").encode())


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
