"""The working folder of a backend: locked by one backend at a time, and private to its user."""

from __future__ import annotations

import contextlib
import logging
import os
import stat
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from mimaface.protocol.errors import NotWritable

log = logging.getLogger(__name__)
LOCK_NAME, LOG_NAME = "backend.lock", "backend.log"
LONGEST_TAIL = 400, 15_000  # most lines and characters of the log in one reply, which fit into a message's control part
ENDING = 10.0  # seconds that a start waits for a backend that is about to end. Higher: a start beside a hanging one fails later
LOCKED_BYTE = 1 << 30  # offset of the byte that is locked on Windows: after the process id, which stays readable


@contextlib.contextmanager
def held(path: Path, serves: Callable[[], bool]) -> Iterator[None]:
    """Lock the file ``path``; the system unlocks it when this process ends, even in a crash.

    ``serves``: returns whether the process that has the lock answers; if so this raises at once, else after ENDING seconds. Raises
    :class:`NotWritable` with the number of that process. On a file system without locks it logs a warning instead.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise NotWritable(
            f"the folder {path.parent} cannot be used: {error.strerror}", "choose a folder you can write to"
        ) from error
    try:
        deadline = time.monotonic() + ENDING
        while not _locked(descriptor):
            if serves() or time.monotonic() > deadline:
                process = os.read(descriptor, 20).decode("ascii", "replace").strip() or "of unknown number"
                raise NotWritable(
                    f"the folder {path.parent} is in use by a backend that runs already, process {process}",
                    "use that one, or end it first",
                )
            time.sleep(0.05)
        with contextlib.suppress(OSError):  # on a full disk the lock holds, but the file does not name its process
            os.ftruncate(descriptor, 0)
            os.write(descriptor, str(os.getpid()).encode())
        yield
    finally:
        os.close(descriptor)


def _locked(descriptor: int) -> bool:
    """Take the lock; False while another process has it."""
    try:
        if sys.platform == "win32":
            import msvcrt

            os.lseek(descriptor, LOCKED_BYTE, os.SEEK_SET)
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
            os.lseek(descriptor, 0, os.SEEK_SET)
        else:
            import fcntl

            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    except OSError as error:
        log.warning("the file system does not support locks (%s): start only one backend", error.strerror)
    return True


def last_of_log(root: Path, lines: int) -> str:
    """Returns the last ``lines`` of the root's log, at most LONGEST_TAIL; "" where there is no log."""
    try:
        text = (root / LOG_NAME).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    most, letters = LONGEST_TAIL
    return "\n".join(text[-min(max(lines, 1), most) :])[-letters:]


def keep_private(root: Path, folders: tuple[str, ...], files: tuple[str, ...]) -> None:
    """Remove the permissions of group and others from ``root``, everything below its ``folders``, and its ``files`` (patterns).

    A root of another owner, or with the sticky bit as /tmp, keeps its own permissions. The root's are changed last: if they are private
    already, the files were done before.
    """
    if sys.platform == "win32":  # a user's folder is private there
        return
    shared = bool(root.stat().st_mode & stat.S_ISVTX) or root.stat().st_uid != os.getuid()
    for folder in (root / name for name in folders):
        if shared or _is_open(root) or _is_open(folder):
            for place, _, names in os.walk(folder):
                _restrict(Path(place), 0o700)
                for name in names:
                    _restrict(Path(place, name), 0o600)
    for path in (path for pattern in files for path in root.glob(pattern)):
        _restrict(path, 0o600)
    if not shared:
        _restrict(root, 0o700)


def _is_open(path: Path) -> bool:
    return bool(path.stat().st_mode & 0o077)


def _restrict(path: Path, mode: int) -> None:
    with contextlib.suppress(OSError):  # a file deleted meanwhile, or a file system without permissions
        if _is_open(path):
            path.chmod(mode)
