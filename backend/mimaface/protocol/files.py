"""Atomic writing of files and folders, and the error where that fails."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

from .errors import DiskFull, NotWritable


@contextlib.contextmanager
def writable(place: Path, hint: str = "choose another place") -> Iterator[None]:
    """Context that turns an :class:`OSError` into :class:`DiskFull`, or into :class:`NotWritable` with ``hint``; both name ``place``."""
    try:
        yield
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise DiskFull(f"the disk of {place} is full", "free some space and run it again") from error
        raise NotWritable(f"cannot write to {place}: {error.strerror or error}", hint) from error


class Watched:
    """A file for a library that hides why writing failed: ``failure`` is the :class:`OSError` behind it."""

    def __init__(self, raw: io.FileIO | io.BufferedRandom) -> None:
        self._raw, self.read, self.seek, self.tell, self.flush = raw, raw.read, raw.seek, raw.tell, raw.flush
        self.failure: OSError | None = None

    def write(self, content: bytes) -> int:
        rest = memoryview(content)
        try:
            while rest:
                rest = rest[self._raw.write(rest) :]
        except OSError as error:
            self.failure = error
            raise
        return len(content)


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yields a unique temporary path beside ``path``, also for concurrent writers, and renames it to ``path`` when the block
    succeeds.

    On failure ``path`` is unchanged and the temporary file is removed. Raises :class:`OSError`.
    """
    part = path.with_name(f"{path.name}.{os.getpid()}-{threading.get_ident()}.part")
    try:
        yield part
        os.replace(part, path)
    except BaseException:
        with contextlib.suppress(OSError):
            part.unlink()
        raise


def write_whole(path: Path, content: bytes, *, private: bool = False, durable: bool = False) -> None:
    """Writes ``content`` to ``path`` atomically.

    private: readable by the owner only (mode 0600); durable: synchronised to disk on return. Raises :class:`OSError`.
    """
    mode = 0o600 if private else 0o666
    with replacing(path) as part, os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "wb") as file:
        file.write(content)
        if durable:
            file.flush()
            os.fsync(file.fileno())


def put_folder(part: Path, target: Path) -> None:
    """Renames a finished folder into place and then deletes the previous one. Raises :class:`OSError`."""
    old = target.with_name(f".{target.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if target.exists():
        target.rename(old)
    try:
        part.rename(target)
    except OSError:
        if old.exists():
            old.rename(target)
        raise
    shutil.rmtree(old, ignore_errors=True)
