"""Detection of peers that are not ZeroMQ: those greet immediately, however busy their process is; other programs may stay
silent."""

from __future__ import annotations

import contextlib
import socket
import time

# Seconds until the probe connects, and of silence until the peer is rejected. A backend's I/O thread greets within milliseconds.
# Lowered: overloaded backends are rejected; raised: users wait longer for an error.
LOOK_AFTER, SILENT_AFTER = 0.4, 0.6


class Probe:
    """A second, receive-only connection, opened when the backend's greeting is late. Never blocks."""

    def __init__(self, host: str, port: int) -> None:
        self._address = host, port
        self._begun = self._opened = time.monotonic()
        self._socket: socket.socket | None = None
        self._heard = False

    def is_silent(self) -> bool:
        """Returns whether a peer accepted the connection and sent nothing for ``SILENT_AFTER`` seconds."""
        now = time.monotonic()
        if self._heard or now - self._begun < LOOK_AFTER:
            return False
        if self._socket is None:
            family = socket.AF_INET6 if ":" in self._address[0] else socket.AF_INET
            self._opened, self._socket = now, socket.socket(family, socket.SOCK_STREAM)
            self._socket.setblocking(False)
            with contextlib.suppress(OSError):
                self._socket.connect_ex(self._address)
        try:
            self._socket.getpeername()
            self._socket.recv(1)  # a byte, or the end of the stream
            self._heard = True
        except BlockingIOError:
            return now - self._opened > SILENT_AFTER
        except OSError:  # not accepted, or refused, which the main connection detects as well
            return False
        return False

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
