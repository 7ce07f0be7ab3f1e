"""Files that are whole or not there."""

from __future__ import annotations

import contextlib
import os
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a name of its own beside ``path`` to write to, also when two write at once; it becomes ``path`` when the block ends well.

    Otherwise what was there before stays, and nothing else. Raises :class:`OSError`.
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
    """Write ``content`` to ``path``, so that nobody ever sees half of it.

    private: the file can be read by its owner only (mode 0600); durable: it is on the disk, not only in memory, on return.
    Raises :class:`OSError`.
    """
    mode = 0o600 if private else 0o666
    with replacing(path) as part, os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "wb") as file:
        file.write(content)
        if durable:
            file.flush()
            os.fsync(file.fileno())


def put_folder(part: Path, target: Path) -> None:
    """Rename a finished folder into place; what was there is gone only once it is. Raises :class:`OSError`."""
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
