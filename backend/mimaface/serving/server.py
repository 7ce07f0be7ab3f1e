"""The server: one thread owns the socket, one worker does the work, the store keeps what matters."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import zmq

from mimaface import __version__
from mimaface.protocol.codec import Codec, Message
from mimaface.protocol.connection import process_exists
from mimaface.protocol.errors import (
    DiskFull,
    InternalError,
    InvalidInput,
    InvalidMessage,
    MimaFaceError,
    OutOfResources,
    UnknownJob,
    VersionMismatch,
)  # fmt: skip
from mimaface.protocol.messages import CREDIT, OLDEST_VERSION, REQUESTS, VERSION, common_version
from mimaface.protocol.settings import RenderSettings
from mimaface.shortage import shortage

from .jobs import ACTIVE, Job
from .scheduler import CONTROL, PREVIEW, RENDER, Scheduler, Task
from .security import open_socket
from .store import Store
from .work import Work

log = logging.getLogger(__name__)
POLL, PARENT_CHECK, PROGRESS_EVERY = 50, 0.5, 0.25  # milliseconds, seconds, seconds
LOG_NAME = "backend.log"
FINISHED = ("done", "failed", "cancelled", "paused")
SERVER = b""  # the client name under which jobs continue after a restart


@dataclass
class Attachment:
    """A client that wants the frames of a job: the next index and how many more it may be sent."""

    next: int
    credit: int


class Server:
    """Serves one root folder until :meth:`run` returns. Raises :class:`NotWritable` when the folder cannot be used."""

    def __init__(
        self, connection_file: Path, root: Path, host: str = "127.0.0.1", allow_remote: bool = False, parent: int | None = None
    ) -> None:
        self.store = Store(root)
        self._work = Work(self.store)
        self._scheduler = Scheduler()
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._file = connection_file
        self._socket, self._guard, self.connection = open_socket(self._context, connection_file, host, allow_remote)
        self._bell_name = f"inproc://bell-{id(self)}"
        self._bell = self._context.socket(zmq.PULL)
        self._bell.bind(self._bell_name)
        self._ring_lock = threading.Lock()
        self._ringer = self._context.socket(zmq.PUSH)
        self._ringer.connect(self._bell_name)
        self._todo: queue.SimpleQueue[Callable[[], object]] = queue.SimpleQueue()
        self._greeted: dict[bytes, str] = {}
        self._attached: dict[tuple[bytes, str], Attachment] = {}
        self._renders: dict[str, Task] = {}
        self._parent = parent
        self._progress_sent = 0.0
        self._stopping = threading.Event()
        self._handlers: dict[str, Callable[[bytes, Message], None]] = {
            "hello": self._hello, "capabilities": self._capabilities, "portrait.fit": self._fit, "preview": self._preview,
            "track": self._track, "job.submit": self._submit, "job.attach": self._attach, "job.credit": self._credit,
            "job.status": self._status, "job.resume": self._resume, "job.list": self._list, "job.cancel": self._cancel, "log.tail": self._log_tail,
            "shutdown": self._shutdown,
        }  # fmt: skip
        assert set(self._handlers) == set(REQUESTS)

    def stop(self) -> None:
        """Ask :meth:`run` to return; from any thread or a signal handler."""
        self._stopping.set()

    def run(self) -> None:
        """Serve until stopped, or until the parent process has ended and no job is left."""
        for job in self.store.interrupted():
            self._start_render(SERVER, job)
        poller = zmq.Poller()
        poller.register(self._socket, zmq.POLLIN)
        poller.register(self._bell, zmq.POLLIN)
        checked = time.monotonic()
        try:
            while not self._stopping.is_set():
                ready = dict(poller.poll(POLL))
                if self._bell in ready:
                    while self._bell.poll(0):
                        self._bell.recv()
                self._do_todo()
                if self._socket in ready:
                    self._receive()
                self._deliver()
                self._send_progress()
                if self._parent is not None and time.monotonic() - checked > PARENT_CHECK:
                    checked = time.monotonic()
                    if not process_exists(self._parent) and not self._renders:
                        log.info("the parent process has ended and no job is left")
                        break
        finally:
            self._close()

    def _close(self) -> None:
        self.connection.withdraw(self._file)
        self._scheduler.stop()
        self._guard.stop()
        for socket in (self._socket, self._bell, self._ringer):
            socket.close(0)
        self._context.term()
        self.store.close()

    # the socket

    def _receive(self) -> None:
        for _ in range(64):
            try:
                identity, *frames = self._socket.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                return
            number = 0
            try:
                message = Codec.decode(frames)
                number = message.number
                if message.kind not in self._handlers:
                    raise InvalidMessage(f"{message.kind} is not a request")
                if message.kind != "hello" and identity not in self._greeted:
                    raise InvalidMessage("say hello first")
                self._handlers[message.kind](identity, message)
            except MimaFaceError as error:
                self._send_error(identity, number, error)
            except Exception:
                log.exception("a request failed")
                self._send_error(identity, number, InternalError("the backend made a mistake", "see its log (Copy report)"))

    def _send(self, identity: bytes, message: Message) -> bool:
        """False when the client is gone (it is forgotten) or its pipe is full (the caller tries again)."""
        try:
            self._socket.send_multipart([identity, *Codec.encode(message)], zmq.NOBLOCK, copy=False)
            return True
        except zmq.Again:
            return False
        except zmq.ZMQError as error:
            if error.errno == zmq.EHOSTUNREACH:
                self._greeted.pop(identity, None)
                for key in [key for key in self._attached if key[0] == identity]:
                    del self._attached[key]
            else:
                log.warning("could not send: %s", error)
            return False

    def _reply(self, identity: bytes, message: Message, fields: dict[str, Any], parts: tuple[bytes, ...] = ()) -> None:
        self._send(identity, Message(f"{message.kind}.reply", fields, parts, message.number))

    def _send_error(self, identity: bytes, number: int, error: MimaFaceError) -> None:
        self._send(identity, Message("error", {"code": error.code, "message": error.message, "hint": error.hint}, (), number))

    # from the worker to the socket's thread

    def _later(self, action: Callable[[], object]) -> None:
        self._todo.put(action)
        with self._ring_lock:
            try:
                self._ringer.send(b"", zmq.NOBLOCK)
            except zmq.ZMQError:  # full or closing: the loop looks by itself within POLL
                return

    def _do_todo(self) -> None:
        while True:
            try:
                action = self._todo.get_nowait()
            except queue.Empty:
                return
            action()

    def _answer_later(self, kind: str, identity: bytes, message: Message, work: Callable[[], Any], slot: str = "") -> None:
        """Run ``work`` (a generator function or a plain one) on the worker; its last value is (fields, parts) of the reply."""
        answer: list[tuple[dict[str, Any], tuple[bytes, ...]]] = []

        def start() -> Iterator[object]:
            result = work()
            if isinstance(result, Iterator):
                for value in result:
                    if value is None:
                        yield None
                    else:
                        answer.append(value)
            else:
                answer.append(result)

        def finished(error: BaseException | None) -> None:
            if error is None:
                self._later(lambda: self._reply(identity, message, *answer[-1]))
            else:
                known = as_known(error)
                self._later(lambda: self._send_error(identity, message.number, known))

        self._scheduler.add(Task(kind, identity, start, finished, slot))

    # requests

    def _hello(self, identity: bytes, message: Message) -> None:
        version = common_version(message.fields["versions"])
        if version is None:
            raise VersionMismatch(
                f"this backend speaks protocol {OLDEST_VERSION} to {VERSION}, the other side {message.fields['versions']}",
                "update the add-on and the backend to the same release",
            )
        self._greeted[identity] = message.fields["name"]
        self._reply(identity, message, {"version": version, "build": __version__, "credit": CREDIT})

    def _capabilities(self, identity: bytes, message: Message) -> None:
        self._reply(identity, message, {"engines": self._work.capabilities()})

    def _fit(self, identity: bytes, message: Message) -> None:
        def work() -> tuple[dict[str, Any], tuple[bytes, ...]]:
            fields, mesh = self._work.fit(message.parts[0], message.fields.get("face", 0))
            return fields, (mesh,)

        self._answer_later(CONTROL, identity, message, work)

    def _preview(self, identity: bytes, message: Message) -> None:
        fields = message.fields
        settings = RenderSettings.from_wire(fields.get("settings", {}))

        def work() -> tuple[dict[str, Any], tuple[bytes, ...]]:
            image = self._work.preview(fields["portrait"], settings, message.parts[0])
            height, width = image.shape[:2]
            return {"generation": fields["generation"], "width": width, "height": height}, (image.tobytes(),)

        self._answer_later(PREVIEW, identity, message, work, fields["slot"])

    def _track(self, identity: bytes, message: Message) -> None:
        path = message.fields["path"]
        seen = [0]

        def progress(done: int) -> None:
            seen[0] = done
            event = Message("progress", {"subject": path, "done": done, "total": 0})
            self._later(partial(self._send, identity, event))

        def work() -> Iterator[Any]:
            for clip in self._work.track(Path(path), message.fields.get("options", {}), progress):
                if clip is None:
                    if identity not in self._greeted:
                        return
                    yield None
                else:
                    warnings = [str(text) for text in clip.meta.get("warnings", [])]
                    yield {"frames": len(clip), "warnings": warnings}, (clip.to_bytes(),)

        self._answer_later(CONTROL, identity, message, work)

    def _submit(self, identity: bytes, message: Message) -> None:
        fields = message.fields
        settings = RenderSettings.from_wire(fields["settings"])
        self.store.portrait(fields["portrait"].partition("-")[0])
        frames = self._work.check(message.parts[0], settings)
        job = self.store.submit(fields["portrait"], settings, fields.get("name", ""), message.parts[0], frames)
        self._start_render(identity, job)
        self._reply(identity, message, self.store.job(job.id).to_wire())

    def _attach(self, identity: bytes, message: Message) -> None:
        fields = message.fields
        job = self.store.job(fields["job"])
        if not 0 <= fields["from_frame"] <= job.frames:
            raise InvalidInput(f"frame {fields['from_frame']} is not in the job of {job.frames} frames")
        if job.state == "paused" or (job.state == "done" and job.done < job.frames):
            self.store.set_state(job.id, "queued")
        job = self.store.job(job.id)
        self._start_render(identity, job)
        self._attached[identity, job.id] = Attachment(fields["from_frame"], min(max(fields["credit"], 0), CREDIT))
        self._reply(identity, message, job.to_wire())

    def _resume(self, identity: bytes, message: Message) -> None:
        """Queue what is missing of a job that was cancelled, failed or paused; a no-op for one that is active or complete."""
        job = self.store.job(message.fields["job"])
        if job.state not in ACTIVE:
            self.store.set_state(job.id, "done" if job.done == job.frames else "queued")
        self._start_render(identity, self.store.job(job.id))
        self._reply(identity, message, self.store.job(job.id).to_wire())

    def _credit(self, identity: bytes, message: Message) -> None:
        attachment = self._attached.get((identity, message.fields["job"]))
        if attachment is not None:
            attachment.credit = min(attachment.credit + max(message.fields["frames"], 0), CREDIT)

    def _status(self, identity: bytes, message: Message) -> None:
        self._reply(identity, message, self.store.job(message.fields["job"]).to_wire())

    def _list(self, identity: bytes, message: Message) -> None:
        self._reply(identity, message, {"jobs": [job.to_wire() for job in self.store.jobs()][-200:]})

    def _cancel(self, identity: bytes, message: Message) -> None:
        job = self.store.job(message.fields["job"])
        task = self._renders.pop(job.id, None)
        if task is not None:
            self._scheduler.cancel(task)
        if job.state in (*ACTIVE, "paused"):
            self.store.set_state(job.id, "cancelled", "cancelled", "the render was cancelled", "resume it any time")
        self._reply(identity, message, {"job": job.id, "state": self.store.job(job.id).state})

    def _log_tail(self, identity: bytes, message: Message) -> None:
        try:
            lines = (self.store.root / LOG_NAME).read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            lines = []
        count = min(max(message.fields.get("lines", 60), 1), 400)
        self._reply(identity, message, {"text": "\n".join(lines[-count:])[-30_000:]})

    def _shutdown(self, identity: bytes, message: Message) -> None:
        self._reply(identity, message, {})
        self.stop()

    # jobs

    def _start_render(self, client: bytes, job: Job) -> None:
        if job.id in self._renders or job.state not in ACTIVE:
            return

        def start() -> Iterator[object]:
            self.store.begin(job.id)
            for finished_frame in self._work.render(job):
                if finished_frame is not None:
                    self._later(lambda: None)  # wakes the loop, which delivers
                yield finished_frame

        def finished(error: BaseException | None) -> None:
            self._later(lambda: self._render_ended(job.id, error))

        self._renders[job.id] = task = Task(RENDER, client, start, finished)
        self._scheduler.add(task)

    def _render_ended(self, identity: str, error: BaseException | None) -> None:
        if self._renders.pop(identity, None) is None:
            return
        if error is None:
            self._start_render(SERVER, self.store.finish(identity))
            return
        known = as_known(error)
        state = "paused" if isinstance(known, (DiskFull, OutOfResources)) else "failed"
        self.store.set_state(identity, state, known.code, known.message, known.hint)

    def _deliver(self) -> None:
        """Send finished frames to attached clients as their credit allows, then how the job ended."""
        for (identity, name), attachment in list(self._attached.items()):
            try:
                job = self.store.job(name)
            except UnknownJob:
                self._attached.pop((identity, name), None)
                continue
            while attachment.credit > 0 and attachment.next < job.done:
                found = self.store.frame(name, attachment.next)
                if found is None:  # damaged since: render it again
                    self._start_render(identity, self.store.job(name))
                    break
                fields = {"job": name, "index": attachment.next, "frames": job.frames, "sha256": found[1]}
                if not self._send(identity, Message("frame", fields, (found[0],))):
                    break
                attachment.next += 1
                attachment.credit -= 1
            ended = job.state in FINISHED and name not in self._renders
            if ended and (attachment.next >= job.done or job.state == "cancelled") and (identity, name) in self._attached:
                event = Message("done", {"job": name})
                if job.state != "done":
                    event = Message("failed", {"job": name, "code": job.code, "message": job.message, "hint": job.hint})
                if self._send(identity, event):
                    self._attached.pop((identity, name), None)

    def _send_progress(self) -> None:
        now = time.monotonic()
        if now - self._progress_sent < PROGRESS_EVERY or not self._attached:
            return
        self._progress_sent = now
        age = now - self._scheduler.step_started
        for identity, name in list(self._attached):
            job = self.store.job(name)
            fields = {"subject": name, "done": job.done, "total": job.frames, "steps": self._scheduler.steps, "step_age": age}
            self._send(identity, Message("progress", fields))


def as_known(error: BaseException) -> MimaFaceError:
    """Map anything that ended a task to an error of ours; unexpected ones go to the log in full."""
    if isinstance(error, MimaFaceError):
        return error
    short = shortage(error)
    if short is not None:
        return short
    log.error("a task failed", exc_info=error)
    return InternalError(f"the backend made a mistake ({type(error).__name__})", "see its log (Copy report)")
