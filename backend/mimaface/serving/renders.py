"""Starts, continues and cancels the rendering of jobs, and records how it ends."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator

from mimaface.protocol.errors import DiskFull, InternalError, MimaFaceError, Shortage
from mimaface.renderers.registry import RENDERERS
from mimaface.shortage import shortage

from .jobs import ACTIVE, Job
from .room import Room
from .scheduler import RENDER, Scheduler, Task
from .store import Store
from .work import Work

log = logging.getLogger(__name__)
SERVER = b""  # the client name under which jobs continue after a restart
PREPARED = 2  # steps in which every renderer loads its networks and prepares the portrait; shown as "loading"
BY_ITSELF = "it continues by itself when there is room"


class Renders:
    """The jobs being rendered. Only the socket's thread may use it. ``later``: calls a function on that thread, from a worker."""

    def __init__(self, store: Store, work: Work, scheduler: Scheduler, later: Callable[[Callable[[], object]], None]) -> None:
        self._store, self._work, self._scheduler, self._later = store, work, scheduler, later
        self._tasks: dict[str, Task] = {}
        self._prepared: set[str] = set()  # jobs whose engine is ready
        self._room = Room(store.root)
        self._measured: set[str] = set()  # engines, once each
        self.measuring: dict[str, str] = {}  # engine → the newest sentence of its measurement, while that goes on

    def __bool__(self) -> bool:
        return bool(self._tasks)

    def __contains__(self, job: str) -> bool:
        return job in self._tasks

    def start(self, client: bytes, job: Job) -> None:
        """Queue the missing frames of a job, unless a task renders it already or its state is not active."""
        if job.id in self._tasks or job.state not in ACTIVE:
            return

        def run() -> Iterator[object]:
            self._store.begin(job.id)
            self._prepared.discard(job.id)
            for step, finished_frame in enumerate(self._work.render(job)):
                if step + 1 >= PREPARED:
                    self._prepared.add(job.id)
                if finished_frame is not None:
                    self._later(lambda: None)  # wakes the socket's thread, which delivers the frame
                yield finished_frame

        task = Task(RENDER, client, run, lambda error: self._later(lambda: self._ended(job.id, task, error)))
        self._tasks[job.id] = task
        self._room.begins(job.id)
        self._scheduler.add(task)

    def stage(self, job: str) -> str:
        """Returns the stage of a job: "waiting" for its turn, "loading" the engine, "rendering", or "" when it has ended."""
        task = self._tasks.get(job)
        if task is None:
            return ""
        if task.generator is None:
            return "waiting"
        return "rendering" if job in self._prepared else "loading"

    def wait_for_room(self, job: Job) -> None:
        """Watch a job that an earlier start of the backend paused for a shortage; does nothing for other jobs."""
        if job.waits_for_room:
            self._room.wait(job)

    def go_on(self) -> None:
        """Queue the jobs whose shortage is over."""
        for name in self._room.due():
            if self._store.job(name).waits_for_room:
                self._store.set_state(name, "queued")
                self.start(SERVER, self._store.job(name))
            else:
                self._room.forget(name)

    def cancel(self, job: str) -> None:
        self._room.forget(job)
        task = self._tasks.pop(job, None)
        if task is not None:
            self._scheduler.cancel(task)

    def _ended(self, job: str, task: Task, error: BaseException | None) -> None:
        if self._tasks.get(job) is not task:
            return
        del self._tasks[job]
        self._prepared.discard(job)
        if error is None:
            self._room.forget(job)
            finished = self._store.finish(job)
            self.start(SERVER, finished)
            self._measure(finished.settings.engine)
            return
        known = as_known(error)
        if isinstance(known, Shortage):
            what = "free some space" if isinstance(known, DiskFull) else "close other programs"
            self._store.set_state(job, "paused", known.code, known.message, f"{what}: {BY_ITSELF}")
            self._room.wait(self._store.job(job), known)
        else:
            self._room.forget(job)
            self._store.set_state(job, "failed", known.code, known.message, known.hint)

    def _measure(self, engine: str) -> None:
        """Queue the measurement of the runtimes of an engine's networks, after its first take; new takes are rendered in turn with it."""
        if engine in self._measured:
            return
        self._measured.add(engine)

        def run() -> Iterator[None]:
            for words in RENDERERS[engine].measure():
                log.info("%s: %s", engine, words)
                self.measuring[engine] = f"other runtimes are being measured ({words})"
                yield None
            if self.measuring.pop(engine, ""):
                self._work.forget()  # so that the next preview is made as the next take is

        def ended(error: BaseException | None) -> None:
            self.measuring.pop(engine, None)
            if error is not None:
                log.warning("the runtimes of %s could not be measured: %s", engine, as_known(error))

        self._scheduler.add(Task(RENDER, SERVER, run, ended))


def as_known(error: BaseException) -> MimaFaceError:
    """Returns the :class:`MimaFaceError` for any exception; unexpected exceptions are logged with traceback."""
    if isinstance(error, MimaFaceError):
        return error
    short = shortage(error)
    if short is not None:
        return short
    log.error("a task failed", exc_info=error)
    return InternalError(f"an error occurred in the backend ({type(error).__name__})", "see its log (Copy report)")
