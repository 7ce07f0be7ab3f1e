"""What a webcam and a microphone share: threads of their own that read a device, and samples that wait to be polled."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Self

from .base import Sample
from .receiver import TRACKING_TIMEOUT

KEPT = 600  # samples queued for :meth:`DeviceStream.poll`; the oldest are dropped. Raised: slower readers lose none
ENDING = 2.0  # seconds that closing waits for an unresponsive device


class DeviceStream:
    """Receives samples with :meth:`poll` like :class:`Receiver`; use as a context manager."""

    port = ignored = 0

    def __init__(self, where: str) -> None:
        self.where = where
        self.packets = 0  # frames or pieces of sound read
        self.note = ""  # hint for the user
        self.senders: list[str] = []
        self.delay = 0.0  # seconds from the arrival of the newest packet to its sample
        self._tracked = float("-inf")  # time.monotonic() of the newest packet with something to follow
        self._problem: Exception | None = None
        self._samples: deque[Sample] = deque(maxlen=KEPT)
        self._changed, self._closing = threading.Condition(), threading.Event()
        self._threads: list[threading.Thread] = []

    def _start(self, *runs: Callable[[], None]) -> None:
        """Starts a thread for each of ``runs``."""
        self._threads = [threading.Thread(target=run, name=f"mimaface-{type(self).__name__.lower()}", daemon=True) for run in runs]
        for thread in self._threads:
            thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.set()
        with self._changed:
            self._changed.notify_all()
        for thread in self._threads:
            thread.join(ENDING)

    @property
    def tracking(self) -> bool:
        """Whether a face was tracked, or a sound heard, if only silence, within ``TRACKING_TIMEOUT``."""
        return time.monotonic() - self._tracked < TRACKING_TIMEOUT

    def choose(self, name: str) -> bool:
        """A device is the only one of its stream."""
        return False

    def poll(self, timeout: float) -> list[Sample]:
        """Returns the samples since the last call, in order; waits up to ``timeout`` seconds for the first. Raises
        :class:`MimaFaceError` after the device has stopped.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._samples or self._problem or self._closing.is_set(), timeout)
            samples = list(self._samples)
            self._samples.clear()
            if not samples and self._problem is not None:
                raise self._problem
        return samples
