"""Client for requests and events over one encrypted connection with its own thread. No call blocks on the network."""

from __future__ import annotations

import contextlib
import logging
import math
import queue
import socket as sockets
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import zmq
from zmq.utils.monitor import recv_monitor_message

from .codec import Codec, Message
from .connection import Connection
from .errors import InvalidMessage, NotReachable, VersionMismatch, error_from_wire
from .messages import CREDIT, OLDEST_VERSION, VERSION
from .pause import Pause
from .probe import Probe

log = logging.getLogger(__name__)
HEARTBEAT, LOST_AFTER = 250, 1000  # milliseconds
GREETING_TIMEOUT = 5.0  # seconds
# Seconds for which refused or cut connections are retried before the greeting: a backend under attack needs several attempts.
REFUSED_AFTER = 1.0
POLL, IDLE_POLL = 20, 500  # milliseconds between polls: while connecting or with unsent messages, and otherwise


class Request(Future[Message]):
    """A future reply. ``cancel()`` also informs the backend, which stops at its next step."""

    number = 0
    timeout = 0.0  # seconds without an answer or a sign of activity from the backend
    deadline = 0.0  # on the monotonic clock
    ring: Callable[[], None] | None = None  # wakes the client's thread

    def cancel(self) -> bool:
        cancelled = super().cancel()
        if self.ring is not None:
            self.ring()
        return cancelled


