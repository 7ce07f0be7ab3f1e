"""The server. One thread owns the socket and never blocks; three worker threads do the work; the store keeps jobs and frames."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import zmq

from mimaface import __version__
from mimaface.protocol.captures import captures_folder
from mimaface.protocol.codec import Codec, Message
from mimaface.protocol.connection import process_exists
from mimaface.protocol.errors import Cancelled, InternalError, InvalidInput, InvalidMessage, MimaFaceError, VersionMismatch
from mimaface.protocol.messages import CREDIT, OLDEST_VERSION, REQUESTS, VERSION, common_version
from mimaface.protocol.settings import RenderSettings

from .delivery import Delivery
from .home import last_of_log
from .jobs import ACTIVE, Job
from .listening import Listening
from .open_requests import OpenRequests
from .outbox import Outbox, newest_that_fit, warnings_to_send
from .renders import SERVER, Renders, as_known
from .scheduler import CONTROL, GENERATED, PREVIEW, Scheduler, Task
from .security import open_socket
from .store import Store
from .strangers import Strangers
from .tracking import Tracking
from .work import Work

log = logging.getLogger(__name__)
POLL, POLL_WHEN_WAITING = 50, 5  # milliseconds, the second while replies wait for a slow client
PARENT_CHECK = 0.5  # seconds
AT_ONCE = 64  # messages received before frames and replies are sent again
LISTED = 200  # jobs that ``job.list`` returns at most
Answer = tuple[dict[str, Any], tuple[bytes, ...]]  # fields and parts of a reply


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
        self._strangers = Strangers(self._socket)
        self._bell_name = f"inproc://bell-{id(self)}"
        self._bell = self._context.socket(zmq.PULL)
        self._bell.bind(self._bell_name)
        self._ring_lock = threading.Lock()
        self._ringer = self._context.socket(zmq.PUSH)
        self._ringer.connect(self._bell_name)
        self._todo: queue.SimpleQueue[Callable[[], object]] = queue.SimpleQueue()
        self._greeted: set[bytes] = set()
        self._outbox = Outbox(self._socket, self._forget)
        self._open = OpenRequests(self._outbox)
        self._renders = Renders(self.store, self._work, self._scheduler, self._later)
        self._listening = Listening(self._outbox, self._answer_later, captures_folder(root))
        self._tracking = Tracking(self._work, self._outbox, self._answer_later, self._later)
        self._parent, self._parent_gone = parent, False
        self._delivery = Delivery(self.store, self._renders, self._outbox, self._scheduler, self._later)
        self._parent_checked = time.monotonic()
        self._stopping = threading.Event()
        self._handlers: dict[str, Callable[[bytes, Message], None]] = {
            "hello": self._hello, "capabilities": self._capabilities, "portrait.fit": self._fit, "preview": self._preview,
            "job.submit": self._submit, "job.attach": self._attach, "job.credit": self._credit,
            "job.status": self._status, "job.resume": self._resume, "job.list": self._list, "job.cancel": self._cancel,
            "request.cancel": self._cancel_request, "log.tail": self._log_tail, "shutdown": self._shutdown,
            **self._listening.handlers, **self._tracking.handlers,
        }  # fmt: skip
        assert set(self._handlers) == set(REQUESTS)

    def stop(self) -> None:
        """Ask :meth:`run` to return; from any thread or a signal handler."""
        self._stopping.set()

    def run(self) -> None:
        """Serve until stopped, or until the parent process has ended, no job is left and no client is connected."""
        poller = zmq.Poller()
        poller.register(self._socket, zmq.POLLIN)
        poller.register(self._bell, zmq.POLLIN)
        try:
            for job in self.store.interrupted():
                self._renders.start(SERVER, job)
            for job in self.store.jobs("paused"):
                self._renders.wait_for_room(job)
            while not self._stopping.is_set():
                ready = dict(poller.poll(POLL_WHEN_WAITING if self._outbox.waiting else POLL))
                if self._bell in ready:
                    while self._bell.poll(0):
                        self._bell.recv()
                self._guarded(self._do_todo)
                if self._socket in ready:
                    self._receive()
                for act in (self._renders.go_on, self._outbox.flush, self._delivery.deliver, self._delivery.send_progress, self._look_at_clients):
                    self._guarded(act)
                if self._is_left_alone():
                    log.info("the parent process has ended, no job is left and nobody is connected")
                    break
        finally:
            self._close()

    def _close(self) -> None:
        self.connection.withdraw(self._file)
        self._listening.close()
        self._scheduler.stop()
        self._delivery.close()
        self._guard.stop()
        self._socket.disable_monitor()
        self._strangers.join()
        for socket in (self._socket, self._bell, self._ringer):
            socket.close(0)
        self._context.term()
        self.store.close()

    @staticmethod
    def _guarded(act: Callable[[], object]) -> None:
        """Call ``act``; log its exception, so that an error of one client or job does not stop the others."""
        try:
            act()
        except Exception:
            log.exception("an error on the socket's thread")

    def _is_left_alone(self) -> bool:
        if self._parent is None or time.monotonic() - self._parent_checked < PARENT_CHECK:
            return False
        self._parent_checked = time.monotonic()
        self._parent_gone = not process_exists(self._parent)
        return self._parent_gone and not self._renders and not self._open and not self._greeted

    # the socket

    def _receive(self) -> None:
        for _ in range(AT_ONCE):
            try:
                received = self._socket.recv_multipart(zmq.NOBLOCK, copy=False)
            except zmq.Again:
                return
            identity, *frames = (frame.bytes for frame in received)
            if identity not in self._greeted:
                self._strangers.proved(received[0])
            number = 0
            try:
                message = Codec.decode(frames)
                number = message.number
                if message.kind not in self._handlers:
                    raise InvalidMessage(f"{message.kind} is not a request")
                if message.kind != "hello" and identity not in self._greeted:
                    raise InvalidMessage("the first request of a client must be hello")
                self._handlers[message.kind](identity, message)
            except Exception as error:
                self._guarded(partial(self._outbox.error, identity, number, as_known(error)))

    def _forget(self, identity: bytes) -> None:
        """Forget a client that has left, and stop its tasks; its jobs go on."""
        self._greeted.discard(identity)
        self._outbox.forget(identity)
        self._delivery.forget(identity)
        for task in self._open.forget(identity):
            self._scheduler.cancel(task)

    def _look_at_clients(self) -> None:
        self._listening.keep(self._greeted)
        self._open.send_busy(self._greeted, self._parent_gone or self._listening.any)

    # from the workers to the socket's thread

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
            self._guarded(action)

    def _answer_later(
        self,
        kind: str,
        identity: bytes,
        message: Message,
        work: Callable[[], Any],
        answer: Callable[[Any], Answer] = lambda found: found,
        slot: str = "",
    ) -> None:
        """Run ``work``, a function or a generator function, on a worker; ``answer`` turns its last value into the reply, on this thread."""
        self._open.check(identity, message)
        found: list[Any] = []

        def start() -> Iterator[object]:
            result = work()
            for value in result if isinstance(result, Iterator) else [result]:
                if value is None:
                    yield None
                else:
                    found.append(value)

        def finished(error: BaseException | None) -> None:
            failure = None if error is None else as_known(error)
            self._later(lambda: self._answer(identity, message, failure, answer, found))

        task = Task(kind, identity, start, finished, slot)
        self._open.add(identity, message, task)
        self._scheduler.add(task)

    def _answer(
        self, identity: bytes, message: Message, failure: MimaFaceError | None, answer: Callable[[Any], Answer], found: list[Any]
    ) -> None:
        asked = self._open.remove(identity, message.number) is not None
        try:
            if failure is None and not found:
                raise InternalError("the backend produced no result", "see its log (Copy report)")
            reply = answer(found[-1]) if failure is None else ({}, ())
        except Exception as error:
            failure = as_known(error)
        if asked and failure is None:
            self._outbox.reply(identity, message, *reply)
        elif asked and failure is not None:
            self._outbox.error(identity, message.number, failure)

    # requests

    def _hello(self, identity: bytes, message: Message) -> None:
        version = common_version(message.fields["versions"])
        if version is None:
            raise VersionMismatch(
                f"this backend speaks protocol {OLDEST_VERSION} to {VERSION}, the other side {message.fields['versions'][:8]}",
                "update the add-on and the backend to the same release",
            )
        self._greeted.add(identity)
        self._outbox.reply(identity, message, {"version": version, "build": __version__, "credit": CREDIT})

    def _capabilities(self, identity: bytes, message: Message) -> None:
        engines = self._work.capabilities()
        for engine in engines:
            engine["networks"] = "; ".join(filter(None, (engine["networks"], self._renders.measuring.get(engine["name"]))))
        self._outbox.reply(identity, message, {"engines": engines})

    def _fit(self, identity: bytes, message: Message) -> None:
        def answer(found: tuple[dict[str, Any], bytes]) -> Answer:
            return {**found[0], "warnings": warnings_to_send(found[0]["warnings"])}, (found[1],)

        fields = message.fields
        given = fields.get("face", 0), fields.get("references", []), fields.get("points", {}), fields.get("template", False)
        self._answer_later(CONTROL, identity, message, lambda: self._work.fit(message.parts[0], *given), answer)

    def _preview(self, identity: bytes, message: Message) -> None:
        fields = message.fields
        settings = RenderSettings.from_wire({"engine": "proxy"} | fields.get("settings", {}))

        def answer(image: Any) -> Answer:
            height, width = image.shape[:2]
            return {"generation": fields["generation"], "width": width, "height": height}, (image.tobytes(),)

        kind = PREVIEW if settings.engine == "proxy" else GENERATED
        work = partial(self._work.preview, fields["portrait"], settings, message.parts[0], fields.get("frame", 0))
        self._answer_later(kind, identity, message, work, answer, fields["slot"])

    def _submit(self, identity: bytes, message: Message) -> None:
        fields = message.fields
        settings = RenderSettings.from_wire(fields["settings"])

        def answer(job: Job) -> Answer:
            self._renders.start(identity, job)
            return self.store.job(job.id).to_wire(), ()

        def work() -> Job:
            return self._work.submit(fields["portrait"], settings, fields.get("name", ""), message.parts[0], fields.get("consent", ""))

        self._answer_later(CONTROL, identity, message, work, answer)

    def _attach(self, identity: bytes, message: Message) -> None:
        fields = message.fields
        job = self.store.job(fields["job"])
        if not 0 <= fields["from_frame"] <= job.frames:
            raise InvalidInput(f"frame {fields['from_frame']} is not in the job of {job.frames} frames")
        if job.state == "paused" or (job.state == "done" and job.done < job.frames):
            self.store.set_state(job.id, "queued")
        job = self.store.job(job.id)
        self._renders.start(identity, job)
        self._delivery.attach(identity, job.id, fields["from_frame"], fields["credit"], fields.get("credentials", False))
        self._outbox.reply(identity, message, job.to_wire())

    def _resume(self, identity: bytes, message: Message) -> None:
        """Queue the missing frames of a cancelled, failed or paused job; does nothing for an active or complete one."""
        job = self.store.job(message.fields["job"])
        if job.state not in ACTIVE:
            self.store.set_state(job.id, "done" if job.done == job.frames else "queued")
        self._renders.start(identity, self.store.job(job.id))
        self._outbox.reply(identity, message, self.store.job(job.id).to_wire())

    def _credit(self, identity: bytes, message: Message) -> None:
        self._delivery.grant(identity, message.fields["job"], message.fields["frames"])

    def _status(self, identity: bytes, message: Message) -> None:
        self._outbox.reply(identity, message, self.store.job(message.fields["job"]).to_wire())

    def _list(self, identity: bytes, message: Message) -> None:
        jobs = [job.to_wire() for job in self.store.jobs()]
        self._outbox.reply(identity, message, {"jobs": newest_that_fit(jobs, LISTED)})

    def _cancel(self, identity: bytes, message: Message) -> None:
        job = self.store.job(message.fields["job"])
        self._renders.cancel(job.id)
        if job.state in (*ACTIVE, "paused"):
            self.store.set_state(job.id, "cancelled", "cancelled", "the render was cancelled", "resume it any time")
        self._outbox.reply(identity, message, {"job": job.id, "state": self.store.job(job.id).state})

    def _cancel_request(self, identity: bytes, message: Message) -> None:
        """End a request of the same client that has no answer yet; its answer is the error ``cancelled``."""
        number = message.fields["request"]
        task = self._open.cancel(identity, number)
        if task is not None:
            self._scheduler.cancel(task)
            self._outbox.error(identity, number, Cancelled("the request was cancelled"))
        self._outbox.reply(identity, message, {"request": number, "state": "unknown" if task is None else "cancelled"})

    def _log_tail(self, identity: bytes, message: Message) -> None:
        self._outbox.reply(identity, message, {"text": last_of_log(self.store.root, message.fields.get("lines", 60))})

    def _shutdown(self, identity: bytes, message: Message) -> None:
        self._outbox.reply(identity, message, {})
        self.stop()
