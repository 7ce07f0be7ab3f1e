"""``mimaface evaluate``: compares generators with the truth of held-out samples and writes JSON.

The motion of synthetic samples never comes from the source picture, so they are the paper's cross-identity case with an exact
truth: the same person rendered with that motion. Shards of recorded video, with source and driven frames of one clip, are its
same-identity case.
"""

from __future__ import annotations

import json
import platform
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from mimaface import __version__
from mimaface.data.samples import Sample
from mimaface.engines.precision import best_device
from mimaface.engines.torch_engine import TorchEngine
from mimaface.protocol.arrays import Array
from mimaface.protocol.errors import InvalidInput
from mimaface.weights import checksums

from .metrics import absent_metrics, descriptor, inter_clip_jump_with_placebo, motion_metrics, picture_metrics, read_face
from .model_frames import autoencoder_generator, model_generator

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
        source = read_face(sample.source)
        own = descriptor(sample.source, source) if with_descriptor and source is not None else None
        rows: dict[str, list[dict[str, float]]] = {name: [] for name in generators}
        for index in range(len(sample)):
            frames += 1
            faces = {name: read_face(made[index]) for name, made in pictures.items()}
            truth = read_face(sample.driven[index])
            for name, face in (("truth", truth), *faces.items()):
                faceless[name] += int(face is None)
            readable = truth is not None and all(face is not None for face in faces.values())
            for name, made in pictures.items():
                row = picture_metrics(made[index], sample.driven[index], sample.box[index])
                face = faces[name]
                if readable and truth is not None and face is not None:
                    row |= motion_metrics(face, truth)
                    if own is not None:
                        row["csim@dlib"] = float(own @ descriptor(made[index], face))
                rows[name].append(row)
        for name, found in rows.items():
            for metric, value in {**over_frames(found), **_jumps(pictures[name], sample, clip)}.items():
                values[name].setdefault(metric, []).append(value)
        progress(count)
    if count == 0:
        raise InvalidInput("there is no sample to evaluate", "make some with: mimaface data synthetic FOLDER")
    results = {
        name: {metric: vars(summary(numbers, metric.startswith("icj"))) for metric, numbers in found.items()}
        for name, found in values.items()
    }
    return {"samples": count, "frames": frames, "results": results, "frames_without_a_face": faceless, "absent": absent_metrics()}


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
    path.write_text(json.dumps({**about, **results}, indent=1, allow_nan=False) + "\n")
