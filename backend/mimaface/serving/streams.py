"""Streams of face capture that clients listen to: one of each client, received on a thread of its own; a client that leaves closes its own.

Every take is kept as a file of a folder when it ends, however it ends: a performance cannot be given again."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections import deque
from collections.abc import Container
from pathlib import Path
from typing import Any

from mimaface.drivers.streams import Recording, Sample, moves_from, open_stream
from mimaface.protocol.captures import keep
from mimaface.protocol.errors import InternalError, InvalidInput, InvalidMotion, MimaFaceError
from mimaface.protocol.motion import MotionClip

log = logging.getLogger(__name__)
LOOK = 0.1  # seconds for a packet before the thread looks whether it should end. Raised: closing waits longer
COUNTED = 1.0  # seconds over which packets are counted. Raised: a rate that is steadier and later
OPEN_FIRST = "press Listen, then try again"
CHECK_SENDER = "check that the sender is on, in the same network, and shows a face"


class Stream:
    """The newest sample of a stream, its neutral, and the take that is recorded of it. Safe from any thread."""

    def __init__(self, address: str, folder: Path) -> None:
        """Listen at an address as :func:`open_stream` has it; takes are kept in ``folder``. Raises :class:`InvalidInput` and
        :class:`NotInstalled`.
        """
        self._folder = folder
        self._receiver = open_stream(address)
        self.name, self.port, self.where = self._receiver.name, self._receiver.port, self._receiver.where
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._newest: Sample | None = None  # that shows a face
        self._neutral: Sample | None = None
        self._came, self._number = 0.0, 0  # of the newest: when, on the monotonic clock; how many there were
        self._recording: Recording | None = None
        self._full = False
        self._broken: MimaFaceError | None = None  # why nothing is received any more
        self._counts: deque[tuple[float, int]] = deque()  # (when, packets until then)
        self._thread = threading.Thread(target=self._run, name="mimaface-stream", daemon=True)
        self._thread.start()

    def end(self) -> None:
        """Stop listening, soon."""
        self._closing.set()

    def close(self) -> None:
        """Stop listening; the port is free when this returns."""
        self.end()
        self._thread.join()

    def latest(self, known: int) -> tuple[dict[str, Any], tuple[bytes]]:
        """Fields and part of ``stream.latest.reply``; the part is empty when the newest sample is the one of the number ``known``."""
        with self._lock:
            if self._broken is not None:
                raise self._broken
            neutral, newest, number, receiver = self._neutral, self._newest, self._number, self._receiver
            fields = {
                "number": number, "tracking": receiver.tracking, "packets": receiver.packets, "rate": self._rate(),
                "age": time.monotonic() - self._came if number else 0.0, "ignored": receiver.ignored, "note": self._note(),
                "recorded": -1 if self._recording is None else len(self._recording),
            }  # fmt: skip
        if newest is None or neutral is None or number == known:
            return fields, (b"",)
        return fields, (moves_from(neutral, clip_of(newest, self.name)).to_bytes(),)

    def set_neutral(self) -> None:
        """The face as it is now is no motion. Raises :class:`InvalidMotion` while none is seen."""
        with self._lock:
            if self._newest is None or not self._receiver.tracking:
                raise InvalidMotion(f"{self.name}: no face is seen that could be neutral", CHECK_SENDER)
            self._neutral = self._newest

    def record(self) -> None:
        """Begin a take; one that was begun before is given up."""
        with self._lock:
            self._recording, self._full = Recording(), False

    def finish(self) -> MotionClip:
        """The take, relative to the neutral, which is kept as a file, too.

        Raises :class:`InvalidInput` when none was begun, and :class:`InvalidMotion` without a face.
        """
        with self._lock:
            recording, self._recording, neutral = self._recording, None, self._neutral
        if recording is None:
            raise InvalidInput(f"{self.name}: no take was begun", "press Record first")
        if len(recording) == 0 or neutral is None:
            raise InvalidMotion(f"{self.name}: no face came from {self.where} while recording", self._receiver.note or CHECK_SENDER)
        clip = moves_from(neutral, recording.finish(self.name))
        try:
            keep(clip, self._folder, self.name)
        except MimaFaceError as error:
            log.warning("a take of %s could not be kept: %s", self.name, error)
            clip = clip.but(meta={**clip.meta, "warnings": [*clip.meta["warnings"], f"it could not be kept as a file ({error})"]})
        return clip

    def _run(self) -> None:
        try:
            with self._receiver:
                while not self._closing.is_set():
                    self._take(self._receiver.poll(LOOK))
        except Exception as error:
            log.exception("%s can no longer be received", self.name)
            lost = InternalError(f"{self.name} is no longer listened to", "press Listen again; if it stays, use Copy Report")
            with self._lock:
                self._broken = error if isinstance(error, MimaFaceError) else lost
            self._closing.wait()
        if self._recording is not None:  # nobody has ended it
            with contextlib.suppress(MimaFaceError):
                self.finish()

    def _take(self, samples: list[Sample]) -> None:
        now = time.monotonic()
        with self._lock:
            for sample in samples:
                if self._recording is not None and not self._recording.add(sample):
                    self._full = True
                if sample.blendshapes is not None:  # a lost face is held
                    self._newest, self._came, self._number = sample, now - self._receiver.delay, self._number + 1
                    self._neutral = self._neutral or sample
            self._counts.append((now, self._receiver.packets))
            while now - self._counts[0][0] > COUNTED and len(self._counts) > 2:
                self._counts.popleft()

    def _rate(self) -> float:
        """Packets a second."""
        if len(self._counts) < 2:
            return 0.0
        (began, before), (ended, after) = self._counts[0], self._counts[-1]
        return (after - before) / max(ended - began, LOOK)

    def _note(self) -> str:
        return "the take is as long as one can be: stop recording" if self._full else self._receiver.note


class Streams:
    """The open streams by client. Safe from any thread."""

    def __init__(self, folder: Path) -> None:
        """Takes are kept in ``folder``."""
        self._folder = folder
        self._streams: dict[bytes, Stream] = {}
        self._lock = threading.Lock()

    def __bool__(self) -> bool:
        return bool(self._streams)

    def open(self, client: bytes, address: str) -> Stream:
        """Open a stream in place of the one that the client had. Raises :class:`InvalidInput` and :class:`NotInstalled`."""
        self.close(client)
        made = Stream(address, self._folder)
        with self._lock:
            self._streams[client] = made
        return made

    def of(self, client: bytes) -> Stream:
        """The stream of a client. Raises :class:`InvalidInput` when it has none."""
        with self._lock:
            found = self._streams.get(client)
        if found is None:
            raise InvalidInput("no stream is open", OPEN_FIRST)
        return found

    def close(self, client: bytes) -> None:
        """Close the stream of a client, if it has one; its port is free when this returns."""
        with self._lock:
            found = self._streams.pop(client, None)
        if found is not None:
            found.close()

    def close_all(self) -> None:
        """Close every stream; its take is kept when this returns."""
        for client in list(self._streams):
            self.close(client)

    def keep(self, clients: Container[bytes]) -> None:
        """Let the streams of all others end: they have left."""
        with self._lock:
            left = [client for client in self._streams if client not in clients]
            for client in left:
                self._streams.pop(client).end()


def clip_of(sample: Sample, name: str) -> MotionClip:
    """One frame."""
    recording = Recording()
    recording.add(sample)
    return recording.finish(name)
