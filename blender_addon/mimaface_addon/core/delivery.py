# SPDX-License-Identifier: GPL-3.0-or-later
"""Frames from the wire to the disk, on a thread of their own, and the folder of a take. No bpy here.

A take's folder holds its frames, ``take.json`` – what the take is, enough to find it again without the .blend – and, until every
frame is there, ``motion.npz``, with which it can be made anywhere.
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

MANIFEST, MOTION = "take.json", "motion.npz"
FRAME = re.compile(r"\d{6,}\.png")
SPARE = 1 << 20  # bytes of disk to be free beyond a frame before frames are asked for again; less lets them be sent for nothing


def frame_name(index: int) -> str:
    return f"{index:06d}.png"


def write_manifest(folder: Path, values: dict[str, Any]) -> None:
    """Raises :class:`OSError`."""
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(folder / MANIFEST, json.dumps(values, indent=1).encode())


def read_manifest(folder: Path) -> dict[str, Any] | None:
    """The manifest of a take's folder, or None when there is none that can be read."""
    try:
        values = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    usable = isinstance(values, dict) and isinstance(values.get("take"), str) and isinstance(values.get("frames"), int)
    return values if usable and values["take"] and values["frames"] > 0 else None


def note(folder: Path, **values: Any) -> None:
    """Change entries of a manifest that is there; a folder that cannot be written keeps what it has."""
    found = read_manifest(folder)
    if found is not None and any(found.get(key) != value for key, value in values.items()):
        with contextlib.suppress(OSError):
            write_manifest(folder, found | values)


def first_missing(folder: Path, frames: int) -> int:
    """The first frame that is not on disk; ``frames`` when all are."""
    try:
        with os.scandir(folder) as entries:
            names = {entry.name for entry in entries}
    except OSError:
        return 0
    return next((index for index in range(frames) if frame_name(index) not in names), frames)


def new_folder(parent: Path, names: Iterable[str]) -> Path:
    """Make the first folder of these names that does not exist; two programs never get the same one. Raises :class:`OSError`."""
    parent.mkdir(parents=True, exist_ok=True)
    for name in names:
        with contextlib.suppress(FileExistsError):
            (parent / name).mkdir()
            return parent / name
    raise FileExistsError(17, "no name is free", str(parent))


def move_folder(folder: Path, parent: Path) -> Path:
    """Move a take's folder into ``parent``, under another name where its own is taken. Raises :class:`OSError`; then it is where it was."""
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
    """Delete what a take put into its folder, and the folder unless something else lies in it. Raises :class:`OSError`."""
    for path in list(folder.iterdir()) if folder.is_dir() else []:
        if FRAME.fullmatch(path.name) or path.name in (MANIFEST, MOTION) or path.name.endswith(".part"):
            path.unlink()
    with contextlib.suppress(OSError):
        folder.rmdir()


def has_space(folder: Path, size: int) -> bool:
    """Whether the disk of a take's folder has room for a frame of so many bytes."""
    try:
        return shutil.disk_usage(next(path for path in (folder, *folder.parents) if path.is_dir())).free >= size + SPARE
    except (OSError, StopIteration):
        return False


class Writer:
    """Writes frames in the background. :meth:`results` gives (take, index, "" or what went wrong, bytes that the disk lacked room for)."""

    def __init__(self) -> None:
        self._work: queue.SimpleQueue[tuple[str, Path, int, bytes, str] | None] = queue.SimpleQueue()  # None wakes the thread
        self._results: queue.SimpleQueue[tuple[str, int, str, int]] = queue.SimpleQueue()
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
            found.append(self._results.get())
        return found

    def settle(self, seconds: float = 5.0) -> bool:
        """Wait until nothing is on its way to the disk, so that folders can be moved."""
        deadline = time.monotonic() + seconds
        while self._unwritten and time.monotonic() < deadline:
            time.sleep(0.002)
        return not self._unwritten

    @contextlib.contextmanager
    def held(self) -> Iterator[bool]:
        """Meanwhile the thread runs no Python; see :mod:`..protocol.pause`. False when it did not stand still in time."""
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
            problem, lacking = "", 0
            if hashlib.sha256(content).hexdigest() != sha256:
                problem = f"frame {index} was damaged on the way; resume the take"
            else:
                try:
                    folder.mkdir(parents=True, exist_ok=True)
                    write_whole(folder / frame_name(index), content)
                except OSError as error:
                    problem = f"frame {index} cannot be written to {folder}: {error.strerror}"
                    if error.errno in (errno.ENOSPC, errno.EDQUOT):
                        lacking = len(content)
                        problem += "; free some space: it continues by itself when there is room"
                    else:
                        problem += "; make the folder writable, then resume the take"
            self._results.put((take, index, problem, lacking))
            with self._lock:
                self._unwritten -= 1
            self._pause.point()
