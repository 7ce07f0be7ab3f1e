# SPDX-License-Identifier: GPL-3.0-or-later
"""The one runtime object: the backend, requests under way, takes being received. :meth:`Session.pump` moves it on.

A persistent timer calls ``pump`` in the window; tests and background scripts call it themselves. Threads never touch bpy.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path

import bpy

from . import strips
from .backend import Backend
from .compat import user_folder
from .delivery import Writer
from .preferences import backend_python
from .protocol.client import Message
from .protocol.errors import MimaFaceError
from .protocol.messages import CREDIT

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
        self._received: dict[str, tuple[bpy.types.Scene, float]] = {}

    def ensure_backend(self) -> None:
        if self.backend.state in ("stopped", "lost"):
            self.backend.start(backend_python())
            if self.backend.state == "lost":
                self.fail(self.backend.problem)

    def ask(
        self, kind: str, fields: dict, parts: list[bytes], done: Callable[[Message], None], failed: Callable[[str], None], timeout: float = 600.0,
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
        from .delivery import first_missing

        folder = take_folder(take)
        uuid = take.uuid
        take.state = "rendering"
        take.message = ""
        start = first_missing(folder, take.frames)
        take.done = start
        self._received[uuid] = (scene, 0.0)

        def done(message: Message) -> None:
            found = find_take(uuid)
            if found is not None and message.fields["state"] in ("failed", "cancelled") and found[1].state == "rendering":
                self._end(uuid, "failed", message.fields.get("message", ""))

        def failed(text: str) -> None:
            self._end(uuid, "interrupted", text)

        self.ask("job.attach", {"job": take.job, "from_frame": start, "credit": CREDIT}, [], done, failed)

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
            done(message)
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
                continue
            for _, take in takes_of_job(job):
                if event.kind == "frame":
                    self.writer.put(take.uuid, take_folder(take), event.fields["index"], event.parts[0], event.fields["sha256"])
                    count += 1
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
            if problem:
                self._end(uuid, "interrupted", problem)
                continue
            take.done = max(take.done, index + 1)
            if self.backend.client is not None:
                self.backend.client.grant(take.job, 1)
            now = time.monotonic()
            complete = take.done >= take.frames
            if complete:
                take.state = "done"
            last = self._received.get(uuid, (scene, 0.0))[1]
            if complete or now - last > REFRESH_EVERY:
                self._received[uuid] = (scene, now)
                strips.show(scene, take, take_folder(take))
        return len(results)

    def _end(self, uuid: str, state: str, message: str) -> None:
        found = find_take(uuid)
        if found is None or found[1].state == "done":
            return
        found[1].state, found[1].message = state, message
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
    return [(scene, take) for scene in bpy.data.scenes for take in scene.mimaface.takes if take.job == job and take.state in ACTIVE]


def redraw() -> None:
    """Repaint our panels; there is no window manager in background scripts without windows."""
    for window in bpy.context.window_manager.windows:
        for area in window.screen.areas:
            if area.type in ("VIEW_3D", "SEQUENCE_EDITOR"):
                area.tag_redraw()


def _tick() -> float:
    if _session is not None:
        _session.pump()
    return INTERVAL


@bpy.app.handlers.persistent
def _loaded(*_: object) -> None:
    """After a file was opened: takes that were under way can be resumed."""
    for scene in bpy.data.scenes:
        for take in scene.mimaface.takes:
            if take.state in ACTIVE:
                take.state, take.message = "interrupted", "Blender was closed before the take was complete"


def register() -> None:
    bpy.app.handlers.load_post.append(_loaded)
    bpy.app.timers.register(_tick, first_interval=INTERVAL, persistent=True)


def unregister() -> None:
    global _session
    if _loaded in bpy.app.handlers.load_post:
        bpy.app.handlers.load_post.remove(_loaded)
    with contextlib.suppress(ValueError):
        bpy.app.timers.unregister(_tick)
    if _session is not None:
        _session.close()
        _session = None
