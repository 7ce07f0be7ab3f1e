"""The requests that read files of the user: motion, films, and visemes that were edited."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from mimaface.drivers import sound_file
from mimaface.output.sound import has_sound
from mimaface.protocol.codec import Message
from mimaface.protocol.motion import MotionClip

from .outbox import Outbox, warnings_to_send
from .scheduler import CONTROL, TRACK
from .work import Work


class Tracking:
    """``handlers``: the handler of each request. ``answer_later`` and ``later`` are the server's functions that run work on a worker, and actions on
    the socket's thread."""

    def __init__(self, work: Work, outbox: Outbox, answer_later: Callable[..., None], later: Callable[[Callable[[], object]], None]) -> None:
        self._work, self._outbox, self._answer_later, self._later = work, outbox, answer_later, later
        self.handlers: dict[str, Callable[[bytes, Message], None]] = {
            "track": self._track, "film.open": self._film, "speech": self._speech,
        }  # fmt: skip

    def _track(self, identity: bytes, message: Message) -> None:
        path = message.fields["path"]

        def work() -> Iterator[Any]:
            options, portrait = message.fields.get("options", {}), message.fields.get("portrait", "")
            for clip in self._work.track(Path(path), options, self._progress(identity, path), portrait):
                yield clip and (_fields_of(clip) | heard_in(Path(path), clip), (clip.to_bytes(),))

        self._answer_later(TRACK, identity, message, work)

    def _film(self, identity: bytes, message: Message) -> None:
        path = message.fields["path"]

        def work() -> Iterator[Any]:
            for found in self._work.film(Path(path), message.fields.get("face", 0), self._progress(identity, path)):
                yield found and (found[0] | {"warnings": warnings_to_send(found[0]["warnings"])}, (found[1],))

        self._answer_later(TRACK, identity, message, work)

    def _progress(self, identity: bytes, path: str) -> Callable[[str, int, int], None]:
        """Returns the function that reports to a client how far a file is read."""

        def progress(stage: str, done: int, total: int) -> None:
            event = Message("progress", {"subject": path, "done": done, "total": total, "stage": stage})
            self._later(partial(self._outbox.event, identity, event))

        return progress

    def _speech(self, identity: bytes, message: Message) -> None:
        def work() -> tuple[dict[str, Any], tuple[bytes]]:
            clip = self._work.speech(message.parts[0], message.fields.get("options", {}), message.fields.get("portrait", ""))
            return _fields_of(clip), (clip.to_bytes(),)

        self._answer_later(CONTROL, identity, message, work)


def _fields_of(clip: MotionClip) -> dict[str, Any]:
    return {"frames": len(clip), "warnings": warnings_to_send(clip.meta.get("warnings", []))}


def heard_in(path: Path, motion: MotionClip) -> dict[str, Any]:
    """Returns {"sound": whether ``path``, from which ``motion`` was read, has a sound}, with "sound_path" if that is another file."""
    sound = sound_file(path)
    heard = (motion.meta.get("format") in ("video", "sound", "phones", "coefficients") or sound != path) and has_sound(sound)
    return {"sound": heard, "sound_path": str(sound)} if heard and sound != path else {"sound": heard}
