"""Training checkpoints: a folder per step with a manifest, written whole or not at all; the two newest are kept."""

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

from .config import LATER, Losses, TrainingConfig

KEPT = 2
# what may differ between the legs of one run
FREE = ("steps", "cooldown", "evaluate_every", "save_every", "accumulate", "checkpoint_gradients")


def write(folder: Path, step: int, state: dict[str, Any], config: TrainingConfig) -> Path:
    """Write ``state``, nested dicts of tensors and numbers, as checkpoint ``step``."""
    folder.mkdir(parents=True, exist_ok=True)
    target, part = folder / f"step-{step:08d}", folder / f"part-{step:08d}"
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir()
    torch.save(state, part / "state.pt")
    manifest = {"step": step, "sha256": _sha256(part / "state.pt"), "config": asdict(config)}
    (part / "manifest.json").write_text(json.dumps(manifest, indent=1) + "\n")
    shutil.rmtree(target, ignore_errors=True)
    os.replace(part, target)
    for old in sorted(folder.glob("step-*"))[:-KEPT]:
        shutil.rmtree(old)
    return target


def read_newest(folder: Path, config: TrainingConfig) -> tuple[int, dict[str, Any]] | None:
    """Step and state of the newest whole checkpoint, None if there is none.

    A damaged one is passed over for the one before it. Raises :class:`InvalidCheckpoint` where all are damaged, or where the
    run was another one.
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
    old = {**LATER, "losses": asdict(Losses()), **old}
    changed = [name for name in new if name not in FREE and old.get(name) != new[name]]
    if changed:
        listed = ", ".join(f"{name} {old.get(name)} → {new[name]}" for name in changed)
        raise InvalidCheckpoint(f"{path} is of another run: {listed}", "use the same settings, or another output folder")


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
