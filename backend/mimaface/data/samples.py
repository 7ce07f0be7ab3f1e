"""Sample schema of training and evaluation, the box of a head in a picture, and shards: tar files in webdataset's layout."""

from __future__ import annotations

import io
import json
import tarfile
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import webdataset
from PIL import Image

from mimaface.face.head import Head
from mimaface.geometry.camera import Camera
from mimaface.protocol.arrays import Array
from mimaface.protocol.errors import InvalidCheckpoint, InvalidInput
from mimaface.protocol.files import replacing

PICTURES = ("driven", "projected", "provenance", "albedo", "normals")  # per frame
SOURCES = ("source", "source_normals")  # once per sample
MAPS = ("provenance", "normals", "source_normals")  # stored losslessly, for their values are thresholded
SIGNALS = {"rotation": 3, "translation": 3, "expression": 52, "gaze": 4}
QUALITY = 95  # JPEG quality of photographs in a shard; maps are PNG
TAR_END = 1024  # zero bytes after the last member


@dataclass(frozen=True, eq=False)
class Sample:
    """A source portrait and F driven frames of the same person.

      key, person               key is unique in the data set; person is equal for samples of one person
      source (S, S, 3)          uint8
      driven (F, S, S, 3)       uint8, the true frames
      projected (F, S, S, 3)    uint8, the source reprojected on the posed head, over the source (the ``proxy`` picture)
      albedo (F, S, S, 3)       uint8, the posed head in plain colours and light (the paper's I_R)
      provenance (F, S, S, 3)   uint8, of ``projected``, see ``reprojection.reprojector.PosedFrame``
      normals (F, S, S, 3)      uint8, of the posed fitted head, see ``face.renders.render_normals``
      source_normals (S, S, 3)  uint8, the same for the source
      signals                   name → (F, n) float32 as in ``model.instances``: rotation (yaw, pitch, roll, radians), translation (metres,
                                camera frame, relative to the source), expression (52 blendshapes), gaze (radians)
      identity (80,)            float32, standard deviations
      box (F, 4)                float32, left, top, right, bottom of the head in pixels
      rate                      frames per second; 0 if the frames are not consecutive
    """

    key: str
    person: str
    source: Array
    driven: Array
    projected: Array
    provenance: Array
    albedo: Array
    normals: Array
    source_normals: Array
    signals: dict[str, Array]
    identity: Array
    box: Array
    rate: float

    def __len__(self) -> int:
        return len(self.driven)

    def __post_init__(self) -> None:
        frames, size = len(self.driven), self.source.shape[0]
        for name in (*PICTURES, *SOURCES):
            if getattr(self, name).shape != ((frames,) if name in PICTURES else ()) + (size, size, 3):
                raise InvalidInput(f"sample {self.key}: {name} has shape {getattr(self, name).shape}")
        for name, count in SIGNALS.items():
            if self.signals[name].shape != (frames, count):
                raise InvalidInput(f"sample {self.key}: {name} has shape {self.signals[name].shape}, expected {(frames, count)}")


def to_members(sample: Sample) -> dict[str, Any]:
    """Encodes a sample as files of a shard; the pictures of a kind are stacked vertically: PNG for maps, JPEG for photographs."""
    members: dict[str, Any] = {"__key__": sample.key}
    for name in (*SOURCES, *PICTURES):
        pictures = getattr(sample, name)
        stacked = pictures.reshape(-1, *pictures.shape[-2:])
        if name in MAPS:
            members[f"{name}.png"] = _encoded(stacked, "PNG", compress_level=1)
        else:
            members[f"{name}.jpg"] = _encoded(stacked, "JPEG", quality=QUALITY, subsampling=0)
    arrays = io.BytesIO()
    named: dict[str, Any] = {"identity": sample.identity, "box": sample.box, **sample.signals}
    np.savez(arrays, **named)
    members["arrays.npz"] = arrays.getvalue()
    members["meta.json"] = json.dumps({"person": sample.person, "rate": sample.rate}).encode()
    return members


