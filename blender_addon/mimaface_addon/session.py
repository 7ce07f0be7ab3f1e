# SPDX-License-Identifier: GPL-3.0-or-later
"""The one runtime object: the backend, requests under way, takes being received. :meth:`Session.pump` moves it on.

A persistent timer calls ``pump`` in the window; tests and background scripts call it themselves. Threads never touch bpy.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path

import bpy

from . import strips
from .backend import Backend
from .compat import user_folder
from .delivery import Writer, first_missing
from .preferences import backend_python
from .protocol.client import Message
from .protocol.errors import MimaFaceError
from .protocol.messages import CREDIT

log = logging.getLogger(__name__)
INTERVAL = 0.05  # seconds between pumps
REFRESH_EVERY = 0.5  # seconds between refreshes of a filling strip
ACTIVE = ("waiting", "rendering")


class Session:
    def __init__(self) -> None:
        self.backend = Backend(Path(user_folder(__package__)))
        self.writer = Writer()
        self.last_error = ""
        self.busy = ""
        self.main_thread_seconds: list[float] = []
        self._pending: list[tuple[Future[Message], Callable[[Message], None], Callable[[str], None]]] = []
        self._when_ready: list[Callable[[], None]] = []
        self._received: dict[str, float] = {}  # takes under way, and when their strip was last refreshed
        self.reconcile_due = False

    def ensure_backend(self) -> None:
        if self.backend.state in ("stopped", "lost"):
            self.backend.start(backend_python())
            if self.backend.state == "lost":
                self.fail(self.backend.problem)

    def ask(
        self, kind: str, fields: dict, parts: list[bytes], done: Callable[[Message], None], failed: Callable[[str], None], timeout: float = 86_400.0,
    ) -> None:  # fmt: skip
        """Send a request as soon as the backend is ready; ``done`` or ``failed`` is called by :meth:`pump`."""

        def send() -> None:
            client = self.backend.client
            if client is None:
                failed(self.backend.problem or "the backend is not running")
                return
            self._pending.append((client.request(kind, fields, parts, timeout), done, failed))

        self.ensure_backend()
        if self.backend.state == "ready":
            send()
        elif self.backend.state == "starting":
            self._when_ready.append(send)
        else:
            failed(self.backend.problem)

    def fail(self, text: str) -> None:
        """Keep an error for the panels and *Copy Report*."""
        self.last_error = text
        self.busy = ""

    def receive(self, scene: bpy.types.Scene, take) -> None:
        """Ask for the frames of a take from the first one that is not on disk."""
        folder = take_folder(take)
        uuid = take.uuid
        take.state = "rendering"
        take.message = ""
        start = first_missing(folder, take.frames)
        take.done = start
        self._received[uuid] = 0.0

        def failed(text: str) -> None:
            self._end(uuid, "interrupted", text)

        self.ask("job.attach", {"job": take.job, "from_frame": start, "credit": CREDIT}, [], lambda _: None, failed)

    def pump(self) -> None:
        """Everything that is due on the main thread, and nothing that waits."""
        started = time.perf_counter()
        before = self.backend.state
        self.backend.poll()
        if self.backend.state == "ready" and self._when_ready:
            waiting, self._when_ready = self._when_ready, []
            for send in waiting:
                send()
        if self.backend.state == "lost" and before != "lost":
            self._lost()
        for item in [item for item in self._pending if item[0].done()]:
            self._pending.remove(item)
            future, done, failed = item
            try:
                message = future.result()
            except MimaFaceError as error:
                failed(str(error))
                continue
            try:
                done(message)
            except (MimaFaceError, OSError, RuntimeError) as error:
                log.exception("an answer could not be used")
                failed(f"the answer could not be used: {error}")
        if self.reconcile_due:
            self.reconcile_due = False
            self.reconcile()
        delivered = self._events() + self._written()
        if delivered or before != self.backend.state:
            redraw()
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
                if event.fields["total"] == 0 and self.busy:
                    self.busy = f"Reading: frame {event.fields['done']}"
                self.backend.step_age = float(event.fields.get("step_age", 0.0))
                continue
            for _, take in takes_of_job(job):
                if event.kind == "frame":
                    self.writer.put(take.uuid, take_folder(take), event.fields["index"], event.parts[0], event.fields["sha256"])
                    count += 1
                elif event.kind == "done":
                    self._complete(take.uuid)
                elif event.kind == "failed":
                    self._end(take.uuid, "cancelled" if event.fields["code"] == "cancelled" else "failed", describe(event))
        return count

    def _written(self) -> int:
        results = self.writer.results()
        for uuid, index, problem in results:
            found = find_take(uuid)
            if found is None:
                continue
            scene, take = found
            if take.state not in ACTIVE:
                continue
            if problem:
                self._end(uuid, "interrupted", problem)
                continue
            take.done = max(take.done, index + 1)
            if self.backend.client is not None:
                self.backend.client.grant(take.job, 1)
            now = time.monotonic()
            if take.done >= take.frames:
                self._complete(uuid)
            elif now - self._received.get(uuid, 0.0) > REFRESH_EVERY:
                self._received[uuid] = now
                strips.show(scene, take, take_folder(take))
        return len(results)

    def _complete(self, uuid: str) -> None:
        """A take is done when every frame is on disk, and not before."""
        found = find_take(uuid)
        if found is None:
            return
        scene, take = found
        folder = take_folder(take)
        take.done = first_missing(folder, take.frames)
        if take.done == take.frames:
            take.state, take.message = "done", ""
            self._received.pop(uuid, None)
        strips.show(scene, take, folder)

    def reconcile(self) -> None:
        """Compare every take with the disk: after undo, redo and opening a file, what the .blend says may be old."""
        for scene in bpy.data.scenes:
            for take in scene.mimaface.takes:
                if not take.frames:
                    continue
                present = first_missing(take_folder(take), take.frames)
                take.done = present
                if present == take.frames:
                    take.state, take.message = "done", ""
                    strips.show(scene, take, take_folder(take))
                elif take.state == "done" or (take.state in ACTIVE and take.uuid not in self._received):
                    take.state, take.message = "interrupted", f"{present} of {take.frames} frames are on disk: resume the take"

    def _end(self, uuid: str, state: str, message: str) -> None:
        found = find_take(uuid)
        if found is None or found[1].state == "done":
            return
        found[1].state, found[1].message = state, message
        self._received.pop(uuid, None)
        if state in ("failed", "interrupted"):
            self.fail(message)

    def _lost(self) -> None:
        self.fail(self.backend.problem)
        for item in list(self._pending):
            self._pending.remove(item)
            item[2](self.backend.problem)
        waiting, self._when_ready = self._when_ready, []
        for send in waiting:
            send()
        self._received.clear()
        for scene in bpy.data.scenes:
            for take in scene.mimaface.takes:
                if take.state in ACTIVE:
                    take.state, take.message = "interrupted", self.backend.problem

    def close(self) -> None:
        self.backend.stop_client()
        self.writer.close()


_session: Session | None = None


def session() -> Session:
    """The running session, made on first use."""
    global _session
    if _session is None:
        _session = Session()
    return _session


def describe(event: Message) -> str:
    message, hint = event.fields["message"], event.fields["hint"]
    return f"{message} – {hint}" if hint else message


def take_folder(take) -> Path:
    return Path(bpy.path.abspath(take.folder))


def find_take(uuid: str):
    """(scene, take) by UUID; looked up anew each time, since undo and reload replace what is behind references."""
    for scene in bpy.data.scenes:
        for take in scene.mimaface.takes:
            if take.uuid == uuid:
                return scene, take
    return None


def takes_of_job(job: str):
    return [
        (scene, take) for scene in bpy.data.scenes for take in scene.mimaface.takes if take.job == job and take.state in ACTIVE
    ]


def redraw() -> None:
    """Repaint our panels; there is no window manager in background scripts without windows."""
    for window in bpy.context.window_manager.windows:
        for area in window.screen.areas:
            if area.type in ("VIEW_3D", "SEQUENCE_EDITOR"):
                area.tag_redraw()


def _tick() -> float:
    try:
        if _session is not None or any(scene.mimaface.takes for scene in bpy.data.scenes):
            session().pump()
    except Exception:  # a timer that raises is dropped by Blender, and the add-on with it
        log.exception("the add-on made a mistake")
        session().fail("the add-on made a mistake: please use Copy Report")
    return INTERVAL


@bpy.app.handlers.persistent
def _changed(*_: object) -> None:
    """After opening a file, undo and redo: the takes are compared with the disk at the next pump."""
    if _session is not None or any(scene.mimaface.takes for scene in bpy.data.scenes):
        session().reconcile_due = True


HANDLERS = ("load_post", "undo_post", "redo_post")


def register() -> None:
    for name in HANDLERS:
        getattr(bpy.app.handlers, name).append(_changed)
    bpy.app.timers.register(_tick, first_interval=INTERVAL, persistent=True)


def unregister() -> None:
    global _session
    for name in HANDLERS:
        with contextlib.suppress(ValueError):
            getattr(bpy.app.handlers, name).remove(_changed)
    with contextlib.suppress(ValueError):
        bpy.app.timers.unregister(_tick)
    if _session is not None:
        _session.close()
        _session = None
