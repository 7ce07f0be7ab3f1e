"""Sends messages to clients, on the socket's thread only. Replies to a slow client are queued; an event that does not fit is not."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import zmq

from mimaface.protocol.codec import MAX_CONTROL, MAX_ITEMS, Codec, Message
from mimaface.protocol.errors import InternalError, InvalidMessage, MimaFaceError, plain

log = logging.getLogger(__name__)
# Queued replies of one client and their bytes; a client that exceeds either is dropped. 100 000 requests without reading a reply stay
# below. A reply takes about 500 bytes, so that one client costs at most 400 MB. Higher: more memory for one client.
MOST_WAITING, MOST_BYTES = 200_000, 256 * 1024 * 1024
MOST_WARNINGS = 100  # warnings of one reply, each of at most ``errors.LONGEST`` characters


@dataclass
class Queue:
    messages: deque[list[bytes]] = field(default_factory=deque)
    size: int = 0


class Outbox:
    """``gone``: called with the identity of a client that is lost or does not read."""

    def __init__(self, socket: zmq.Socket[bytes], gone: Callable[[bytes], None]) -> None:
        self._socket, self._gone = socket, gone
        self._queues: dict[bytes, Queue] = {}

    @property
    def waiting(self) -> bool:
        """Whether a reply is queued."""
        return bool(self._queues)

    def reply(self, identity: bytes, message: Message, fields: dict[str, Any], parts: tuple[bytes, ...] = ()) -> None:
        """Answer a request; a reply that cannot be encoded is replaced by an error."""
        try:
            frames = Codec.encode(Message(f"{message.kind}.reply", fields, parts, message.number))
        except InvalidMessage as error:
            log.error("a reply cannot be encoded: %s", error)
            self.error(identity, message.number, InternalError("the answer cannot be sent", "see the log (Copy report)"))
            return
        self._put(identity, frames)

    def error(self, identity: bytes, number: int, error: MimaFaceError) -> None:
        """Send an error about a request, or with number 0 about a message that is not a valid request."""
        fields = {"code": error.code, "message": plain(error.message), "hint": plain(error.hint)}
        self._put(identity, Codec.encode(Message("error", fields, (), number)))

    def event(self, identity: bytes, message: Message) -> bool:
        """Send an event; False if replies are queued, the socket's queue is full or the client is lost."""
        if identity in self._queues:
            return False
        return self._send(identity, Codec.encode(message))

    def flush(self) -> None:
        """Send queued replies until the socket's queue is full."""
        for identity, waiting in list(self._queues.items()):
            while waiting.messages and self._send(identity, waiting.messages[0]):
                waiting.size -= sum(map(len, waiting.messages.popleft()))
            if not waiting.messages:
                self._queues.pop(identity, None)

    def forget(self, identity: bytes) -> None:
        self._queues.pop(identity, None)

    def _put(self, identity: bytes, frames: list[bytes]) -> None:
        if identity not in self._queues and self._send(identity, frames, keep=True):
            return
        waiting = self._queues.setdefault(identity, Queue())
        waiting.messages.append(frames)
        waiting.size += sum(map(len, frames))
        if len(waiting.messages) > MOST_WAITING or waiting.size > MOST_BYTES:
            log.warning("a client does not read: %d replies are dropped", len(waiting.messages))
            self._gone(identity)

    def _send(self, identity: bytes, frames: list[bytes], keep: bool = False) -> bool:
        """Send a message; True if it was sent, and with ``keep`` also if the client is lost."""
        try:
            self._socket.send_multipart([identity, *frames], zmq.NOBLOCK, copy=False)
            return True
        except zmq.Again:
            return False
        except zmq.ZMQError as error:
            if error.errno != zmq.EHOSTUNREACH:
                log.warning("a message could not be sent: %s", error)
                return False
            self._gone(identity)
            return keep


def warnings_to_send(warnings: list[Any]) -> list[str]:
    """Returns the first warnings, shortened so that they fit into a reply; the last one counts those left out."""
    texts = [plain(str(text)) for text in warnings[:MOST_WARNINGS]]
    while texts and len("".join(texts).encode()) > MAX_CONTROL // 2:
        texts.pop()
    left = len(warnings) - len(texts)
    return [*texts, f"and {left} more warnings"] if left else texts


def newest_that_fit(jobs: list[dict[str, Any]], count: int) -> list[dict[str, Any]]:
    """Returns the last ``count`` of ``jobs``, or as many as fit into one message, with shortened names."""
    found: list[dict[str, Any]] = []
    room = MAX_CONTROL - 1024
    for job in reversed(jobs[-min(count, MAX_ITEMS) :]):
        shown = {**job, "name": plain(job["name"], 200), "message": plain(job["message"]), "hint": plain(job["hint"])}
        room -= len(Codec.encode(Message("job.status.reply", shown))[0])
        if room < 0:
            break
        found.append(shown)
    return found[::-1]
