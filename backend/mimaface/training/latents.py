"""The latents of a data set, encoded once and read from disk at random: training never runs the autoencoder."""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from mimaface.data.samples import SIGNALS, Sample, read_shards
from mimaface.model.config import MimaFaceConfig
from mimaface.model.family import MimaFaceModel
from mimaface.protocol.errors import InvalidCheckpoint
from mimaface.sampling.images import as_images, normals_condition

log = logging.getLogger(__name__)
Array = NDArray[Any]
FIELDS = b"with normals and origin"  # what an encoded shard has beside what its autoencoder made: changes with its format


class LatentStore:
    """Samples by number: latents float16, signals float32, the source and one driven frame as pictures.

    Item fields: ``driven``, the ``render`` that the model is conditioned on (F, C, h, w), ``source`` latents (C, h, w),
    ``normals`` (F, 4, h, w) and ``source_normals`` (4, h, w) as ``engines.pictures.normals_condition`` has them,
    ``portrait`` and ``partner`` pictures (S, S, 3) uint8 of the same person, and the signals (F, n).
    """

    still: tuple[str, ...] = ("source", "source_normals", "portrait", "partner")
    moving: tuple[str, ...] = ("driven", "render", "normals", *SIGNALS)

    def __init__(self, files: list[Path]) -> None:
        self._files = [_open(path) for path in files]
        self._places = [(file, row) for file, path in zip(self._files, files) for row in range(self._rows(file, path))]
        self.names = [name for file in self._files for name in json.loads(file.metadata()["names"])]
        self.persons = [name for file in self._files for name in json.loads(file.metadata()["persons"])]

    def __len__(self) -> int:
        return len(self._places)

    def frames(self, index: int) -> int:
        """How many driven frames a sample has."""
        file, _ = self._places[index]
        return int(file.get_slice(self.moving[0]).get_shape()[1])

    def item(self, index: int, frames: list[int]) -> dict[str, Tensor]:
        """Sample ``index`` with the driven ``frames`` asked for."""
        file, row = self._places[index]
        item = {name: file.get_slice(name)[row] for name in self.still}
        low, high = min(frames), max(frames) + 1
        wanted = [frame - low for frame in frames]
        for name in self.moving:
            item[name] = file.get_slice(name)[row, low:high][wanted].float()
        item["source"], item["source_normals"] = item["source"].float(), item["source_normals"].float()
        return item

    def _rows(self, file: Any, path: Path) -> int:
        if self.moving[0] not in file.keys():  # noqa: SIM118 - not a dict
            raise InvalidCheckpoint(f"{path} holds no latents", "delete it; it is made anew from its shard")
        return int(file.get_slice(self.moving[0]).get_shape()[0])


def look_of(config: MimaFaceConfig) -> str:
    """The pictures of a sample that are a model's render: "projected" where it is given the source, too, else the paper's "albedo"."""
    return "projected" if "source" in dict(config.conditions) else "albedo"


def prepare_latents(model: MimaFaceModel, shards: list[Path], encode: Callable[[Tensor], Tensor]) -> LatentStore:
    """Encode the shards that are not encoded yet, next to them, and open all."""
    look, side = look_of(model.config), int(model.config.vision["image_size"])

    def row_of(sample: Sample) -> dict[str, Tensor]:
        clean = encode(as_images(sample.driven)).half()
        return {
            "driven": clean,
            "render": encode(as_images(getattr(sample, look))).half(),
            "source": encode(as_images(sample.source[None]))[0].half(),
            "normals": normals_condition(sample.normals, clean.shape[-1]).half(),
            "source_normals": normals_condition(sample.source_normals[None], clean.shape[-1])[0].half(),
            "portrait": smaller(sample.source, side),
            "partner": smaller(sample.driven[len(sample) // 2], side),
            **{name: torch.from_numpy(np.ascontiguousarray(value)) for name, value in sample.signals.items()},
        }

    return LatentStore(prepare(shards, f"{look}-{code_of(model.vae)}", row_of))


def prepare(shards: list[Path], suffix: str, row_of: Callable[[Sample], dict[str, Tensor]]) -> list[Path]:
    """What ``row_of`` makes of every sample, in a file beside its shard; those that are there are not made again."""
    files = []
    for shard in shards:
        target = shard.with_name(f"{shard.stem}.{suffix}.safetensors")
        if not target.exists():
            log.info("encoding %s", shard.name)
            _write_rows(shard, target, row_of)
        files.append(target)
    return files


def code_of(*networks: nn.Module) -> str:
    """Eight letters that change with the weights of these networks, and with the fields of an encoded shard."""
    digest = hashlib.sha256(FIELDS)
    for network in networks:
        for name, value in sorted(network.state_dict().items()):
            digest.update(name.encode())
            digest.update(value.detach().float().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:8]


def _write_rows(shard: Path, target: Path, row_of: Callable[[Sample], dict[str, Tensor]]) -> None:
    columns: dict[str, list[Tensor]] = {}
    names, persons = [], []
    for sample in read_shards([shard]):
        names.append(sample.key)
        persons.append(sample.person)
        for name, value in row_of(sample).items():
            columns.setdefault(name, []).append(value)
    part = target.with_suffix(".part")
    tensors = {name: torch.stack(values).contiguous() for name, values in columns.items()}
    save_file(tensors, part, metadata={"names": json.dumps(names), "persons": json.dumps(persons)})
    os.replace(part, target)


def smaller(picture: Array, side: int) -> Tensor:
    """A square picture (S, S, 3) uint8 at the vision encoder's size."""
    from PIL import Image

    return torch.from_numpy(np.array(Image.fromarray(picture).resize((side, side), Image.Resampling.BICUBIC)))


def _open(path: Path) -> Any:
    try:
        return safe_open(path, "pt")
    except (SafetensorError, OSError) as error:
        raise InvalidCheckpoint(f"{path}: damaged ({error})", "delete it; it is made anew from its shard") from error
