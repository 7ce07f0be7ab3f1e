"""A thread that can be held where it runs no Python.

Blender lets go of Python's lock while an operator runs. When the operator was called with another context than the window's own, Blender
goes on reading that context, a dictionary, and up to 5.0 (Python 3.11) takes the lock again only if no thread has it. While another thread
of Python works, both change Python's memory at once, and Blender crashes.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator

PATIENCE = 0.25  # seconds that a thread is waited for; more holds Blender up behind a slow disk, less leaves a thread at work
STEP = 0.001  # seconds for the thread to get from its answer into its wait, which are neighbours; more only costs time


class Pause:
    """Holds one thread at a time, which has agreed to call :meth:`point` between any two pieces of its work."""

    def __init__(self) -> None:
        self._held: tuple[threading.Lock, threading.Lock] | None = None

    def point(self) -> None:
        """On the thread: wait while it is held."""
        held = self._held
        if held is not None:
            reached, let_go = held
            reached.release()
            let_go.acquire()  # waits in C

    @contextlib.contextmanager
    def hold(self, wake: Callable[[], None]) -> Iterator[bool]:
        """Meanwhile the thread runs nothing; ``wake`` ends what it waits for. False: it did not come to a point within ``PATIENCE``."""
        reached, let_go = threading.Lock(), threading.Lock()
        reached.acquire()
        let_go.acquire()
        self._held = reached, let_go
        try:
            wake()
            still = reached.acquire(timeout=PATIENCE)
            time.sleep(STEP)
            yield still
        finally:
            self._held = None
            let_go.release()