class Client:
    """Client of the backend in a connection file. Thread-safe.

    ``state`` is "connecting", "ready" or "lost"; ``problem`` contains the reason for the loss. A lost client does not reconnect:
    create a new one. ``last_heard`` is the monotonic time of the last message. Raises :class:`NotReachable` immediately if the
    connection file has no running backend.
    """

    def __init__(self, connection_file: Path, name: str = "") -> None:
        connection = Connection.read(connection_file)
        self.state = "connecting"
        self.problem = ""
        self.build = ""
        self.last_heard = time.monotonic()
        self._outbox: queue.SimpleQueue[tuple[Message, Request | None]] = queue.SimpleQueue()
        self._unsent: list[bytes] = []  # one encoded message for which the connection had no room
        self._events: queue.SimpleQueue[Message] = queue.SimpleQueue()
        self._waiting: dict[int, Request] = {}
        self._refused_since = 0.0
        self._shook_hands = False
        self._number = 0
        self._ringer, self._bell = sockets.socketpair()  # wakes the thread, so that requests do not wait for the end of a poll
        for end in (self._ringer, self._bell):
            end.setblocking(False)
        self._closing = threading.Event()
        self._pause = Pause()
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._run, args=(connection, name), name="mimaface-client", daemon=True)
        self._thread.start()

    def request(
        self, kind: str, fields: dict[str, Any] | None = None, parts: Sequence[bytes] = (), timeout: float = 60.0
    ) -> Request:
        """Sends a request; the future returns its reply or raises a :class:`MimaFaceError`.

        timeout: seconds without a message from the backend, which sends one per second while requests wait.
        """
        future = Request()
        future.timeout, future.deadline = timeout, time.monotonic() + timeout
        message = Message(kind, fields or {}, tuple(parts), self._next())
        future.number, future.ring = message.number, self._ring
        with self._lock:  # nothing is queued after the thread has ended
            if self.state != "lost" and not self._closing.is_set():
                self._outbox.put((message, future))
                self._ring()
                return future
        future.set_exception(NotReachable(self.problem or "the connection to the backend is closed", "connect again"))
        return future

    def call(
        self, kind: str, fields: dict[str, Any] | None = None, parts: Sequence[bytes] = (), timeout: float = 60.0
    ) -> Message:
        """Sends a :meth:`request` and waits for its reply: for scripts, never on Blender's main thread."""
        return self.request(kind, fields, parts, timeout).result()

    def grant(self, job: str, frames: int) -> None:
        """Allows the server to send ``frames`` more frames of a job."""
        self._outbox.put((Message("job.credit", {"job": job, "frames": frames}), None))
        self._ring()

    def events(self) -> list[Message]:
        """Returns the events received since the last call, in order."""
        found = []
        while True:
            try:
                found.append(self._events.get_nowait())
            except queue.Empty:
                return found

    def close(self) -> None:
        """Closes the connection; unanswered requests fail."""
        self._closing.set()
        self._ring()
        self._thread.join(2.0)

    @contextlib.contextmanager
    def held(self) -> Iterator[bool]:
        """Context in which the client's thread runs no Python; see :mod:`.pause`. Yields False if it did not stop in time."""
        if not self._thread.is_alive():
            yield True
            return
        with self._pause.hold(self._ring) as still:
            yield still

    def _ring(self) -> None:
        with contextlib.suppress(OSError):  # buffer full: a wake-up is pending
            self._ringer.send(b"\0")

    def _next(self) -> int:
        with self._lock:
            self._number += 1
            return self._number

    def _run(self, connection: Connection, name: str) -> None:
        try:
            with zmq.Context() as context, context.socket(zmq.DEALER) as socket:
                monitor = socket.get_monitor_socket()
                try:
                    self._open(socket, connection, name)
                    self._serve(socket, monitor, connection)
                finally:
                    socket.disable_monitor()
                    monitor.close(0)
        except Exception as error:
            log.exception("the client ended")
            self._lose(f"the connection failed ({type(error).__name__}: {error})")
        finally:
            with self._lock:
                self._closing.set()
                self.state = "lost"  # also when it was closed here: a callback of a failed request must not send another one
            for end in (self._ringer, self._bell):
                end.close()
            self._fail_all(NotReachable(self.problem or "the connection was closed", "connect again"))

    def _open(self, socket: zmq.Socket[bytes], connection: Connection, name: str) -> None:
        socket.setsockopt(zmq.LINGER, 0)
        socket.setsockopt(zmq.HEARTBEAT_IVL, HEARTBEAT)
        socket.setsockopt(zmq.HEARTBEAT_TIMEOUT, LOST_AFTER)
        socket.setsockopt(zmq.RCVHWM, 4 * CREDIT)
        socket.curve_serverkey = connection.server_key.encode()
        socket.curve_publickey = connection.client_key.encode()
        socket.curve_secretkey = connection.client_secret.encode()
        socket.connect(connection.endpoint)
        greeting = Message("hello", {"versions": list(range(OLDEST_VERSION, VERSION + 1)), "name": name}, number=0)
        try:
            socket.send_multipart(Codec.encode(greeting), zmq.NOBLOCK)
        except zmq.Again:  # the peer is no backend and there is no pipe to send to: a blocking send would never return
            self._lose(f"no backend answers at {connection.endpoint}: another program listens there")

    def _serve(self, socket: zmq.Socket[bytes], monitor: zmq.Socket[bytes], connection: Connection) -> None:
        poller = zmq.Poller()
        poller.register(socket, zmq.POLLIN)
        poller.register(monitor, zmq.POLLIN)
        poller.register(self._bell, zmq.POLLIN)
        greeted_by = time.monotonic() + GREETING_TIMEOUT
        with contextlib.closing(Probe(connection.host, connection.port)) as probe:
            while self._is_open():
                self._turn(socket, monitor, poller)
                if self.state != "connecting":
                    break
                if self._refused_since and time.monotonic() - self._refused_since > REFUSED_AFTER:
                    self._lose(
                        f"no backend answers at {connection.endpoint}: it has ended, or the connection file is not its own"
                    )
                elif not self._shook_hands and probe.is_silent():
                    self._lose(f"no backend answers at {connection.endpoint}: it hangs, or has ended and another program listens there")
                elif time.monotonic() > greeted_by:
                    self._lose("the backend does not answer")
        while self._is_open():
            self._turn(socket, monitor, poller)
            self._send_waiting(socket)

    def _is_open(self) -> bool:
        return not self._closing.is_set() and self.state != "lost"

    def _turn(self, socket: zmq.Socket[bytes], monitor: zmq.Socket[bytes], poller: zmq.Poller) -> None:
        self._pause.point()
        ready = dict(poller.poll(self._poll_timeout()))
        self._pause.point()
        if self._bell.fileno() in ready:
            self._bell.recv(4096)
        if socket in ready:
            self._receive(socket)
        if monitor in ready:
            self._watch(monitor)
        self._expire()

    def _poll_timeout(self) -> int:
        """Returns milliseconds until something is due without a message or a wake-up."""
        if self.state != "ready" or self._unsent:
            return POLL
        due = min((future.deadline for future in self._waiting.values()), default=math.inf) - time.monotonic()
        return max(min(IDLE_POLL, math.ceil(1000 * min(due, 1.0))), 1)

    def _watch(self, monitor: zmq.Socket[bytes]) -> None:
        """Handles connection events; before the greeting, failures are retried for a while."""
        while monitor.poll(0):
            event = recv_monitor_message(monitor)["event"]
            if event == zmq.EVENT_HANDSHAKE_FAILED_AUTH or (event == zmq.EVENT_DISCONNECTED and self.state != "connecting"):
                self._lose("the backend has gone away or refused the connection")
            elif event == zmq.EVENT_HANDSHAKE_SUCCEEDED:
                self._shook_hands = True
            elif event in (zmq.EVENT_DISCONNECTED, zmq.EVENT_CONNECT_RETRIED, zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL):
                self._refused_since = self._refused_since or time.monotonic()

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
            elif message.kind == "busy":
                for future in self._waiting.values():
                    future.deadline = self.last_heard + future.timeout
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
            self._fail_all(error if isinstance(error, VersionMismatch) else NotReachable(error.message, error.hint))
            self.state = "lost"

    def _answered(self, message: Message) -> None:
        future = self._waiting.pop(message.number, None)
        if future is None or not future.set_running_or_notify_cancel():
            return
        if message.kind == "error":
            found = message.fields
            future.set_exception(error_from_wire(found["code"], found["message"], found["hint"]))
        else:
            future.set_result(message)

    def _send_waiting(self, socket: zmq.Socket[bytes]) -> None:
        """Sends queued messages while the connection has room; a full one never stops this thread from receiving."""
        while True:
            if not self._unsent and not self._take():
                return
            try:
                socket.send_multipart(self._unsent, zmq.NOBLOCK, copy=False)
            except zmq.Again:
                return
            self._unsent = []

    def _take(self) -> bool:
        """Moves the next encodable message to ``_unsent``; returns False if there is none."""
        while True:
            try:
                message, future = self._outbox.get_nowait()
            except queue.Empty:
                return False
            if future is not None and future.cancelled():
                continue
            try:
                self._unsent = Codec.encode(message)
            except InvalidMessage as error:
                if future is not None and future.set_running_or_notify_cancel():
                    future.set_exception(error)
                continue
            if future is not None:
                self._waiting[message.number] = future
            return True

    def _expire(self) -> None:
        """Fails cancelled and timed-out requests, and cancels them at the backend."""
        now = time.monotonic()
        for number, future in [(n, f) for n, f in self._waiting.items() if f.cancelled() or now > f.deadline]:
            del self._waiting[number]
            if self.state == "ready":
                self._outbox.put((Message("request.cancel", {"request": number}, (), self._next()), None))
            if future.set_running_or_notify_cancel():
                future.set_exception(
                    NotReachable("the backend did not answer in time", "look at its log; restart it if it hangs")
                )

    def _lose(self, reason: str) -> None:
        self.problem = reason
        self.state = "lost"

    def _fail_all(self, error: Exception) -> None:
        waiting = list(self._waiting.values())
        self._waiting.clear()
        while True:
            try:
                _, future = self._outbox.get_nowait()
            except queue.Empty:
                break
            if future is not None:
                waiting.append(future)
        for future in waiting:
            if not future.done() and future.set_running_or_notify_cancel():
                future.set_exception(error)
