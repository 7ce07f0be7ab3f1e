"""Recorded takes of face capture as files of the user's folder: each is kept when it ends, however it ends."""

from __future__ import annotations

import re
import time
from pathlib import Path

from .connection import default_folder
from .files import writable
from .motion import MotionClip

FOLDER = "captures"


def captures_folder(home: Path | None = None) -> Path:
    """Where takes are kept in a backend's folder, or the user's."""
    return (home or default_folder()) / FOLDER


def keep(clip: MotionClip, folder: Path, name: str) -> Path:
    """Write a take into the folder as a file that is named by the time and by what sent it. Raises :class:`NotWritable` and :class:`DiskFull`."""
    with writable(folder, "make the folder around it writable"):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    sender = re.sub(r"[^\w -]", "_", name)
    stem, count = f"{time.strftime('%Y-%m-%d %H.%M.%S')} {sender}", 1
    while (path := folder / f"{stem}{f' {count}' if count > 1 else ''}.motion.npz").exists():
        count += 1
    clip.save(path)
    return path
