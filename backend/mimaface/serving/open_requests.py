"""Open requests, those without an answer: limits their number for each client, and cancels them."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from mimaface.protocol.codec import Message
from mimaface.protocol.errors import TooMany

from .outbox import Outbox
from .scheduler import Task

# open requests of one client; bytes of their parts, of one client and of all. The add-on has a handful. Higher: more memory for one client
MOST_REQUESTS, MOST_BYTES, MOST_BYTES_OF_ALL = 256, 512 * 1024 * 1024, 2 * 1024 * 1024 * 1024
OUTLIVE_CLIENTS = ("job.submit",)  # kinds of requests that continue when their client leaves; ``job.cancel`` ends their jobs
BUSY_EVERY = 1.0  # seconds between "busy" events to clients with open requests. Higher: clients report a lost backend
ALIVE_EVERY = 30.0  # seconds between "busy" events to the other clients. Higher: a lost client is noticed later


@dataclass
class OpenRequest:
    kind: str
    task: Task
    size: int
    since: float = field(default_factory=time.monotonic)


class OpenRequests:
    """The open requests of all clients. Only the socket's thread may use it."""

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox
        self._open: dict[bytes, dict[int, OpenRequest]] = {}
        self._sent = self._checked = time.monotonic()

    def __bool__(self) -> bool:
        return bool(self._open)

    def check(self, identity: bytes, message: Message) -> None:
        """Raise :class:`TooMany` where a request exceeds the limits or its number is in use."""
        mine = self._open.get(identity, {})
        size = sum(map(len, message.parts))
        everything = sum(item.size for items in self._open.values() for item in items.values())
        too_large = size + sum(item.size for item in mine.values()) > MOST_BYTES or size + everything > MOST_BYTES_OF_ALL
        if len(mine) >= MOST_REQUESTS or (too_large and everything):
            raise TooMany(f"{len(mine)} requests of this client wait already", "wait for their answers, then ask again")
        if message.number in mine:
            raise TooMany(f"request {message.number} is open already", "give each request its own number")

    def add(self, identity: bytes, message: Message, task: Task) -> None:
        self._open.setdefault(identity, {})[message.number] = OpenRequest(message.kind, task, sum(map(len, message.parts)))

    def remove(self, identity: bytes, number: int) -> Task | None:
        """Remove a request and return its task; None if the request is not open and needs no answer."""
        mine = self._open.get(identity, {})
        found = mine.pop(number, None)
        if not mine:
            self._open.pop(identity, None)
        return None if found is None else found.task

    def cancel(self, identity: bytes, number: int) -> Task | None:
        """Remove a request that its client has cancelled and return its task; None if it is not open or cannot be cancelled."""
        found = self._open.get(identity, {}).get(number)
        return None if found is None or found.kind in OUTLIVE_CLIENTS else self.remove(identity, number)

    def forget(self, identity: bytes) -> list[Task]:
        """Remove all requests of a lost client and return the tasks to stop."""
        return [item.task for item in self._open.pop(identity, {}).values() if item.kind not in OUTLIVE_CLIENTS]

    def send_busy(self, clients: set[bytes], often: bool) -> None:
        """Send each client with open requests a "busy" event about the oldest of them, once in BUSY_EVERY.

        The other ``clients`` get an empty one once in ALIVE_EVERY, with ``often`` once in BUSY_EVERY: sending reveals lost clients.
        """
        now = time.monotonic()
        if now - self._sent < BUSY_EVERY:
            return
        self._sent = now
        for identity, items in list(self._open.items()):
            number, item = next(iter(items.items()))
            fields = {"request": number, "subject": item.kind, "seconds": now - item.since}
            self._outbox.event(identity, Message("busy", fields))
        if often or now - self._checked > ALIVE_EVERY:
            self._checked = now
            for identity in clients - set(self._open):
                self._outbox.event(identity, Message("busy", {"request": 0, "subject": "", "seconds": 0.0}))
