"""Encoded latents of a data set, cached on disk with random access, so that training never runs the autoencoder."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from mimaface.data.samples import SIGNALS, Sample, read_shards
from mimaface.model.config import MimaFaceConfig
from mimaface.model.family import MimaFaceModel
from mimaface.protocol.arrays import Array
from mimaface.protocol.errors import InvalidCheckpoint
from mimaface.protocol.files import replacing
from mimaface.sampling.conditions import (
    FRAME_CONDITIONS,
    PORTRAIT_CONDITIONS,
    Conditions,
    Encode,
    SourceConditions,
    as_images,
    is_reprojected,
)

log = logging.getLogger(__name__)
ROW_FORMAT = b"2: maps are pooled at twice the latents' size first"  # cache version; increment when the row format changes


class LatentStore:
    """Samples by index: latents float16, signals float32, the source and one driven frame as pictures.

    Item fields: ``driven``, the ``render`` condition (F, C, h, w), ``source`` latents (C, h, w), ``normals`` (F, 4, h, w) and
    ``source_normals`` (4, h, w) as in :mod:`mimaface.sampling.conditions`, ``portrait`` and ``partner`` pictures (S, S, 3) uint8
    of the same person, and the signals (F, n).
    """

    still: tuple[str, ...] = (*PORTRAIT_CONDITIONS, "portrait", "partner")
    moving: tuple[str, ...] = ("driven", *FRAME_CONDITIONS, *SIGNALS)

    def __init__(self, files: list[Path]) -> None:
        self._files = [_open(path) for path in files]
        self._places = [(file, row) for file, path in zip(self._files, files) for row in range(self._rows(file, path))]
        self.names = [name for file in self._files for name in json.loads(file.metadata()["names"])]
        self.persons = [name for file in self._files for name in json.loads(file.metadata()["persons"])]

    def __len__(self) -> int:
        return len(self._places)

    def frames(self, index: int) -> int:
        """Returns the number of driven frames of a sample."""
        file, _ = self._places[index]
        return int(file.get_slice(self.moving[0]).get_shape()[1])

    def item(self, index: int, frames: list[int]) -> dict[str, Tensor]:
        """Returns sample ``index`` with the given driven ``frames``."""
        file, row = self._places[index]
        item = {name: file.get_slice(name)[row] for name in self.still}
        low, high = min(frames), max(frames) + 1
        wanted = [frame - low for frame in frames]
        for name in self.moving:
            item[name] = file.get_slice(name)[row, low:high][wanted].float()
        return {**item, **{name: item[name].float() for name in PORTRAIT_CONDITIONS}}

    def _rows(self, file: Any, path: Path) -> int:
        if self.moving[0] not in file.keys():  # noqa: SIM118 - not a dict
            raise InvalidCheckpoint(f"{path} holds no latents", "delete it; it is made anew from its shard")
        return int(file.get_slice(self.moving[0]).get_shape()[0])


def conditioning_render(config: MimaFaceConfig) -> str:
    """Returns the field of a sample that a model's condition "render" depicts."""
    return "projected" if is_reprojected(config) else "albedo"


def conditions_of(encode: Encode, sample: Sample, config: MimaFaceConfig, device: torch.device | str = "cpu") -> Conditions:
    """Returns the conditions of a sample's F frames, equal to those at inference."""
    source = SourceConditions.of(encode, as_images(sample.source[None]).to(device), sample.source_normals)
    picture = as_images(getattr(sample, conditioning_render(config))).to(device)
    return Conditions.of(encode, picture, sample.normals, sample.provenance, source)


def row_of(encode: Encode, config: MimaFaceConfig) -> Callable[[Sample], dict[str, Tensor]]:
    """Returns a function from a sample to its row in a :class:`LatentStore`."""
    side = int(config.vision["image_size"])

    def row(sample: Sample) -> dict[str, Tensor]:
        conditions = conditions_of(encode, sample, config).channels((*FRAME_CONDITIONS, *PORTRAIT_CONDITIONS))
        return {
            "driven": encode(as_images(sample.driven)).half(),
            **{name: conditions[name].half() for name in FRAME_CONDITIONS},
            **{name: conditions[name][0].half() for name in PORTRAIT_CONDITIONS},
            "portrait": resized_picture(sample.source, side),
            "partner": resized_picture(sample.driven[len(sample) // 2], side),
            **{name: torch.from_numpy(np.ascontiguousarray(value)) for name, value in sample.signals.items()},
        }

    return row


def prepare_latents(model: MimaFaceModel, shards: list[Path], encode: Encode) -> LatentStore:
    """Encodes shards without a cache file, next to them, and opens all."""
    suffix = f"{conditioning_render(model.config)}-{weights_digest(model.vae)}"
    return LatentStore(prepare(shards, suffix, row_of(encode, model.config)))


def prepare(shards: list[Path], suffix: str, row_of: Callable[[Sample], dict[str, Tensor]]) -> list[Path]:
    """Writes the rows of every sample to a file beside its shard; skips existing files. Returns the files."""
    files = []
    for shard in shards:
        target = shard.with_name(f"{shard.stem}.{suffix}.safetensors")
        if not target.exists():
            log.info("encoding %s", shard.name)
            _write_rows(shard, target, row_of)
        files.append(target)
    return files


def weights_digest(*networks: nn.Module) -> str:
    """Returns eight characters that change with the networks' weights and with the row format."""
    digest = hashlib.sha256(ROW_FORMAT)
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
    tensors = {name: torch.stack(values).contiguous() for name, values in columns.items()}
    with replacing(target) as part:
        save_file(tensors, part, metadata={"names": json.dumps(names), "persons": json.dumps(persons)})


def resized_picture(picture: Array, side: int) -> Tensor:
    """Resizes a square picture (S, S, 3) uint8 to the vision encoder's size."""
    from PIL import Image

    return torch.from_numpy(np.array(Image.fromarray(picture).resize((side, side), Image.Resampling.BICUBIC)))


def _open(path: Path) -> Any:
    try:
        return safe_open(path, "pt")
    except (SafetensorError, OSError) as error:
        raise InvalidCheckpoint(f"{path}: damaged ({error})", "delete it; it is made anew from its shard") from error
