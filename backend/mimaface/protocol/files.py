"""Files that are whole or not there."""

from __future__ import annotations

import contextlib
import os
import threading
from pathlib import Path


def write_whole(path: Path, content: bytes, *, private: bool = False, durable: bool = False) -> None:
    """Write ``content`` to ``path`` through a name of its own, so that nobody ever sees half of it, also when two write at once.

    private: the file can be read by its owner only (mode 0600); durable: it is on the disk, not only in memory, on return.
    A failed write leaves what was there before and nothing else. Raises :class:`OSError`.
    """
    part = path.with_name(f"{path.name}.{os.getpid()}-{threading.get_ident()}.part")
    mode = 0o600 if private else 0o666
    try:
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "wb") as file:
            file.write(content)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        os.replace(part, path)
    except BaseException:
        with contextlib.suppress(OSError):
            part.unlink()
        raise
