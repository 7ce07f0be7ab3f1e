"""Folders of exported networks: content, weights, and the location that renderers read.

An export is a folder of network files with ``export.json``, which is described by :class:`Exported`, and ``SHA256SUMS``.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from mimaface.model.config import PARTS, MimaFaceConfig
from mimaface.protocol.connection import default_folder
from mimaface.protocol.errors import InvalidCheckpoint
from mimaface.weights import checksums

# the networks of a model, by the methods of mimaface.engines.base.Engine
ENCODE, VISION, CONTEXT, DENOISE, DECODE, REFINE = (
    "encode_images",
    "encode_source",
    "context",
    "denoise",
    "decode_latents",
    "refine",
)
NETWORKS = (ENCODE, VISION, CONTEXT, DENOISE, DECODE, REFINE)
NAME = "export.json"
FORMAT = 1  # of export.json; another one is exported anew
AGAIN = "export the model again: mimaface export"


@dataclass(frozen=True)
class NetworkFile:
    """One network: its file in the folder, and the names of its float32 inputs and outputs in order."""

    file: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


@dataclass(frozen=True)
class Exported:
    """Description of a folder of exported networks.

    kind           "onnx" or "tensorrt"
    weights        fingerprint of the checkpoint folder (:func:`mimaface.weights.checksums.fingerprint`)
    configuration  SHA-256 of the model's configuration, image size included
    precision      of the networks: float32, float16 or bfloat16; their inputs and outputs are float32
    made_with      name → version or value of everything else that the files depend on: runtimes, opset, targets
    config         configurations of the model and its parts, as in a checkpoint
    networks       method of the engine → its file
    """

    kind: str
    weights: str
    configuration: str
    precision: str
    made_with: Mapping[str, str]
    config: Mapping[str, Any] = field(repr=False)
    networks: Mapping[str, NetworkFile] = field(repr=False)

    @classmethod
    def of(
        cls,
        kind: str,
        weights: str,
        model: MimaFaceConfig,
        precision: str,
        made_with: Mapping[str, str],
        networks: Mapping[str, NetworkFile],
    ) -> Exported:
        """Returns the description of a model's written networks."""
        config = {"model": model.to_json(), **{part: dict(getattr(model, part)) for part in PARTS}}
        return cls(kind, weights, configuration_of(model), precision, made_with, config, networks)

    def model(self) -> MimaFaceConfig:
        """Returns the model's configuration. Raises :class:`InvalidCheckpoint`."""
        return MimaFaceConfig.from_json(self.config["model"], {part: self.config[part] for part in PARTS}, NAME)

    def is_of(self, other: Exported) -> bool:
        """Whether both describe the same files: of the same weights, by the same versions."""
        return all(
            getattr(self, name) == getattr(other, name) for name in ("kind", "weights", "configuration", "precision", "made_with")
        )

    def to_json(self) -> str:
        return json.dumps({"format": FORMAT, **asdict(self)}, indent=1)


def configuration_of(model: MimaFaceConfig) -> str:
    """Returns the SHA-256 of a configuration with its parts."""
    parts = {part: dict(getattr(model, part)) for part in PARTS}
    return hashlib.sha256(json.dumps([model.to_json(), parts], sort_keys=True).encode()).hexdigest()


def read(folder: Path) -> Exported:
    """Returns the description of a folder, without reading its networks. Raises :class:`InvalidCheckpoint` for an incomplete export."""
    path = folder / NAME
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content.pop("format") != FORMAT:
            raise InvalidCheckpoint(f"{path} is of another version", AGAIN)
        files = {
            name: NetworkFile(one["file"], tuple(one["inputs"]), tuple(one["outputs"]))
            for name, one in content.pop("networks").items()
        }
        found = Exported(**content, networks=files)
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise InvalidCheckpoint(f"{path} cannot be read ({type(error).__name__})", AGAIN) from error
    missing = sorted(set(checksums.read(folder)) - set(checksums.contents(folder)))
    if missing:
        raise InvalidCheckpoint(f"of the export {folder}, {', '.join(missing)} is missing", AGAIN)
    return found


def check_files(folder: Path) -> None:
    """Compare every file with its checksum. Raises :class:`InvalidCheckpoint`."""
    wrong = [name for name, problem in checksums.compare(folder) if problem]
    if wrong:
        raise InvalidCheckpoint(f"of the export {folder}, {', '.join(wrong)} is damaged", AGAIN)


def exports_folder(weights: str) -> Path:
    """Returns the folder from which renderers read the exports of the weights with this fingerprint; it has a folder per kind."""
    return default_folder() / "exports" / weights[:16]
