"""Three worker threads that take turns between generators, a step at a time.

One runs short work that a user waits for: control before previews. One runs previews that networks generate; the first of them waits until
the networks are loaded. The third runs long work: renders and tracks. So no work waits for a step of another kind, which may take seconds,
and each kind has its share of the processor. In all three the client that used least time goes first
(deficit round-robin, Shreedhar and Varghese 1995, in measured seconds), and of its tasks the one that used least.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from mimaface.protocol.errors import Replaced

log = logging.getLogger(__name__)
CONTROL, PREVIEW, GENERATED, RENDER, TRACK = "control", "preview", "generated", "render", "track"
RANKS = {CONTROL: 0, PREVIEW: 1, GENERATED: 0, RENDER: 0, TRACK: 0}  # within a thread, lower ones first
PREVIEWS = PREVIEW, GENERATED  # a newer one of a slot takes the place of both kinds
# Slots of one client in which previews wait. More cost memory (a motion each, up to megabytes); a window shows one or two.
MOST_SLOTS = 16


@dataclass(eq=False)
class Task:
    """``start`` makes the generator on the worker; ``finished`` is called with None, or with the error that ended it.

    slot: a preview that waits, or is in the middle of its work, is ended by a newer one of its slot (:class:`Replaced`); one that is
    complete is not thrown away. A cancelled task is closed at its next step and not reported.
    """

    kind: str
    client: bytes
    start: Callable[[], Iterator[object]]
    finished: Callable[[BaseException | None], None]
    slot: str = ""
    cancelled: bool = False
    replaced: bool = False
    used: float = 0.0  # seconds
    generator: Iterator[object] | None = field(default=None, repr=False)


class Scheduler:
    """Safe from any thread."""

    def __init__(self) -> None:
        quick, generated, long = Lane("mimaface-quick"), Lane("mimaface-generated"), Lane("mimaface-worker")
        self._lanes = {CONTROL: quick, PREVIEW: quick, GENERATED: generated, RENDER: long, TRACK: long}

    @property
    def steps(self) -> int:
        """Finished steps of renders and tracks."""
        return self._lanes[RENDER].steps

    @property
    def step_age(self) -> float:
        """Seconds that renders and tracks have been in their present step, to tell busy from hung; 0 when there is none."""
        return self._lanes[RENDER].step_age

    def add(self, task: Task) -> None:
        if task.kind in PREVIEWS:
            for kind in PREVIEWS:
                self._lanes[kind].replace_by(task)
        self._lanes[task.kind].add(task)

    def cancel(self, task: Task) -> None:
        self._lanes[task.kind].cancel(task)

    def stop(self, timeout: float = 10.0) -> None:
        """End after the current steps; unfinished tasks are closed where they are."""
        lanes = set(self._lanes.values())
        for lane in lanes:
            lane.stop()
        for lane in lanes:
            lane.join(timeout)


class Lane:
    """One thread and its tasks."""

    def __init__(self, name: str) -> None:
        self.steps = 0
        self._step_started = 0.0
        self._tasks: list[Task] = []
        self._current: Task | None = None
        self._used: dict[bytes, float] = {}  # seconds, of clients that have tasks here
        self._condition = threading.Condition()
        self._stop = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    @property
    def step_age(self) -> float:
        with self._condition:
            return 0.0 if self._current is None else time.monotonic() - self._step_started

    def add(self, task: Task) -> None:
        with self._condition:
            task.used = min((other.used for other in self._tasks if other.client == task.client), default=0.0)
            if task.client not in self._used:  # a newcomer gets the next turn, not all that it never asked for
                self._used[task.client] = min(self._used.values(), default=0.0)
            self._tasks.append(task)
            self._condition.notify()

    def replace_by(self, task: Task) -> None:
        """End the previews here that ``task`` takes the place of."""
        with self._condition:
            replaced = self._replaced_by(task)
        for other in replaced:
            _report(other, Replaced("a newer preview took the place of this one"))

    def _replaced_by(self, task: Task) -> list[Task]:
        """Take away the previews that ``task`` replaces, and the oldest where a client has too many; one at work is only marked."""
        mine = [other for other in self._tasks if other.kind in PREVIEWS and other.client == task.client and not other.cancelled]
        old = [other for other in mine if other.slot == task.slot]
        old += [other for other in mine if other.slot != task.slot][: -MOST_SLOTS + 1]
        for other in old:
            other.replaced = True
        waiting = [other for other in old if other.generator is None and other is not self._current]
        for other in waiting:
            self._tasks.remove(other)
        return waiting

    def cancel(self, task: Task) -> None:
        with self._condition:
            task.cancelled = True
            self._condition.notify()

    def stop(self) -> None:
        with self._condition:
            self._stop = True
            self._condition.notify()

    def join(self, timeout: float) -> None:
        self._thread.join(timeout)

    def _run(self) -> None:
        while True:
            with self._condition:
                while not self._tasks and not self._stop:
                    self._condition.wait()
                ended = [task for task in self._tasks if task.cancelled or task.replaced or self._stop]
                self._tasks = [task for task in self._tasks if task not in ended]
                self._forget()
                if not ended and self._tasks:
                    self._current = min(self._tasks, key=lambda task: (RANKS[task.kind], self._used[task.client], task.used))
                    self._step_started = time.monotonic()
                task = self._current
            for other in ended:  # not under the lock: it may wait for a pool of threads
                _close(other)
                if other.replaced and not other.cancelled:
                    _report(other, Replaced("a newer preview took the place of this one"))
            if self._stop:
                return
            if task is not None:
                self._step(task)

    def _forget(self) -> None:
        """Drop the account of clients that have nothing here any more."""
        clients = {task.client for task in self._tasks}
        self._used = {client: used for client, used in self._used.items() if client in clients}

    def _step(self, task: Task) -> None:
        ended, error = False, None
        try:
            if task.generator is None:
                task.generator = task.start()
            next(task.generator)
        except StopIteration:
            ended = True
        except Exception as failure:
            ended, error = True, failure
        with self._condition:
            seconds = time.monotonic() - self._step_started
            self.steps += 1
            self._current = None
            task.used += seconds
            self._used[task.client] = self._used.get(task.client, 0.0) + seconds
            if ended:
                self._tasks.remove(task)
        if ended and not task.cancelled:
            _report(task, error)


def _close(task: Task) -> None:
    close = getattr(task.generator, "close", None)
    if close is not None:
        try:
            close()
        except Exception:
            log.exception("a cancelled task did not end in order")


def _report(task: Task, error: BaseException | None) -> None:
    try:
        task.finished(error)
    except Exception:
        log.exception("the end of a task could not be reported")
