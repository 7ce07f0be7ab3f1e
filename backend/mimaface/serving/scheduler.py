"""Three worker threads, each of which interleaves generators step by step.

The first runs short work: control before previews. The second runs previews that networks generate. The third runs renders and tracks. So no
task waits for a step of another kind, which may take seconds. Each thread runs the task of the client that has used the least time, and of
that client the task that has used the least (deficit round-robin, Shreedhar and Varghese 1995, in measured seconds).
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
RANKS = {CONTROL: 0, PREVIEW: 1, GENERATED: 0, RENDER: 0, TRACK: 0}  # within a thread, lower ranks run first
PREVIEWS = PREVIEW, GENERATED  # kinds of which a newer task replaces the older ones of its slot
# slots of one client with waiting previews; a window needs one or two. Higher: more memory, a motion of up to megabytes each
MOST_SLOTS = 16


@dataclass(eq=False)
class Task:
    """``start`` creates the generator, on the worker; ``finished`` is called with None, or with the error that ended it.

    slot: a newer preview of the same client and slot ends an unfinished one with :class:`Replaced`. used: seconds. A cancelled task is
    closed at its next step, and ``finished`` is not called.
    """

    kind: str
    client: bytes
    start: Callable[[], Iterator[object]]
    finished: Callable[[BaseException | None], None]
    slot: str = ""
    cancelled: bool = False
    replaced: bool = False
    used: float = 0.0
    generator: Iterator[object] | None = field(default=None, repr=False)


class Scheduler:
    """The three threads. Safe from any thread."""

    def __init__(self) -> None:
        quick, generated, long = Lane("mimaface-quick"), Lane("mimaface-generated"), Lane("mimaface-worker")
        self._lanes = {CONTROL: quick, PREVIEW: quick, GENERATED: generated, RENDER: long, TRACK: long}

    @property
    def steps(self) -> int:
        """Number of finished steps of renders and tracks."""
        return self._lanes[RENDER].steps

    @property
    def step_age(self) -> float:
        """Seconds since the current step of renders and tracks began, by which clients recognise a hanging step; 0 without one."""
        return self._lanes[RENDER].step_age

    def add(self, task: Task) -> None:
        if task.kind in PREVIEWS:
            for kind in PREVIEWS:
                self._lanes[kind].replace_by(task)
        self._lanes[task.kind].add(task)

    def cancel(self, task: Task) -> None:
        self._lanes[task.kind].cancel(task)

    def stop(self, timeout: float = 10.0) -> None:
        """End the threads after their current steps; unfinished tasks are closed."""
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
        self._used: dict[bytes, float] = {}  # client → seconds, of clients with tasks in this lane
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
            if task.client not in self._used:  # a new client is next, but is not owed the time before it came
                self._used[task.client] = min(self._used.values(), default=0.0)
            self._tasks.append(task)
            self._condition.notify()

    def replace_by(self, task: Task) -> None:
        """End the previews in this lane that ``task`` replaces."""
        with self._condition:
            replaced = self._replaced_by(task)
        for other in replaced:
            _report(other, Replaced("a newer preview has replaced this one"))

    def _replaced_by(self, task: Task) -> list[Task]:
        """Mark the previews that ``task`` replaces, and the oldest ones of a client with too many; remove and return those not begun."""
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
        while self._turn():
            pass

    def _turn(self) -> bool:
        """Run one step, or end what is to end; False once the lane has stopped. Locals end with it, so that no ended task is kept."""
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
        for other in ended:  # outside the lock: closing may wait for a pool of threads
            _close(other)
            if other.replaced and not other.cancelled:
                _report(other, Replaced("a newer preview has replaced this one"))
        if task is not None and not self._stop:
            self._step(task)
        return not self._stop

    def _forget(self) -> None:
        """Delete the used time of clients without tasks in this lane."""
        clients = {task.client for task in self._tasks}
        self._used = {client: used for client, used in self._used.items() if client in clients}

    def _step(self, task: Task) -> None:
        ended, errors = False, list[Exception]()
        try:
            if task.generator is None:
                task.generator = task.start()
            next(task.generator)
        except StopIteration:
            ended = True
        except Exception as failure:
            ended = True
            errors.append(failure)
        with self._condition:
            seconds = time.monotonic() - self._step_started
            self.steps += 1
            self._current = None
            task.used += seconds
            self._used[task.client] = self._used.get(task.client, 0.0) + seconds
            if ended:
                self._tasks.remove(task)
        if ended and not task.cancelled:
            _report(task, errors.pop() if errors else None)  # this frame, which its traceback refers to, does not refer to it


def _close(task: Task) -> None:
    close = getattr(task.generator, "close", None)
    if close is not None:
        try:
            close()
        except Exception:
            log.exception("closing a cancelled task raised an error")


def _report(task: Task, error: BaseException | None) -> None:
    try:
        task.finished(error)
    except Exception:
        log.exception("reporting the end of a task raised an error")
