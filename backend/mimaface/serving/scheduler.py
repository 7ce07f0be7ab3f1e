"""One worker thread that takes turns between generators, a step at a time: control before previews before renders.

A waiting render gets at least a fifth of the step time; among clients the one that used least goes first (deficit round-robin,
Shreedhar and Varghese 1995, in measured seconds).
"""

from __future__ import annotations

import logging
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

log = logging.getLogger(__name__)
CONTROL, PREVIEW, RENDER = "control", "preview", "render"
RENDER_SHARE = 0.2


@dataclass(eq=False)
class Task:
    """``start`` makes the generator on the worker; ``finished`` is told None, or the error that ended it.

    slot: previews of one slot replace each other. A cancelled task is closed at its next step and not reported.
    """

    kind: str
    client: bytes
    start: Callable[[], Iterator[object]]
    finished: Callable[[BaseException | None], None]
    slot: str = ""
    cancelled: bool = False
    generator: Iterator[object] | None = field(default=None, repr=False)


class Scheduler:
    """``steps`` counts finished steps and ``step_started`` is the monotonic time of the running one, to tell busy from hung."""

    def __init__(self) -> None:
        self.steps = 0
        self.step_started = time.monotonic()
        self._tasks: list[Task] = []
        self._condition = threading.Condition()
        self._used: defaultdict[bytes, float] = defaultdict(float)
        self._render_seconds = 0.0
        self._contested_seconds = 0.0
        self._stop = False
        self._thread = threading.Thread(target=self._run, name="mimaface-worker", daemon=True)
        self._thread.start()

    def add(self, task: Task) -> None:
        """Queue a task; an older preview of the same slot is dropped, also in the middle of its work."""
        with self._condition:
            if task.kind == PREVIEW:
                for other in self._tasks:
                    if other.kind == PREVIEW and (other.client, other.slot) == (task.client, task.slot):
                        other.cancelled = True
            known = {other.client for other in self._tasks if other.kind == RENDER}
            if task.kind == RENDER and known and task.client not in known:
                self._used[task.client] = max(self._used[task.client], min(self._used[client] for client in known))
            self._tasks.append(task)
            self._condition.notify()

    def cancel(self, task: Task) -> None:
        with self._condition:
            task.cancelled = True
            self._condition.notify()

    def stop(self, timeout: float = 10.0) -> None:
        """End after the current step; unfinished tasks are closed where they are."""
        with self._condition:
            self._stop = True
            self._condition.notify()
        self._thread.join(timeout)

    def _choose(self) -> Task:
        """The next task to give a step to; called with at least one waiting."""
        by_kind = {kind: [task for task in self._tasks if task.kind == kind] for kind in (CONTROL, PREVIEW, RENDER)}
        if by_kind[CONTROL]:
            return by_kind[CONTROL][0]
        renders, previews = by_kind[RENDER], by_kind[PREVIEW]
        owed = self._render_seconds < RENDER_SHARE * self._contested_seconds
        if previews and not (renders and owed):
            return previews[0]
        return min(renders, key=lambda task: self._used[task.client])

    def _run(self) -> None:
        while True:
            with self._condition:
                for task in [task for task in self._tasks if task.cancelled]:
                    self._tasks.remove(task)
                    _close(task)
                while not self._tasks and not self._stop:
                    self._condition.wait()
                if self._stop:
                    for task in self._tasks:
                        _close(task)
                    return
                if any(item.cancelled for item in self._tasks):
                    continue
                task = self._choose()
                contested = {PREVIEW, RENDER} <= {item.kind for item in self._tasks}
            self._step(task, contested)

    def _step(self, task: Task, contested: bool) -> None:
        self.step_started = time.monotonic()
        ended, error = False, None
        try:
            if task.generator is None:
                task.generator = task.start()
            next(task.generator)
        except StopIteration:
            ended = True
        except Exception as failure:
            ended, error = True, failure
        seconds = time.monotonic() - self.step_started
        self.steps += 1
        with self._condition:
            if task.kind == RENDER:
                self._used[task.client] += seconds
            if contested:
                self._contested_seconds += seconds
                self._render_seconds += seconds if task.kind == RENDER else 0.0
            if ended:
                self._tasks.remove(task)
        if ended and not task.cancelled:
            task.finished(error)


def _close(task: Task) -> None:
    close = getattr(task.generator, "close", None)
    if close is not None:
        close()
