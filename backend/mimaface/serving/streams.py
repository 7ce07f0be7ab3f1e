"""Streams of face capture, one per client, each received on a separate thread and closed when its client leaves.

Every take is saved as a file when it ends, also when the client is lost: a performance cannot be repeated.
"""

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
LOOK = 0.1  # seconds that the thread waits for a packet before it checks whether it should end. Higher: closing takes longer
COUNTED = 1.0  # seconds over which packets are counted. Higher: the rate is steadier and lags more
OPEN_FIRST = "press Listen, then try again"
CHECK_SENDER = "check that the sender is on, in the same network, and shows a face"


class Stream:
    """The newest sample of a stream, its neutral, and the take being recorded. Safe from any thread."""

    def __init__(self, address: str, folder: Path) -> None:
        """Open an ``address`` of :func:`open_stream`; save takes in ``folder``. Raises :class:`InvalidInput` and :class:`NotInstalled`."""
        self._folder = folder
        self._receiver = open_stream(address)
        self.name, self.port, self.where = self._receiver.name, self._receiver.port, self._receiver.where
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._newest: Sample | None = None  # the last sample with a face
        self._neutral: Sample | None = None
        self._came, self._number = 0.0, 0  # of the newest: monotonic seconds of its capture; its number, from 1
        self._recording: Recording | None = None
        self._full = False
        self._broken: MimaFaceError | None = None  # the error that has ended the stream
        self._counts: deque[tuple[float, int]] = deque()  # (monotonic seconds, packets so far)
        self._thread = threading.Thread(target=self._run, name="mimaface-stream", daemon=True)
        self._thread.start()

    def end(self) -> None:
        """Tell the thread to stop listening; does not wait."""
        self._closing.set()

    def close(self) -> None:
        """Stop listening, and wait until the port is free."""
        self.end()
        self._thread.join()

    def latest(self, known: int) -> tuple[dict[str, Any], tuple[bytes]]:
        """Returns fields and part of ``stream.latest.reply``; the part is empty if the newest sample has the number ``known``."""
        with self._lock:
            if self._broken is not None:
                raise self._broken
            neutral, newest, number, receiver = self._neutral, self._newest, self._number, self._receiver
            fields = {
                "number": number, "tracking": receiver.tracking, "packets": receiver.packets, "rate": self._rate(),
                "age": time.monotonic() - self._came if number else 0.0, "ignored": receiver.ignored, "note": self._note(),
                "recorded": -1 if self._recording is None else len(self._recording), "senders": receiver.senders,
            }  # fmt: skip
        if newest is None or neutral is None or number == known:
            return fields, (b"",)
        return fields, (moves_from(neutral, clip_of(newest, self.name)).to_bytes(),)

    def set_neutral(self) -> None:
        """Make the newest sample the neutral. Raises :class:`InvalidMotion` while no face is tracked."""
        with self._lock:
            if self._newest is None or not self._receiver.tracking:
                raise InvalidMotion(f"{self.name}: no face is tracked that could be the neutral", CHECK_SENDER)
            self._neutral = self._newest

    def choose(self, name: str) -> None:
        """Hear this sender, whose first face is the neutral. Raises :class:`InvalidInput` where it does not send, and during a take."""
        with self._lock:
            if self._recording is not None:
                raise InvalidInput("a take is being recorded", "stop recording before another sender is heard")
            if not self._receiver.choose(name):
                raise InvalidInput(f"{name}: it does not send any more", "start its app again, or choose another sender")
            self._newest = self._neutral = None

    def record(self) -> None:
        """Begin a take; an unfinished one is discarded."""
        with self._lock:
            self._recording, self._full = Recording(), False

    def finish(self) -> MotionClip:
        """End the take, save it as a file, and return it relative to the neutral.

        Raises :class:`InvalidInput` where no take was begun, and :class:`InvalidMotion` where it has no face.
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
            log.warning("a take of %s could not be saved: %s", self.name, error)
            clip = clip.but(meta={**clip.meta, "warnings": [*clip.meta["warnings"], f"the take could not be saved as a file ({error})"]})
        return clip

    def _run(self) -> None:
        try:
            with self._receiver:
                while not self._closing.is_set():
                    self._take(self._receiver.poll(LOOK))
        except Exception as error:
            log.exception("receiving %s has failed", self.name)
            lost = InternalError(f"receiving {self.name} has failed", "press Listen again; if it fails again, use Copy Report")
            with self._lock:
                self._broken = error if isinstance(error, MimaFaceError) else lost
            self._closing.wait()
        if self._recording is not None:  # closed during a take
            with contextlib.suppress(MimaFaceError):
                self.finish()

    def _take(self, samples: list[Sample]) -> None:
        now = time.monotonic()
        with self._lock:
            for sample in samples:
                if self._recording is not None and not self._recording.add(sample):
                    self._full = True
                if sample.blendshapes is not None and not sample.overtaken(self._newest):  # without a face, the sample before stays
                    self._newest, self._came, self._number = sample, now - self._receiver.delay, self._number + 1
                    self._neutral = self._neutral or sample
            self._counts.append((now, self._receiver.packets))
            while now - self._counts[0][0] > COUNTED and len(self._counts) > 2:
                self._counts.popleft()

    def _rate(self) -> float:
        """Packets per second."""
        if len(self._counts) < 2:
            return 0.0
        (began, before), (ended, after) = self._counts[0], self._counts[-1]
        return (after - before) / max(ended - began, LOOK)

    def _note(self) -> str:
        return "the take has reached its greatest length: stop recording" if self._full else self._receiver.note


class Streams:
    """The open streams by client. Safe from any thread."""

    def __init__(self, folder: Path) -> None:
        """``folder``: where takes are saved."""
        self._folder = folder
        self._streams: dict[bytes, Stream] = {}
        self._lock = threading.Lock()

    def __bool__(self) -> bool:
        return bool(self._streams)

    def open(self, client: bytes, address: str) -> Stream:
        """Close the client's stream, if any, and open another. Raises :class:`InvalidInput` and :class:`NotInstalled`."""
        self.close(client)
        made = Stream(address, self._folder)
        with self._lock:
            self._streams[client] = made
        return made

    def of(self, client: bytes) -> Stream:
        """Returns the stream of a client. Raises :class:`InvalidInput` where it has none."""
        with self._lock:
            found = self._streams.get(client)
        if found is None:
            raise InvalidInput("no stream is open", OPEN_FIRST)
        return found

    def close(self, client: bytes) -> None:
        """Close the stream of a client, if any, and wait until its port is free."""
        with self._lock:
            found = self._streams.pop(client, None)
        if found is not None:
            found.close()

    def close_all(self) -> None:
        """Close every stream, and wait until its take is saved."""
        for client in list(self._streams):
            self.close(client)

    def keep(self, clients: Container[bytes]) -> None:
        """End the streams of all clients except ``clients``."""
        with self._lock:
            left = [client for client in self._streams if client not in clients]
            for client in left:
                self._streams.pop(client).end()


def clip_of(sample: Sample, name: str) -> MotionClip:
    """Returns a sample as a motion of one frame."""
    recording = Recording()
    recording.add(sample)
    return recording.finish(name)
