"""Requests that have no answer yet: how many one client may have, how they are cancelled, and that they are being worked on."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from mimaface.protocol.codec import Message
from mimaface.protocol.errors import TooMany

from .outbox import Outbox
from .scheduler import Task

# Requests of one client that wait for their turn, and the bytes of their parts, of one and of all clients. The add-on has a handful.
MOST_REQUESTS, MOST_BYTES, MOST_BYTES_OF_ALL = 256, 512 * 1024 * 1024, 2 * 1024 * 1024 * 1024
KEPT = ("job.submit",)  # a job belongs to nobody: ``job.cancel`` ends it
BUSY_EVERY = 1.0  # seconds: a client takes silence for trouble after some more
ALIVE_EVERY = 30.0  # seconds between words to a client that waits for nothing: one that left is noticed then


@dataclass
class Open:
    kind: str
    task: Task
    size: int
    since: float = field(default_factory=time.monotonic)


class Waiting:
    """On the socket's thread only."""

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox
        self._open: dict[bytes, dict[int, Open]] = {}
        self._said = self._checked = time.monotonic()

    def __bool__(self) -> bool:
        return bool(self._open)

    def check(self, identity: bytes, message: Message) -> None:
        """Raises :class:`TooMany` for a request that is one too many."""
        mine = self._open.get(identity, {})
        size = sum(map(len, message.parts))
        everything = sum(item.size for items in self._open.values() for item in items.values())
        too_large = size + sum(item.size for item in mine.values()) > MOST_BYTES or size + everything > MOST_BYTES_OF_ALL
        if len(mine) >= MOST_REQUESTS or (too_large and everything):
            raise TooMany(f"{len(mine)} requests of this client wait already", "wait for their answers, then ask again")
        if message.number in mine:
            raise TooMany(f"request {message.number} is under way already", "give each request a number of its own")

    def add(self, identity: bytes, message: Message, task: Task) -> None:
        self._open.setdefault(identity, {})[message.number] = Open(message.kind, task, sum(map(len, message.parts)))

    def remove(self, identity: bytes, number: int) -> Task | None:
        """Take a request out; None for one that is not there, any more or at all: then nobody is to be answered."""
        mine = self._open.get(identity, {})
        found = mine.pop(number, None)
        if not mine:
            self._open.pop(identity, None)
        return None if found is None else found.task

    def cancel(self, identity: bytes, number: int) -> Task | None:
        """Take out a request that is not wanted any more; None for one that is not there, or that a job has begun with."""
        found = self._open.get(identity, {}).get(number)
        return None if found is None or found.kind in KEPT else self.remove(identity, number)

    def forget(self, identity: bytes) -> list[Task]:
        """Take out all requests of a client that has left; the tasks that nobody wants any more."""
        return [item.task for item in self._open.pop(identity, {}).values() if item.kind not in KEPT]

    def say_busy(self, clients: set[bytes], often: bool) -> None:
        """Tell those who wait that their requests are being worked on, and which is the oldest.

        All others get a word now and then, with ``often`` every second: one that has left is noticed so.
        """
        now = time.monotonic()
        if now - self._said < BUSY_EVERY:
            return
        self._said = now
        for identity, items in list(self._open.items()):
            number, item = next(iter(items.items()))
            fields = {"request": number, "subject": item.kind, "seconds": now - item.since}
            self._outbox.event(identity, Message("busy", fields))
        if often or now - self._checked > ALIVE_EVERY:
            self._checked = now
            for identity in clients - set(self._open):
                self._outbox.event(identity, Message("busy", {"request": 0, "subject": "", "seconds": 0.0}))
