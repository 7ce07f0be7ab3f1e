"""Atomic writing of files and folders."""

from __future__ import annotations

import contextlib
import os
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path


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
