"""Jobs that wait for disk space, memory or file handles, and the time of each one's next attempt."""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass
from pathlib import Path

from mimaface.protocol.errors import DiskFull, Shortage
from mimaface.shortage import HANDLES, WORK, lack, left

from .jobs import Job

# seconds between two checks of disk and memory, which take microseconds. Higher: a job continues later
LOOK_EVERY = 2.0
# seconds until the next attempt where a check cannot show the shortage: a quota, a graphics card's memory, file handles. A failed attempt,
# which costs the work of a frame, doubles the time, up to the second value. Higher: a job continues later; lower: other jobs are slowed
FIRST_TRY, LONGEST = 4.0, 120.0
# bytes of disk besides the next frame, for the database and the sampler's state. Lower: attempts fail
SPARE = 1 << 20
# attempts and seconds between them without a file handle, before the job pauses: longer than unproved connections keep handles (3 s).
# Higher: other renders wait longer
TRIES, TRY_EVERY = 50, 0.1


@dataclass
class Lack:
    """The resource that a paused job waits for. code: of the error; needed: bytes of disk or memory, 0 if unknown; done: finished frames
    at the last attempt; due: monotonic seconds of the next attempt; pause: seconds between the two."""

    code: str
    needed: int
    done: int
    due: float = 0.0
    pause: float = FIRST_TRY


class Room:
    """The waiting jobs. Only the socket's thread may use it; no method blocks."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._waiting: dict[str, Lack] = {}
        self._tried: dict[str, Lack] = {}
        self._looked = 0.0

    def wait(self, job: Job, error: Shortage | None = None) -> None:
        """Add a job that this shortage has paused; without ``error``, one paused before the backend started."""
        earlier = self._tried.pop(job.id, None)
        found = Lack(job.code, 0 if error is None else error.needed, job.done)
        if earlier is not None and earlier.done == job.done:  # the attempt failed
            found.pause = min(earlier.pause * 2, LONGEST)
        found.due = 0.0 if error is None else time.monotonic() + found.pause
        self._waiting[job.id] = found

    def begins(self, job: str) -> None:
        """Remove a job of which an attempt begins."""
        found = self._waiting.pop(job, None)
        if found is not None:
            self._tried[job] = found

    def forget(self, job: str) -> None:
        """Remove a job that has ended or was cancelled."""
        self._waiting.pop(job, None)
        self._tried.pop(job, None)

    def due(self) -> list[str]:
        """Returns the jobs to attempt now; [] until ``LOOK_EVERY`` seconds have passed since the last check."""
        now = time.monotonic()
        if not self._waiting or now - self._looked < LOOK_EVERY:
            return []
        self._looked = now
        found = []
        for job, waiting in self._waiting.items():
            if not self._is_there(waiting):
                waiting.due, waiting.pause = now, FIRST_TRY  # the check shows the shortage: attempt as soon as it does not
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
    """Attempts left to a job without a file handle; every stored frame renews them."""

    def __init__(self) -> None:
        self.renew()

    def renew(self) -> None:
        self._left = TRIES

    def wait(self, error: Exception) -> None:
        """Sleep for TRY_EVERY. Raises ``error`` if it is no lack of handles, or no attempt is left."""
        if lack(error) != HANDLES or self._left == 0:
            raise error
        self._left -= 1
        time.sleep(TRY_EVERY)
