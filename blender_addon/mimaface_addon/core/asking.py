# SPDX-License-Identifier: GPL-3.0-or-later
"""Requests to the backend: sent when it is ready, answered on the main thread, cancelled by the artist. No bpy here."""

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
from .words import rpt_

log = logging.getLogger(__name__)


class Problem(str):
    """The text of an error, with its stable ``code``."""

    code = ""

    def __new__(cls, error: MimaFaceError | str) -> Problem:
        made = super().__new__(cls, str(error))
        made.code = getattr(error, "code", "")
        return made


@dataclass(eq=False)
class Asked:
    """A request without a reply. ``future`` is None while the backend is installed or starts; the end calls ``done`` or ``failed``."""

    kind: str
    fields: dict[str, Any]
    parts: list[bytes]
    done: Callable[[Message], None]
    failed: Callable[[Problem], None]
    activity: Activity | None
    future: Request | None = None


class Requests:
    """The open requests of one backend. Only the main thread may use it."""

    def __init__(self, backend: Backend) -> None:
        self.waiting: list[Asked] = []
        self.last_sent = 0.0  # monotonic seconds
        self.lacking: dict[str, str] = {}  # engine → reason, of engines that do not work in this backend
        self.networks: dict[str, str] = {}  # engine → what runs its networks there, and what of that failed; "" for torch alone
        self._backend, self._greeted = backend, backend.client

    @property
    def activities(self) -> list[Activity]:
        """The activities of open requests."""
        return [asked.activity for asked in self.waiting if asked.activity is not None]

    def add(self, asked: Asked) -> None:
        """Send a request, or keep it until the backend is ready. It replaces open requests with the same target."""
        target = asked.activity.target if asked.activity is not None else None
        for older in [other for other in self.waiting if target is not None and other.activity is not None and other.activity.target == target]:
            self.forget(older)
        if self._backend.state not in ("ready", "starting", "installing"):
            asked.failed(Problem(self._backend.problem))
            return
        self.waiting.append(asked)
        self.send()

    def send(self) -> None:
        """Send the kept requests if the backend is ready."""
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
        """Call ``done`` or ``failed`` of every request whose reply has come."""
        for asked in [asked for asked in self.waiting if asked.future is not None and asked.future.done()]:
            if asked in self.waiting and asked.future is not None:  # a reply before may have dropped the others
                self.waiting.remove(asked)
                _answer(asked, asked.future)

    def cancel(self, number: int) -> None:
        """Cancel the activity of this number, here and in the backend; does nothing if it has ended."""
        for asked, activity in [(asked, asked.activity) for asked in self.waiting]:
            if activity is not None and activity.number == number:
                self.forget(asked)
                asked.failed(Problem(Cancelled(rpt_("{work} was cancelled").format(work=activity.work))))

    def forget(self, asked: Asked) -> None:
        """Cancel a request without calling ``failed``."""
        self.waiting.remove(asked)
        if asked.future is not None:
            asked.future.cancel()

    def forget_activities(self) -> None:
        """Cancel all requests with an activity: the file that they belong to was closed."""
        for asked in [asked for asked in self.waiting if asked.activity is not None]:
            self.forget(asked)

    def drop(self, reason: str) -> None:
        """Fail all open requests."""
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
        log.exception("a reply could not be used")
        sentence = rpt_("the backend's reply could not be used ({error}): try again; if it fails again, use Copy Report")
        asked.failed(Problem(sentence.format(error=error)))
