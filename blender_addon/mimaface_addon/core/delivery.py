# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes received frames to disk on a separate thread, and manages the folder of a take. No bpy here.

A take's folder contains its frames, the manifest ``take.json``, which describes the take without the .blend, and, until all frames exist,
``motion.npz``, from which any backend can render it.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import queue
import re
import shutil
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from ..protocol.files import write_whole
from ..protocol.pause import Pause
from .words import rpt_

MANIFEST, MOTION = "take.json", "motion.npz"
FRAME = re.compile(r"\d{6,}\.png")
SPARE = 1 << 20  # bytes of free disk besides a frame before frames are requested again. Lower: frames are sent that do not fit


def frame_name(index: int) -> str:
    return f"{index:06d}.png"


def write_manifest(folder: Path, values: dict[str, Any]) -> None:
    """Write the manifest of a take's folder. Raises :class:`OSError`."""
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(folder / MANIFEST, json.dumps(values, indent=1).encode())


def read_manifest(folder: Path) -> dict[str, Any] | None:
    """Returns the manifest of a take's folder; None if it is missing or damaged."""
    try:
        values = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    usable = isinstance(values, dict) and isinstance(values.get("take"), str) and isinstance(values.get("frames"), int)
    return values if usable and values["take"] and values["frames"] > 0 else None


def note(folder: Path, **values: Any) -> None:
    """Change entries of an existing manifest; errors of writing are ignored."""
    found = read_manifest(folder)
    if found is not None and any(found.get(key) != value for key, value in values.items()):
        with contextlib.suppress(OSError):
            write_manifest(folder, found | values)


def first_missing(folder: Path, frames: int) -> int:
    """Returns the index of the first missing frame file; ``frames`` if none is missing."""
    try:
        with os.scandir(folder) as entries:
            names = {entry.name for entry in entries}
    except OSError:
        return 0
    return next((index for index in range(frames) if frame_name(index) not in names), frames)


def new_folder(parent: Path, names: Iterable[str]) -> Path:
    """Create and return the first folder of these names that does not exist, atomically. Raises :class:`OSError`."""
    parent.mkdir(parents=True, exist_ok=True)
    for name in names:
        with contextlib.suppress(FileExistsError):
            (parent / name).mkdir()
            return parent / name
    raise FileExistsError(17, "no name is free", str(parent))


def move_folder(folder: Path, parent: Path) -> Path:
    """Move a take's folder into ``parent``, under a new name where its own exists. On :class:`OSError` the folder stays where it was."""
    target = new_folder(parent, [folder.name, *(f"{folder.name} {number:02d}" for number in range(2, 1000))])
    target.rmdir()
    try:
        shutil.move(folder, target)
    except OSError:
        if folder.exists():
            shutil.rmtree(target, ignore_errors=True)
        raise
    return target


def delete_folder(folder: Path) -> None:
    """Delete the files of a take, and its folder if it is empty then. Raises :class:`OSError`."""
    for path in list(folder.iterdir()) if folder.is_dir() else []:
        if FRAME.fullmatch(path.name) or path.name in (MANIFEST, MOTION) or path.name.endswith(".part"):
            path.unlink()
    with contextlib.suppress(OSError):
        folder.rmdir()


def has_space(folder: Path, size: int) -> bool:
    """Whether the disk of a take's folder has space for a frame of ``size`` bytes."""
    try:
        return shutil.disk_usage(next(path for path in (folder, *folder.parents) if path.is_dir())).free >= size + SPARE
    except (OSError, StopIteration):
        return False


class Damaged(ValueError):
    """A frame's bytes are not those that were sent."""


def _problem(folder: Path, index: int, error: OSError | Damaged | None, lacking: int) -> str:
    """Returns a sentence about a frame that was not written, "" without an error."""
    if error is None:
        return ""
    if isinstance(error, Damaged):
        return rpt_("frame {index} was damaged on the way; resume the take").format(index=index)
    if lacking:
        sentence = rpt_("frame {index} cannot be written to {folder}: {reason}; free some space: it continues by itself when there is room")
    else:
        sentence = rpt_("frame {index} cannot be written to {folder}: {reason}; make the folder writable, then resume the take")
    return sentence.format(index=index, folder=folder, reason=error.strerror)


class Writer:
    """Writes frames on a thread. :meth:`results` returns (take, index, error text or "", bytes that did not fit on the disk)."""

    def __init__(self) -> None:
        self._work: queue.SimpleQueue[tuple[str, Path, int, bytes, str] | None] = queue.SimpleQueue()  # None wakes the thread
        self._results: queue.SimpleQueue[tuple[str, Path, int, OSError | Damaged | None, int]] = queue.SimpleQueue()
        self._unwritten = 0
        self._closing = False
        self._pause = Pause()
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="mimaface-writer", daemon=True)
        self._thread.start()

    def put(self, take: str, folder: Path, index: int, content: bytes, sha256: str) -> None:
        with self._lock:
            self._unwritten += 1
        self._work.put((take, folder, index, content, sha256))

    def results(self) -> list[tuple[str, int, str, int]]:
        found = []
        while not self._results.empty():
            take, folder, index, error, lacking = self._results.get()
            found.append((take, index, _problem(folder, index, error, lacking), lacking))
        return found

    def settle(self, seconds: float = 5.0) -> bool:
        """Wait until all frames are written, so that folders can be moved; False after ``seconds``."""
        deadline = time.monotonic() + seconds
        while self._unwritten and time.monotonic() < deadline:
            time.sleep(0.002)
        return not self._unwritten

    @contextlib.contextmanager
    def held(self) -> Iterator[bool]:
        """Pause the thread, see :mod:`..protocol.pause`; False if it did not pause in time."""
        with self._pause.hold(lambda: self._work.put(None)) as still:
            yield still

    def close(self) -> None:
        self._closing = True
        self._work.put(None)
        self._thread.join(5)

    def _run(self) -> None:
        while True:
            item = self._work.get()
            self._pause.point()
            if item is None:
                if self._closing and self._work.empty():
                    return
                continue
            take, folder, index, content, sha256 = item
            problem: OSError | Damaged | None = None
            lacking = 0
            if hashlib.sha256(content).hexdigest() != sha256:
                problem = Damaged()
            else:
                try:
                    folder.mkdir(parents=True, exist_ok=True)
                    write_whole(folder / frame_name(index), content)
                except OSError as error:
                    problem, lacking = error, len(content) if error.errno in (errno.ENOSPC, errno.EDQUOT) else 0
            self._results.put((take, folder, index, problem, lacking))
            with self._lock:
                self._unwritten -= 1
            self._pause.point()
