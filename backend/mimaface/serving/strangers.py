"""Limits the connections that have not proved a known key: how many there are, as each takes a file handle, and what each sends, as ZeroMQ keeps
a message that has begun until it is complete."""

from __future__ import annotations

import contextlib
import logging
import socket as sockets
import struct
import sys
import threading
import time

import zmq

from mimaface.protocol.errors import OutOfResources

log = logging.getLogger(__name__)
# file handles that the process requests, and the fewest with which it starts: 36 are in use when it idles, a job needs some more
WANTED_HANDLES, LEAST_HANDLES = 65_536, 48
# connections that have not proved a known key. A real client proves it within milliseconds, so its connection is never among the oldest.
# Higher: of 1024 handles too few are left for a job
MOST_STRANGERS = 256
# Bytes that a connection may send before it has proved a known key, a handshake and a greeting take 2 kB, and milliseconds between two looks at it.
# One that exceeds them at two looks is ended: in between our own may have sent its greeting. Higher: a stranger takes more memory.
MOST_BYTES, LOOK_EVERY = 64 * 1024, 30
BYTES_RECEIVED = slice(128, 136)  # of Linux's ``tcp_info``
WATCHED = zmq.EVENT_ACCEPTED | zmq.EVENT_DISCONNECTED | zmq.EVENT_CLOSED | zmq.EVENT_MONITOR_STOPPED
WARN_EVERY = 60.0  # seconds between two warnings in the log


class Strangers:
    """Watches a ROUTER socket on a separate thread until the socket's monitor is disabled."""

    def __init__(self, socket: zmq.Socket[bytes]) -> None:
        self.most = min(MOST_STRANGERS, handles() // 4)
        self._accepted: dict[int, object] = {}  # the other end of every connection, by its handle, oldest first
        self._proved: dict[int, object] = {}
        self._talkative: set[object] = set()  # other ends that had sent too much at the last look
        self._warned = -WARN_EVERY
        self._monitor = socket.get_monitor_socket(WATCHED)
        self._thread = threading.Thread(target=self._run, name="mimaface-strangers", daemon=True)
        self._thread.start()

    def proved(self, frame: zmq.Frame) -> None:
        """Record that the connection of this frame of a message has a known key."""
        handle = int(frame.get(zmq.SRCFD))
        self._proved[handle] = other_end(handle)

    def join(self) -> None:
        self._thread.join(2.0)

    def _run(self) -> None:
        while True:
            try:
                if self._monitor.poll(LOOK_EVERY if self._strangers() else None) == 0:
                    self._end_talkative()
                    continue
                content, _ = self._monitor.recv_multipart()
            except zmq.ZMQError:  # the context ends
                break
            event, handle = struct.unpack("=hi", content)
            if event == zmq.EVENT_ACCEPTED:
                self._accepted.pop(handle, None)
                self._accepted[handle] = other_end(handle)
                if len(self._accepted) > self.most:
                    self._end_oldest()
            elif event == zmq.EVENT_MONITOR_STOPPED:
                break
            else:
                self._accepted.pop(handle, None)
        self._monitor.close(0)

    def _strangers(self) -> list[int]:
        """Returns the handles of the connections that have not proved a known key, oldest first."""
        return [handle for handle, end in self._accepted.items() if end is None or self._proved.get(handle) != end]

    def _end_talkative(self) -> None:
        """End the strangers that have sent more than ``MOST_BYTES`` now and at the last look."""
        sent = [(handle, self._accepted[handle]) for handle in self._strangers() if bytes_from(handle) > MOST_BYTES]
        for handle, end in sent:
            if end in self._talkative and other_end(handle) == end:
                shut(handle)
        self._talkative = {end for _, end in sent}

    def _end_oldest(self) -> None:
        strangers = self._strangers()
        for handle in strangers[: -self.most]:
            end = self._accepted.pop(handle)
            if end is not None and other_end(handle) == end:
                shut(handle)
        if len(strangers) > self.most and time.monotonic() - self._warned > WARN_EVERY:
            self._warned = time.monotonic()
            log.warning("more than %d connections without a known key: the oldest are ended", self.most)


def other_end(handle: int) -> object:
    """Returns the address of the other end of an open connection, else None."""
    try:
        borrowed = sockets.socket(fileno=handle)
    except OSError:
        return None
    try:
        return borrowed.getpeername()
    except OSError:
        return None
    finally:
        borrowed.detach()


def bytes_from(handle: int) -> int:
    """Returns the bytes that have come over a TCP connection; 0 where the system does not tell."""
    if sys.platform != "linux":
        return 0
    try:
        borrowed = sockets.socket(fileno=handle)
    except OSError:
        return 0
    try:
        return int.from_bytes(borrowed.getsockopt(sockets.IPPROTO_TCP, sockets.TCP_INFO, BYTES_RECEIVED.stop)[BYTES_RECEIVED], sys.byteorder)
    except OSError:
        return 0
    finally:
        borrowed.detach()


def shut(handle: int) -> None:
    """Shut down a connection whose handle ZeroMQ owns; ZeroMQ then closes it."""
    with contextlib.suppress(OSError):
        borrowed = sockets.socket(fileno=handle)
        try:
            borrowed.shutdown(sockets.SHUT_RDWR)
        finally:
            borrowed.detach()


def handles() -> int:
    """Returns the number of file handles that this process may have open at once."""
    if sys.platform == "win32":
        return WANTED_HANDLES
    import resource

    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return WANTED_HANDLES if soft == resource.RLIM_INFINITY else soft


def enough_handles() -> None:
    """Raise this process's limit of file handles as far as the system allows. Raises :class:`OutOfResources` where it is too low."""
    if sys.platform != "win32":
        import resource

        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        wanted = WANTED_HANDLES if hard == resource.RLIM_INFINITY else min(hard, WANTED_HANDLES)
        if soft != resource.RLIM_INFINITY and soft < wanted:
            with contextlib.suppress(OSError, ValueError):  # macOS allows fewer than it reports
                resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    if handles() < LEAST_HANDLES:
        raise OutOfResources(
            f"this process may have only {handles()} files open at once, the backend needs {LEAST_HANDLES}",
            "raise the limit: ulimit -n 1024",
        )
