# SPDX-License-Identifier: GPL-3.0-or-later
"""Frames from the wire to the disk, on a thread of their own. No bpy here."""

from __future__ import annotations

import hashlib
import json
import os
import queue
import threading
from pathlib import Path
from typing import Any

MANIFEST = "take.json"


def frame_name(index: int) -> str:
    return f"{index:06d}.png"


def write_file(target: Path, content: bytes) -> None:
    """Complete or not there: a temporary name first."""
    part = target.with_name(target.name + ".part")
    part.write_bytes(content)
    os.replace(part, target)


def write_manifest(folder: Path, values: dict[str, Any]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    write_file(folder / MANIFEST, json.dumps(values, indent=1).encode())


def read_manifest(folder: Path) -> dict[str, Any] | None:
    """The manifest of a take's folder, or None when there is none that can be read."""
    try:
        values = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return values if isinstance(values, dict) else None


def first_missing(folder: Path, frames: int) -> int:
    """The first frame that is not on disk; ``frames`` when all are."""
    for index in range(frames):
        if not (folder / frame_name(index)).is_file():
            return index
    return frames


class Writer:
    """Writes frames in the background. :meth:`results` gives (take, index, "" or what went wrong) for the main thread."""

    def __init__(self) -> None:
        self._work: queue.SimpleQueue[tuple[str, Path, int, bytes, str] | None] = queue.SimpleQueue()
        self._results: queue.SimpleQueue[tuple[str, int, str]] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="mimaface-writer", daemon=True)
        self._thread.start()

    def put(self, take: str, folder: Path, index: int, content: bytes, sha256: str) -> None:
        self._work.put((take, folder, index, content, sha256))

    def results(self) -> list[tuple[str, int, str]]:
        found = []
        while not self._results.empty():
            found.append(self._results.get())
        return found

    def close(self) -> None:
        self._work.put(None)
        self._thread.join(5)

    def _run(self) -> None:
        while True:
            item = self._work.get()
            if item is None:
                return
            take, folder, index, content, sha256 = item
            problem = ""
            if hashlib.sha256(content).hexdigest() != sha256:
                problem = f"frame {index} was damaged on the way; resume the take"
            else:
                try:
                    folder.mkdir(parents=True, exist_ok=True)
                    write_file(folder / frame_name(index), content)
                except OSError as error:
                    problem = (
                        f"frame {index} cannot be written to {folder}: {error.strerror}; free space or choose another folder"
                    )
            self._results.put((take, index, problem))
