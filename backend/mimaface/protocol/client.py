"""The client: requests and events over one encrypted connection, kept by one thread. No call waits for the network."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import zmq

from .codec import Codec, Message
from .connection import Connection
from .errors import InvalidMessage, NotReachable, VersionMismatch, error_from_wire
from .messages import CREDIT, OLDEST_VERSION, VERSION

log = logging.getLogger(__name__)
HEARTBEAT, LOST_AFTER = 250, 1000  # milliseconds
GREETING_TIMEOUT = 5.0  # seconds
POLL = 20  # milliseconds


class Client:
    """Talks to the backend named by a connection file. Safe from any thread.

    ``state`` is "connecting", "ready" or "lost"; ``problem`` says why it is lost. A lost client stays lost: make a new one.
    Raises :class:`NotReachable` at once when the connection file has no running backend behind it.
    """

    def __init__(self, connection_file: Path, name: str = "") -> None:
        connection = Connection.read(connection_file)
        self.state = "connecting"
        self.problem = ""
        self.build = ""
        self.last_heard = time.monotonic()
        self._outbox: queue.SimpleQueue[tuple[Message, Future[Message] | None, float]] = queue.SimpleQueue()
        self._events: queue.SimpleQueue[Message] = queue.SimpleQueue()
        self._waiting: dict[int, tuple[Future[Message], float]] = {}
        self._number = 0
        self._closing = threading.Event()
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._run, args=(connection, name), name="mimaface-client", daemon=True)
        self._thread.start()

    def request(
        self, kind: str, fields: dict[str, Any] | None = None, parts: Sequence[bytes] = (), timeout: float = 60.0
    ) -> Future[Message]:
        """Send a request; the future holds its reply, or raises a :class:`MimaFaceError`."""
        future: Future[Message] = Future()
        with self._lock:
            self._number += 1
            message = Message(kind, fields or {}, tuple(parts), self._number)
        if self.state == "lost" or self._closing.is_set():
            future.set_exception(NotReachable(self.problem or "the connection to the backend is closed", "connect again"))
            return future
        self._outbox.put((message, future, time.monotonic() + timeout))
        return future

    def call(
        self, kind: str, fields: dict[str, Any] | None = None, parts: Sequence[bytes] = (), timeout: float = 60.0
    ) -> Message:
        """:meth:`request`, waiting for the reply: for scripts, never for Blender's main thread."""
        return self.request(kind, fields, parts, timeout).result(timeout + 5)

    def grant(self, job: str, frames: int) -> None:
        """Allow the server to send so many more frames of a job."""
        self._outbox.put((Message("job.credit", {"job": job, "frames": frames}), None, 0.0))

    def events(self) -> list[Message]:
        """The events received since the last call, in order."""
        found = []
        while True:
            try:
                found.append(self._events.get_nowait())
            except queue.Empty:
                return found

    def close(self) -> None:
        """End the connection; unanswered requests fail."""
        self._closing.set()
        self._thread.join(2.0)

    def _run(self, connection: Connection, name: str) -> None:
        context = zmq.Context()
        socket = context.socket(zmq.DEALER)
        socket.setsockopt(zmq.LINGER, 0)
        socket.setsockopt(zmq.HEARTBEAT_IVL, HEARTBEAT)
        socket.setsockopt(zmq.HEARTBEAT_TIMEOUT, LOST_AFTER)
        socket.setsockopt(zmq.RCVHWM, 4 * CREDIT)
        socket.curve_serverkey = connection.server_key.encode()
        socket.curve_publickey = connection.client_key.encode()
        socket.curve_secretkey = connection.client_secret.encode()
        monitor = socket.get_monitor_socket(zmq.EVENT_DISCONNECTED | zmq.EVENT_HANDSHAKE_FAILED_AUTH)
        poller = zmq.Poller()
        poller.register(socket, zmq.POLLIN)
        poller.register(monitor, zmq.POLLIN)
        try:
            socket.connect(connection.endpoint)
            greeting = Message("hello", {"versions": list(range(OLDEST_VERSION, VERSION + 1)), "name": name}, number=0)
            socket.send_multipart(Codec.encode(greeting))
            greeted_by = time.monotonic() + GREETING_TIMEOUT
            while not self._closing.is_set() and self.state != "lost":
                ready = dict(poller.poll(POLL))
                if socket in ready:
                    self._receive(socket)
                if monitor in ready:
                    self._lose("the backend has gone away or refused the connection")
                if self.state == "connecting" and time.monotonic() > greeted_by:
                    self._lose("the backend does not answer")
                if self.state == "ready":
                    self._send_waiting(socket)
                self._expire()
        except zmq.ZMQError as error:
            self._lose(f"the connection failed: {error}")
        finally:
            reason = self.problem or "the connection was closed"
            self._fail_all(NotReachable(reason, "connect again"))
            socket.disable_monitor()
            monitor.close(0)
            socket.close(0)
            context.term()

    def _receive(self, socket: zmq.Socket[bytes]) -> None:
        while True:
            try:
                frames = socket.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                return
            self.last_heard = time.monotonic()
            try:
                message = Codec.decode(frames)
            except InvalidMessage as error:
                log.warning("ignored a message from the backend: %s", error)
                continue
            if self.state == "connecting":
                self._greeted(message)
            elif message.number == 0:
                self._events.put(message)
            else:
                self._answered(message)

    def _greeted(self, message: Message) -> None:
        if message.kind == "hello.reply":
            self.build = message.fields["build"]
            self.state = "ready"
        elif message.kind == "error":
            error = error_from_wire(message.fields["code"], message.fields["message"], message.fields["hint"])
            self.problem = str(error)
            self._fail_all(error if isinstance(error, VersionMismatch) else NotReachable(str(error)))
            self.state = "lost"

    def _answered(self, message: Message) -> None:
        future, _ = self._waiting.pop(message.number, (None, 0.0))
        if future is None or not future.set_running_or_notify_cancel():
            return
        if message.kind == "error":
            found = message.fields
            future.set_exception(error_from_wire(found["code"], found["message"], found["hint"]))
        else:
            future.set_result(message)

    def _send_waiting(self, socket: zmq.Socket[bytes]) -> None:
        while True:
            try:
                message, future, deadline = self._outbox.get_nowait()
            except queue.Empty:
                return
            try:
                frames = Codec.encode(message)
            except InvalidMessage as error:
                if future is not None and future.set_running_or_notify_cancel():
                    future.set_exception(error)
                continue
            if future is not None:
                self._waiting[message.number] = (future, deadline)
            socket.send_multipart(frames, copy=False)

    def _expire(self) -> None:
        now = time.monotonic()
        for number in [number for number, (_, deadline) in self._waiting.items() if now > deadline]:
            future, _ = self._waiting.pop(number)
            if future.set_running_or_notify_cancel():
                future.set_exception(
                    NotReachable("the backend did not answer in time", "look at its log; restart it if it hangs")
                )

    def _lose(self, reason: str) -> None:
        self.problem = reason
        self.state = "lost"

    def _fail_all(self, error: Exception) -> None:
        waiting = [future for future, _ in self._waiting.values()]
        self._waiting.clear()
        while True:
            try:
                _, future, _ = self._outbox.get_nowait()
            except queue.Empty:
                break
            if future is not None:
                waiting.append(future)
        for future in waiting:
            if not future.done() and future.set_running_or_notify_cancel():
                future.set_exception(error)
