"""``mimaface evaluate``: generators against the truth of held-out samples, in one JSON.

On synthetic heads the performance never belongs to the source picture, so every sample is the paper's cross-identity case (the
motion comes from elsewhere) with an exact truth: the same person rendered under it. Shards of recorded video, whose source and
driven frames come from one clip, are its same-identity case.
"""

from __future__ import annotations

import json
import platform
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from mimaface import __version__
from mimaface.data.samples import Sample
from mimaface.model.family import MimaFaceModel
from mimaface.protocol.errors import InvalidInput

from .metrics import absent_metrics, descriptor, inter_clip_jump, motion_metrics, picture_metrics, read_face
from .model_frames import autoencoder_generator, model_generator

Array = NDArray[Any]
Generator = Callable[[Sample], Array]  # a sample → generated frames (F, S, S, 3) uint8


@dataclass(frozen=True)
class Summary:
    """Mean, standard error and number of frames of one metric."""

    mean: float
    error: float
    count: int


def copy_of_source(sample: Sample) -> Array:
    """The floor: the source picture, whatever the motion."""
    return np.repeat(sample.source[None], len(sample), axis=0)


def proxy(sample: Sample) -> Array:
    """The proxy engine's pictures."""
    return sample.projected


def generators_of(names: Iterable[str], folder: Path | None, steps: int | None = None) -> dict[str, Generator]:
    """Generators by name: source, proxy, autoencoder, model, model-bare (without detail transfer). Raises :class:`InvalidInput`."""
    plain: dict[str, Generator] = {"source": copy_of_source, "proxy": proxy}
    found: dict[str, Generator] = {}
    model: MimaFaceModel | None = None
    for name in names:
        if name in plain:
            found[name] = plain[name]
            continue
        if name not in ("autoencoder", "model", "model-bare"):
            raise InvalidInput(f"generator {name!r} is unknown", "use source, proxy, autoencoder, model or model-bare")
        if folder is None:
            raise InvalidInput(f"generator {name} needs a model", "add --model FOLDER")
        model = model or MimaFaceModel.from_pretrained(folder, torch.bfloat16)
        found[name] = autoencoder_generator(model) if name == "autoencoder" else model_generator(model, steps, name == "model")
    return found


def evaluate(
    samples: Iterable[Sample],
    generators: dict[str, Generator],
    clip: tuple[int, int] = (12, 3),
    progress: Callable[[int], None] = lambda _: None,
) -> dict[str, Any]:
    """Every metric of every generator: {generator: {metric: {"mean", "error", "count"}}}, and frames in which no face was found.

    ``clip`` is length and overlap of the model's clips: ``icj`` is measured at their boundaries, in samples that are longer, and
    its mean is geometric. Raises :class:`InvalidInput` when there are no samples.
    """
    values: dict[str, dict[str, list[float]]] = {name: {} for name in generators}
    unseen: dict[str, int] = dict.fromkeys(generators, 0)
    with_descriptor = "csim@dlib" not in absent_metrics()
    count = 0
    for count, sample in enumerate(samples, 1):
        pictures = {name: generate(sample) for name, generate in generators.items()}
        source = read_face(sample.source)
        own = descriptor(sample.source, source) if with_descriptor and source is not None else None
        for index in range(len(sample)):
            truth = read_face(sample.driven[index])
            for name, made in pictures.items():
                row = picture_metrics(made[index], sample.driven[index], sample.box[index])
                face = read_face(made[index])
                unseen[name] += int(face is None and truth is not None)
                if face is not None and truth is not None:
                    row |= motion_metrics(face, truth)
                if face is not None and own is not None:
                    row["csim@dlib"] = float(own @ descriptor(made[index], face))
                for metric, value in row.items():
                    values[name].setdefault(metric, []).append(value)
        boundaries = list(range(clip[0], len(sample), clip[0] - clip[1])) if sample.rate else []
        for name, made in pictures.items():
            jump = inter_clip_jump(made, boundaries)
            if jump > 0:
                values[name].setdefault("icj", []).append(jump)
        progress(count)
    if count == 0:
        raise InvalidInput("there is no sample to evaluate", "make some with: mimaface data synthetic FOLDER")
    results = {
        name: {metric: vars(summary(numbers, metric == "icj")) for metric, numbers in found.items()}
        for name, found in values.items()
    }
    return {"samples": count, "results": results, "no_face_found": unseen, "absent": absent_metrics()}


def summary(values: list[float], geometric: bool = False) -> Summary:
    """Mean and its standard error; infinite values (equal pictures have no finite PSNR) are left out of both."""
    finite = np.array([value for value in values if np.isfinite(value)])
    if not len(finite):
        return Summary(float("nan"), float("nan"), 0)
    if geometric:
        logs = np.log(finite)
        return Summary(float(np.exp(logs.mean())), float(np.exp(logs.mean()) * logs.std() / np.sqrt(len(logs))), len(logs))
    return Summary(float(finite.mean()), float(finite.std() / np.sqrt(len(finite))), len(finite))


def write_results(path: Path, results: dict[str, Any], command: str) -> None:
    """The JSON with the command and the versions that made it."""
    about = {
        "command": command, "mimaface": __version__, "torch": torch.__version__,
        "machine": f"{platform.system()} {platform.machine()}",
    }  # fmt: skip
    path.write_text(json.dumps({**about, **results}, indent=1) + "\n")
