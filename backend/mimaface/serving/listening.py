"""Answers the requests about streams: quick ones on the socket's thread, those that may wait for a network or a take on a worker."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator
from pathlib import Path
from typing import Any

from mimaface.protocol.codec import Message

from .outbox import Outbox, warnings_to_send
from .scheduler import CONTROL
from .streams import Streams


class Listening:
    """``handlers``: the handler of each request. ``answer_later``: the server's function that runs work on a worker; ``folder``: of the takes."""

    def __init__(self, outbox: Outbox, answer_later: Callable[..., None], folder: Path) -> None:
        self._streams, self._outbox, self._answer_later = Streams(folder), outbox, answer_later
        self.handlers: dict[str, Callable[[bytes, Message], None]] = {
            "stream.open": self._open, "stream.latest": self._latest, "stream.choose": self._choose, "stream.neutral": self._neutral,
            "stream.record": self._record, "stream.finish": self._finish, "stream.close": self._close,
        }  # fmt: skip

    @property
    def any(self) -> bool:
        """Whether a client has an open stream, so that a lost client must be noticed soon."""
        return bool(self._streams)

    def close(self) -> None:
        """Close all streams."""
        self._streams.close_all()

    def keep(self, clients: Container[bytes]) -> None:
        """Close the streams of clients that have left."""
        self._streams.keep(clients)

    def _open(self, identity: bytes, message: Message) -> None:
        def work() -> Iterator[tuple[dict[str, Any], tuple[()]] | None]:
            stream = self._streams.open(identity, message.fields["input"])
            try:
                yield None
            except GeneratorExit:  # cancelled meanwhile
                self._streams.close(identity)
                raise
            yield {"name": stream.name, "port": stream.port, "where": stream.where}, ()

        self._answer_later(CONTROL, identity, message, work)

    def _latest(self, identity: bytes, message: Message) -> None:
        self._outbox.reply(identity, message, *self._streams.of(identity).latest(message.fields.get("known", 0)))

    def _choose(self, identity: bytes, message: Message) -> None:
        self._streams.of(identity).choose(message.fields["sender"])
        self._outbox.reply(identity, message, {})

    def _neutral(self, identity: bytes, message: Message) -> None:
        self._streams.of(identity).set_neutral()
        self._outbox.reply(identity, message, {})

    def _record(self, identity: bytes, message: Message) -> None:
        self._streams.of(identity).record()
        self._outbox.reply(identity, message, {})

    def _finish(self, identity: bytes, message: Message) -> None:
        def work() -> tuple[dict[str, Any], tuple[bytes]]:
            clip = self._streams.of(identity).finish()
            return {"frames": len(clip), "warnings": warnings_to_send(clip.meta["warnings"])}, (clip.to_bytes(),)

        self._answer_later(CONTROL, identity, message, work)

    def _close(self, identity: bytes, message: Message) -> None:
        def work() -> tuple[dict[str, Any], tuple[()]]:
            self._streams.close(identity)
            return {}, ()

        self._answer_later(CONTROL, identity, message, work)