def from_members(members: dict[str, Any]) -> Sample:
    """Decodes a sample from the files of a shard. Raises :class:`InvalidCheckpoint` with the key of a damaged sample."""
    key = str(members.get("__key__", "?"))
    try:
        meta = json.loads(members["meta.json"])
        with np.load(io.BytesIO(members["arrays.npz"]), allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        pictures = {name: _picture(members, name) for name in SOURCES}
        stacks = {name: _picture(members, name).reshape(-1, *pictures["source"].shape) for name in PICTURES}
        signals = {name: arrays[name] for name in SIGNALS}
        return Sample(
            key,
            meta["person"],
            **pictures,
            **stacks,
            signals=signals,
            identity=arrays["identity"],
            box=arrays["box"],
            rate=meta["rate"],
        )
    except (KeyError, StopIteration, ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise InvalidCheckpoint(f"training sample {key} is damaged ({error})", "make the shard anew") from error


def write_shard(path: Path, samples: Iterable[Sample]) -> int:
    """Writes a shard atomically; returns its number of samples."""
    return write_members(path, map(to_members, samples))


def write_members(path: Path, samples: Iterable[dict[str, Any]]) -> int:
    """Like :func:`write_shard`, for samples encoded by :func:`to_members` or read by :func:`read_members`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    count = 0
    with replacing(path) as part, part.open("wb") as stream, webdataset.TarWriter(stream, encoder=False, mtime=0) as writer:
        for members in samples:
            writer.write(members)
            count += 1
    return count


def read_shards(paths: Iterable[Path]) -> Iterator[Sample]:
    """Yields the samples of shards in order. Raises :class:`InvalidInput` for a missing or damaged shard."""
    return map(from_members, read_members(paths))


def read_members(paths: Iterable[Path]) -> Iterator[dict[str, Any]]:
    """Like :func:`read_shards`, but yields the stored files of each sample."""
    for path in paths:
        try:
            with path.open("rb") as stream:
                _check_end(stream)
                files = webdataset.tariterators.tar_file_expander([{"stream": stream, "url": str(path)}])
                for members in webdataset.tariterators.group_by_keys(files):
                    yield {name: content for name, content in members.items() if name == "__key__" or not name.startswith("__")}
        except (OSError, ValueError, EOFError, tarfile.TarError) as error:
            words = error.strerror if isinstance(error, OSError) and error.strerror else next(iter(error.args), error)
            raise InvalidInput(f"{path}: the shard cannot be read ({words})", "make it anew") from error


def is_whole(path: Path) -> bool:
    """Returns whether a shard exists and has its end marker."""
    try:
        with path.open("rb") as stream:
            _check_end(stream)
    except (OSError, EOFError):
        return False
    return True


def _check_end(stream: BinaryIO) -> None:
    """Raises ``EOFError`` if the end marker of a tar file is missing, which tar readers do not detect between members."""
    size = stream.seek(0, io.SEEK_END)
    stream.seek(max(size - TAR_END, 0))
    if size < TAR_END or stream.read() != bytes(TAR_END):
        raise EOFError("its end is missing")
    stream.seek(0)


def shards_in(folder: Path) -> list[Path]:
    """Returns all shards of a folder. Raises :class:`InvalidInput` if there are none."""
    found = sorted(folder.glob("*.tar"))
    if not found:
        raise InvalidInput(f"{folder} holds no shards", "make some with: mimaface data synthetic FOLDER")
    return found


def _encoded(picture: Array, kind: str, **options: int) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(picture).save(stream, kind, **options)
    return stream.getvalue()


def _picture(members: dict[str, Any], name: str) -> Array:
    """Returns a picture of a sample. Older shards store every picture as JPEG, and the provenance as "origin"."""
    names = [name, "origin"] if name == "provenance" else [name]
    content = next(members[file] for known in names for file in (f"{known}.png", f"{known}.jpg") if file in members)
    return np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))


def head_box(vertices: Array, camera: Camera) -> Array:
    """Returns left, top, right, bottom (4,) in pixels of the head's skin above the neck, clamped to the picture."""
    head = Head.load()
    skin = head.region("face", "scalp", "ears")
    points = camera.project(vertices[: len(head.vertices)][skin])[:, :2]
    return np.asarray(
        np.clip(np.concatenate([np.floor(points.min(0)), np.ceil(points.max(0))]), 0, [camera.width, camera.height] * 2)
    )
