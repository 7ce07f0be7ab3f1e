"""Jobs that wait for disk space, memory or file handles, and when each is to be tried again."""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass
from pathlib import Path

from mimaface.protocol.errors import DiskFull, Shortage
from mimaface.shortage import HANDLES, WORK, lack, left

from .jobs import Job

# Seconds between two looks at the disk and the memory, which cost microseconds. More lets a job wait longer after there is room.
LOOK_EVERY = 2.0
# Seconds until a job is tried though a look does not show what it lacks: a quota, a graphics card's memory, file handles. Each try in
# vain, which costs a frame's work, doubles them, up to the second. More lets a job wait longer, less lets others wait for it.
FIRST_TRY, LONGEST = 4.0, 120.0
# Bytes of disk beyond the next frame: for the database and for what is written beside a frame. Less lets a job begin for nothing.
SPARE = 1 << 20
# What lacks a file handle is tried again so often and in such steps (seconds) before its job pauses: longer than strangers hold handles
# (3 s), and not so long that other renders wait much.
TRIES, TRY_EVERY = 50, 0.1


@dataclass
class Lack:
    """The resource that a paused job waits for. code: of the error; needed: bytes of disk or memory, 0 if unknown; done: frames of the job
    at its last try; due: monotonic seconds of its next try; pause: seconds until then."""

    code: str
    needed: int
    done: int
    due: float = 0.0
    pause: float = FIRST_TRY


class Room:
    """On the socket's thread only. Nothing here blocks or works."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._waiting: dict[str, Lack] = {}
        self._tried: dict[str, Lack] = {}
        self._looked = 0.0

    def wait(self, job: Job, error: Shortage | None = None) -> None:
        """A job has come to its end for this shortage, or waits since before this start of the backend."""
        earlier = self._tried.pop(job.id, None)
        found = Lack(job.code, 0 if error is None else error.needed, job.done)
        if earlier is not None and earlier.done == job.done:  # the try was in vain
            found.pause = min(earlier.pause * 2, LONGEST)
        found.due = 0.0 if error is None else time.monotonic() + found.pause
        self._waiting[job.id] = found

    def begins(self, job: str) -> None:
        """A job is tried: it waits no more."""
        found = self._waiting.pop(job, None)
        if found is not None:
            self._tried[job] = found

    def forget(self, job: str) -> None:
        """Forget a job that has ended or was cancelled."""
        self._waiting.pop(job, None)
        self._tried.pop(job, None)

    def due(self) -> list[str]:
        """The jobs to try now: those for which there is room, most of them looked at again every ``LOOK_EVERY`` seconds."""
        now = time.monotonic()
        if not self._waiting or now - self._looked < LOOK_EVERY:
            return []
        self._looked = now
        found = []
        for job, waiting in self._waiting.items():
            if not self._is_there(waiting):
                waiting.due, waiting.pause = now, FIRST_TRY  # seen to be lacking: tried as soon as it is seen to be there
            elif waiting.due <= now:
                found.append(job)
        return found

    def _is_there(self, waiting: Lack) -> bool:
        try:
            if waiting.code == DiskFull.code:
                return shutil.disk_usage(self._root).free >= waiting.needed + SPARE
        except OSError:  # the disk is away
            return False
        free = left()
        return free is None or free >= max(waiting.needed, WORK)


class Patience:
    """How often a job still tries again where there is no file handle; every frame that is stored renews it."""

    def __init__(self) -> None:
        self.renew()

    def renew(self) -> None:
        self._left = TRIES

    def wait(self, error: Exception) -> None:
        """Wait a moment. Raises ``error`` where it is of another kind, or was waited for long enough."""
        if lack(error) != HANDLES or self._left == 0:
            raise error
        self._left -= 1
        time.sleep(TRY_EVERY)
