"""Training checkpoints: a folder with a manifest per saved step, written atomically; the two newest are kept."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from mimaface.protocol.errors import InvalidCheckpoint

from .config import ADDED_FIELDS, Losses, TrainingConfig

KEPT_CHECKPOINTS = 2  # newest checkpoints; older ones are deleted
# settings that may change when a run resumes
CHANGEABLE = ("steps", "cooldown", "evaluate_every", "save_every", "accumulate", "checkpoint_gradients")


def write(folder: Path, step: int, state: dict[str, Any], config: TrainingConfig) -> Path:
    """Writes ``state``, nested dicts of tensors and numbers, as checkpoint ``step``."""
    folder.mkdir(parents=True, exist_ok=True)
    target, part = folder / f"step-{step:08d}", folder / f"part-{step:08d}"
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir()
    torch.save(state, part / "state.pt")
    manifest = {"step": step, "sha256": _sha256(part / "state.pt"), "config": asdict(config)}
    (part / "manifest.json").write_text(json.dumps(manifest, indent=1) + "\n")
    shutil.rmtree(target, ignore_errors=True)
    os.replace(part, target)
    for old in sorted(folder.glob("step-*"))[:-KEPT_CHECKPOINTS]:
        shutil.rmtree(old)
    return target


def read_newest(folder: Path, config: TrainingConfig) -> tuple[int, dict[str, Any]] | None:
    """Returns step and state of the newest valid checkpoint, or None if there is none.

    Skips damaged ones. Raises :class:`InvalidCheckpoint` if all are damaged, or if they belong to a different run.
    """
    found = sorted(folder.glob("step-*"), reverse=True)
    for path in found:
        try:
            manifest = json.loads((path / "manifest.json").read_text())
            if manifest["sha256"] != _sha256(path / "state.pt"):
                continue
        except (OSError, ValueError, KeyError):
            continue
        _check_same(path, manifest["config"], config)
        return int(manifest["step"]), torch.load(path / "state.pt", map_location="cpu", weights_only=True, mmap=True)
    if found:
        raise InvalidCheckpoint(f"{folder}: every checkpoint is damaged", "move the folder away to start anew")
    return None


def _check_same(path: Path, old: dict[str, Any], config: TrainingConfig) -> None:
    new = json.loads(json.dumps(asdict(config)))
    old = {**ADDED_FIELDS, "losses": asdict(Losses()), **old}
    changed = [name for name in new if name not in CHANGEABLE and old.get(name) != new[name]]
    if changed:
        listed = ", ".join(f"{name} {old.get(name)} → {new[name]}" for name in changed)
        raise InvalidCheckpoint(f"{path} is of another run: {listed}", "use the same settings, or another output folder")


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
