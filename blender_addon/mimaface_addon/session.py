# SPDX-License-Identifier: GPL-3.0-or-later
"""The runtime object of the add-on: backend, open requests, takes being received. A timer calls :meth:`Session.pump`. Threads never use bpy."""

from __future__ import annotations

import contextlib
import logging
import time
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import bpy

from . import sending
from .core.activity import Activity
from .core.asking import Asked, Problem, Requests
from .core.backend import Backend
from .core.delivery import MOTION, Writer, first_missing, has_space
from .core.words import n_, rpt_
from .interpreter import backend_python, installed
from .protocol.codec import Message
from .protocol.connection import default_folder
from .protocol.errors import Cancelled, is_shortage
from .protocol.messages import CREDIT
from .scene import compat, saving, strips, undo
from .scene.settings import Take
from .scene.takes import ACTIVE, Copies, all_takes, find_take, take_folder, takes_of_job

log = logging.getLogger(__name__)
REFRESH_EVERY = 0.5  # seconds between refreshes of a growing strip. Higher: it grows in larger steps
LOOK_EVERY = 4.0  # seconds between checks of a full disk. Higher: a take continues later
PAUSED = n_("paused: ")
STOPPED = n_("the backend was stopped; resume the take any time")


class Session:
    def __init__(self) -> None:
        self.backend = Backend(default_folder())
        self.requests = Requests(self.backend)
        self.writer = Writer()
        self.steps = undo.Steps(self.threads_held)
        self.last_error = ""
        self.notice = ""  # result and warnings of the last import
        self.stages: dict[str, str] = {}  # job → stage of its progress
        self.main_thread_seconds: deque[float] = deque(maxlen=10_000)
        self.under_way: dict[str, float] = {}  # take being requested or received → monotonic seconds of its strip's last refresh
        self.no_space: dict[str, tuple[float, int]] = {}  # take on a full disk → monotonic seconds of the next check, bytes that did not fit
        self.removed: set[str] = set()  # takes that were removed since the file was opened
        self.reconcile_due = self.opened = False
        self.file_number = 0  # counts the opened files
        self._healed: set[str] = set()  # takes that were sent again after their job had failed
        self._missing: dict[str, int] = {}  # take whose frames were requested once more → the first one that was missing
        self._copies = Copies()
        self._drawn: tuple[object, ...] = ()

    @contextlib.contextmanager
    def threads_held(self) -> Iterator[None]:
        """Pause the add-on's other threads, which must not run Python while operators run in an overridden context."""
        client = self.backend.client
        with self.writer.held(), client.held() if client is not None else contextlib.nullcontext():
            yield

    def ensure_backend(self) -> None:
        if self.backend.state in ("stopped", "lost"):
            self.backend.start(backend_python())
            if self.backend.state == "lost":
                self.fail(self.backend.problem)

    @property
    def busy(self) -> str:
        """The sentences of all activities; "" without any."""
        return "; ".join(activity.sentence() for activity in self.requests.activities)

    def ask(
        self, kind: str, fields: dict[str, Any], parts: list[bytes], done: Callable[[Message], None], failed: Callable[[Problem], None],
        activity: Activity | None = None,
    ) -> None:  # fmt: skip
        """Send a request as soon as the backend is ready; :meth:`pump` calls ``done``, or ``failed`` with a :class:`Problem`.

        ``activity``: shown in the panels meanwhile, with a button that cancels it.
        """
        self.ensure_backend()
        self.requests.add(Asked(kind, fields, parts, done, failed, activity))

    def fail(self, text: str) -> None:
        """Store an error for the panels and *Copy Report*; a cancellation is stored as a notice."""
        if getattr(text, "code", "") == Cancelled.code:
            self.notice = text
        else:
            self.last_error = text

    def stop(self) -> None:
        """Stop the backend; unfinished takes can be resumed."""
        self.backend.stop(wait=False)
        self._drop(rpt_(STOPPED))

    def receive(self, take: Take) -> None:
        """Request the frames of a take from the first missing one on."""
        identity = take.uuid
        take.state, take.message = "rendering", ""
        take.done = start = first_missing(take_folder(take), take.frames)
        self.under_way[identity] = 0.0

        def failed(text: Problem) -> None:
            if not self._heal(identity, text):
                self.end(identity, "interrupted", text)

        self.ask("job.attach", {"job": take.job, "from_frame": start, "credit": CREDIT, "credentials": True}, [], lambda _: None, failed)

    def pump(self) -> None:
        """Do all due work of the main thread, without blocking."""
        started = time.perf_counter()
        before = self.backend.state
        awaited = self.requests.waiting or (before == "ready" and self.under_way)
        self.backend.poll(self.requests.last_sent if awaited else None)
        self.requests.send()
        if before == "installing" and self.backend.state == "starting":
            self.notice = installed()
        elif self.backend.state == "lost" and before != "lost":
            self._drop(self.backend.problem)
            self.fail(self.backend.problem)
        self.requests.answer()
        for old, new in self._copies.look().items():
            if old in self.under_way:
                self.under_way.update(dict.fromkeys(new, 0.0))
        if self._copies.changed:  # takes of a scene that is gone, and of one that undo brought back
            present = {take.uuid: take.state in ACTIVE for _, take in all_takes()}
            self.under_way = {identity: shown for identity, shown in self.under_way.items() if identity in present}
            self.reconcile_due |= any(active and identity not in self.under_way for identity, active in present.items())
        self._look_for_space()
        if self.reconcile_due:
            self.reconcile_due = False
            saving.reconcile(self)
        delivered = self._events() + self.collect_written()
        self.steps.pump()
        said = (self.backend.problem, self.backend.progress(), self.busy, self.last_error, self.notice)
        shown = (self.backend.state, *said, *self.stages.values())
        if delivered or shown != self._drawn:
            self._drawn = shown
            compat.redraw()
        if delivered:
            self.main_thread_seconds.append(time.perf_counter() - started)

    def _events(self) -> int:
        client = self.backend.client
        if client is None:
            return 0
        count = 0
        for event in client.events():
            job = event.fields.get("job", event.fields.get("subject", ""))
            if event.kind == "progress":
                self._progress(job, event.fields)
                continue
            folders = set()
            for _, take in takes_of_job(job):
                folder = take_folder(take)
                if event.kind == "frame" and folder not in folders:
                    folders.add(folder)  # copies of a scene share a folder
                    self.writer.put(take.uuid, folder, event.fields["index"], event.parts[0], event.fields["sha256"])
                    count += 1
                elif event.kind == "done":
                    self._complete(take.uuid)
                elif event.kind == "failed":
                    self._failed(take.uuid, event)
        return count

    def _progress(self, subject: str, fields: dict[str, Any]) -> None:
        stage = fields.get("stage", "")
        for activity in self.requests.activities:
            if activity.subject == subject:
                activity.told(stage, fields["done"], fields["total"])
        if "step_age" in fields:  # progress of a job
            self.backend.step_age = float(fields["step_age"])
            self.stages[subject] = stage

    def _failed(self, identity: str, event: Message) -> None:
        message, hint = event.fields["message"], event.fields["hint"]
        text = Problem(f"{message} – {hint}" if hint else message)
        text.code = event.fields["code"]
        if is_shortage(text.code):  # the backend continues by itself and sends the remaining frames
            self._pause(identity, text)
        elif not self._heal(identity, text):
            self.end(identity, "cancelled" if text.code == "cancelled" else "failed", text)

    def _pause(self, identity: str, text: str) -> None:
        found = find_take(identity)
        if found is not None and found[1].state in ACTIVE:
            found[1].message = rpt_(PAUSED) + text
            compat.redraw()

    def _look_for_space(self) -> None:
        """Request frames that did not fit on the disk again, once there is space."""
        now = time.monotonic()
        for identity, (due, size) in list(self.no_space.items()):
            if now < due:
                continue
            found = find_take(identity)
            if found is None or found[1].state not in ACTIVE:
                del self.no_space[identity]
            elif has_space(take_folder(found[1]), size):
                del self.no_space[identity]
                self.receive(found[1])
            else:
                self.no_space[identity] = (now + LOOK_EVERY, size)

    def _heal(self, identity: str, text: str) -> bool:
        """Send a take again if the backend has lost its files, once per take; whether it was sent."""
        found = find_take(identity)
        if found is None or identity in self._healed or getattr(text, "code", "") not in sending.LACKING:
            return False
        self._healed.add(identity)
        sending.send_again(self, identity)
        return True

    def collect_written(self) -> int:
        """Update takes and strips with the frames written since the last call; return their number."""
        results = self.writer.results()
        for identity, index, problem, lacking in results:
            found = find_take(identity)
            if found is None or found[1].state not in ACTIVE:
                continue
            if lacking:
                self.no_space.setdefault(identity, (time.monotonic() + LOOK_EVERY, lacking))
                self._pause(identity, problem)
                continue
            if problem:
                self.end(identity, "interrupted", problem)
                continue
            if self.backend.client is not None:
                self.backend.client.grant(found[1].job, 1)
            folder = take_folder(found[1])
            for scene, take in takes_of_job(found[1].job):
                if take_folder(take) == folder:
                    self._count(scene, take, folder, index + 1)
        return len(results)

    def _count(self, scene: bpy.types.Scene, take: Take, folder: Path, done: int) -> None:
        take.done = max(take.done, done)
        if take.message.startswith(rpt_(PAUSED)) and take.uuid not in self.no_space:
            take.message = ""
        now = time.monotonic()
        if take.done >= take.frames:
            self._complete(take.uuid)
            if take.state in ACTIVE:  # frames were deleted meanwhile, or were sent while undo had taken the scene away
                self._once_more(take)
        elif now - self.under_way.get(take.uuid, 0.0) > REFRESH_EVERY:
            self.under_way[take.uuid] = now
            self._show(scene, take, folder)

    def _show(self, scene: bpy.types.Scene, take: Take, folder: Path) -> None:
        if strips.show(scene, take, folder):
            self.steps.push("Generate")

    def _complete(self, identity: str) -> None:
        """Set a take to "done" if all its frames are on disk, and update its strip."""
        found = find_take(identity)
        if found is None:
            return
        scene, take = found
        folder = take_folder(take)
        take.done = first_missing(folder, take.frames)
        if take.done == take.frames:
            take.state, take.message = "done", ""
            self.under_way.pop(identity, None)
            self._missing.pop(identity, None)
            with contextlib.suppress(OSError):
                (folder / MOTION).unlink()
        self._show(scene, take, folder)

    def _once_more(self, take: Take) -> None:
        """Request the frames from the first missing one on, which were written before; where none has come since, end the take."""
        if self._missing.get(take.uuid) == take.done:
            self.end(take.uuid, "interrupted", saving.incomplete(take.done, take.frames))
            return
        self._missing[take.uuid] = take.done
        self.receive(take)

    def end(self, identity: str, state: str, message: str) -> None:
        """End a take in ``state`` with ``message``."""
        self.under_way.pop(identity, None)
        found = find_take(identity)
        if found is None or found[1].state == "done":
            return
        found[1].state, found[1].message = state, str(message)
        if state in ("failed", "interrupted"):
            self.fail(str(message))

    def _drop(self, reason: str) -> None:
        """Fail all open requests and interrupt all unfinished takes."""
        self.requests.drop(reason)
        self.under_way.clear()
        self.stages.clear()
        self.no_space.clear()
        self._healed.clear()
        for _, take in all_takes():
            if take.state in ACTIVE:
                take.state, take.message = "interrupted", reason
        self.last_error = ""

    def file_opened(self) -> None:
        """Discard everything that belongs to the previous file; its takes are found by their folders when it is opened again."""
        self.file_number += 1
        self.requests.forget_activities()
        self.under_way.clear()
        self.no_space.clear()
        self.removed.clear()
        self._healed.clear()
        self._copies = Copies()
        self.last_error = self.notice = ""
        self.reconcile_due = self.opened = True

    def close(self) -> None:
        """End the session when the add-on is switched off. Unfinished takes can be resumed; the backend ends when it has no job."""
        self._drop(rpt_(STOPPED))
        self.backend.release()
        self.writer.close()


_session: Session | None = None


def session() -> Session:
    """Returns the session; the first call creates it."""
    global _session
    if _session is None:
        _session = Session()
    return _session


def running() -> Session | None:
    """Returns the session if it was created, else None."""
    return _session


def close() -> None:
    """End the session; the next call of :func:`session` creates a new one."""
    global _session
    if _session is not None:
        _session.close()
        _session = None
