"""A thread that can be stopped while it runs no Python.

Blender releases Python's lock during an operator. If the operator was called with a context override, Blender keeps reading that
dictionary and, up to 5.0 (Python 3.11), reacquires the lock only if no thread holds it. A Python thread that runs meanwhile
corrupts memory, and Blender crashes.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator

HOLD_TIMEOUT = 0.25  # seconds to wait for the thread. Raised: Blender waits for slow disks; lowered: threads keep running
STEP = 0.001  # seconds between the thread's release and its wait, which are adjacent instructions


class Pause:
    """Holds one thread, which calls :meth:`point` between steps of its work."""

    def __init__(self) -> None:
        self._held: tuple[threading.Lock, threading.Lock] | None = None

    def point(self) -> None:
        """Called on the thread: waits while it is held."""
        held = self._held
        if held is not None:
            reached, resume = held
            reached.release()
            resume.acquire()  # waits in C

    @contextlib.contextmanager
    def hold(self, wake: Callable[[], None]) -> Iterator[bool]:
        """Context in which the thread runs nothing; ``wake`` ends its current wait. Yields False if it reached no point within
        ``HOLD_TIMEOUT``.
        """
        reached, resume = threading.Lock(), threading.Lock()
        reached.acquire()
        resume.acquire()
        self._held = reached, resume
        try:
            wake()
            still = reached.acquire(timeout=HOLD_TIMEOUT)
            time.sleep(STEP)
            yield still
        finally:
            self._held = None
            resume.release()
