# SPDX-License-Identifier: GPL-3.0-or-later
"""Requests to the backend: sent as soon as it is ready, answered on the main thread, cancelled by the artist. No bpy here."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..protocol.client import Request
from ..protocol.codec import Message
from ..protocol.errors import Cancelled, MimaFaceError
from .activity import Activity
from .backend import Backend

log = logging.getLogger(__name__)


class Problem(str):
    """A sentence of an error, with the ``code`` that never changes its meaning."""

    code = ""

    def __new__(cls, error: MimaFaceError | str) -> Problem:
        made = super().__new__(cls, str(error))
        made.code = getattr(error, "code", "")
        return made


@dataclass(eq=False)
class Asked:
    """A request without an answer yet; it has no future while the backend is starting. ``done`` or ``failed`` is told the end."""

    kind: str
    fields: dict[str, Any]
    parts: list[bytes]
    done: Callable[[Message], None]
    failed: Callable[[Problem], None]
    activity: Activity | None
    future: Request | None = None


class Requests:
    """What was asked of one backend. On the main thread only."""

    def __init__(self, backend: Backend) -> None:
        self.waiting: list[Asked] = []
        self.last_sent = 0.0  # on the monotonic clock
        self.lacking: dict[str, str] = {}  # engines that do not work in this backend, and why
        self.networks: dict[str, str] = {}  # what runs the networks of an engine there, and what of that failed; "" for torch alone
        self._backend, self._greeted = backend, backend.client

    @property
    def activities(self) -> list[Activity]:
        """What the artist waits for."""
        return [asked.activity for asked in self.waiting if asked.activity is not None]

    def add(self, asked: Asked) -> None:
        """Send a request, or keep it until the backend is ready; one with an activity of the same target is given up for it."""
        target = asked.activity.target if asked.activity is not None else None
        for older in [other for other in self.waiting if target is not None and other.activity is not None and other.activity.target == target]:
            self.forget(older)
        if self._backend.state not in ("ready", "starting"):
            asked.failed(Problem(self._backend.problem))
            return
        self.waiting.append(asked)
        self.send()

    def send(self) -> None:
        """Send what waits for the backend if it is ready now."""
        client = self._backend.client
        if self._backend.state != "ready" or client is None:
            return
        if client is not self._greeted:
            self._greeted = client
            self.waiting.append(Asked("capabilities", {}, [], self._learn, lambda _: None, None))
        for asked in self.waiting:
            if asked.future is None:
                self.last_sent = time.monotonic()
                asked.future = client.request(asked.kind, asked.fields, asked.parts)

    def _learn(self, message: Message) -> None:
        self.lacking = {engine["name"]: engine["why_not"] for engine in message.fields["engines"] if not engine["works"]}
        self.networks = {engine["name"]: engine.get("networks", "") for engine in message.fields["engines"]}

    def answer(self) -> None:
        """Tell every answer that has come to the one that asked."""
        for asked in [asked for asked in self.waiting if asked.future is not None and asked.future.done()]:
            if asked in self.waiting and asked.future is not None:  # an answer before may have dropped all others
                self.waiting.remove(asked)
                _answer(asked, asked.future)

    def cancel(self, number: int) -> None:
        """Cancel the activity of this number, here and in the backend; one that has ended meanwhile is let be."""
        for asked, activity in [(asked, asked.activity) for asked in self.waiting]:
            if activity is not None and activity.number == number:
                self.forget(asked)
                asked.failed(Problem(Cancelled(f"{activity.title} {activity.name} was cancelled")))

    def forget(self, asked: Asked) -> None:
        """Give a request up without a word."""
        self.waiting.remove(asked)
        if asked.future is not None:
            asked.future.cancel()

    def forget_activities(self) -> None:
        """Give up what the artist waits for: the file that it was for is no longer open."""
        for asked in [asked for asked in self.waiting if asked.activity is not None]:
            self.forget(asked)

    def drop(self, reason: str) -> None:
        """Nothing that was asked will be answered."""
        dropped, self.waiting = self.waiting, []
        for asked in dropped:
            asked.failed(Problem(reason))


def _answer(asked: Asked, future: Request) -> None:
    try:
        message = future.result()
    except MimaFaceError as error:
        asked.failed(Problem(error))
        return
    try:
        asked.done(message)
    except (MimaFaceError, OSError, RuntimeError) as error:
        log.exception("an answer could not be used")
        asked.failed(Problem(f"the answer could not be used ({error}): try again; if that stays, use Copy Report"))
