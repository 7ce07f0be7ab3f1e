"""Who listens at an address: a ZeroMQ peer greets at once and unasked, whatever its process is busy with; another program may stay silent."""

from __future__ import annotations

import contextlib
import socket
import time

# Seconds until a connection of our own looks whether anybody greets, and that one may be silent. A backend greets within milliseconds:
# neither Python nor the work takes part. Less doubts one on an overloaded computer, more lets people wait for nobody.
LOOK_AFTER, SILENT_AFTER = 0.4, 0.6


class Probe:
    """A connection that only listens. It is opened when the greeting of the backend is late, and waits for nothing."""

    def __init__(self, host: str, port: int) -> None:
        self._address = host, port
        self._begun = self._opened = time.monotonic()
        self._socket: socket.socket | None = None
        self._heard = False

    def is_silent(self) -> bool:
        """Whether somebody has taken the connection, and said and refused nothing, for ``SILENT_AFTER`` seconds."""
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
            self._socket.recv(1)  # a byte, or the end
            self._heard = True
        except BlockingIOError:
            return now - self._opened > SILENT_AFTER
        except OSError:  # not taken, or refused, which the true connection finds out, too
            return False
        return False

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
