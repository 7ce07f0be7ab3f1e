"""A webcam as a stream: one thread reads its frames, another follows the face in the newest one; frames that come meanwhile are let go."""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import Any

from mimaface.face.follow import Follower
from mimaface.protocol.errors import MimaFaceError

from .base import Sample
from .devices import open_camera
from .receiver import TRACKING_TIMEOUT

KEPT = 600  # samples that wait for a look; the oldest go. Raised: a reader that pauses longer loses none
MOST_WIDE = 960  # pixels of a frame that is looked at. Raised: a small face far away is seen, and reading costs more
ENDING = 2.0  # seconds that closing waits for a camera that does not answer
MEASURING = "the face is measured: look into the camera for a moment"


class Webcam:
    """Waits for samples with :meth:`poll`, as :class:`Receiver` does; use as a context manager."""

    name = "Webcam"
    port = ignored = 0

    def __init__(self, camera: str) -> None:
        """Look through a camera by its number or name. Raises :class:`InvalidInput` and :class:`NotInstalled`."""
        self.where = f"camera {camera}"
        self.packets = 0  # frames that were read
        self.note = ""  # what its user should know
        self.delay = 0.0  # seconds from a frame's coming to its sample, of the newest
        self._follower, self._container = Follower(), open_camera(camera)
        self._seen = float("-inf")
        self._problem: BaseException | None = None
        self._frame: tuple[float, float, Any] | None = None  # the newest that was not looked at: its clock, when it came, the picture
        self._samples: deque[Sample] = deque(maxlen=KEPT)
        self._changed, self._closing = threading.Condition(), threading.Event()
        self._threads = [threading.Thread(target=self._guard, args=(run,), name="mimaface-webcam", daemon=True) for run in (self._read, self._follow)]
        for thread in self._threads:
            thread.start()

    def __enter__(self) -> Webcam:
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.set()
        with self._changed:
            self._changed.notify_all()
        for thread in self._threads:
            thread.join(ENDING)

    @property
    def tracking(self) -> bool:
        """Whether a face was seen within the last half second."""
        return time.monotonic() - self._seen < TRACKING_TIMEOUT

    def poll(self, timeout: float) -> list[Sample]:
        """The samples since the last look, in order, waiting up to ``timeout`` seconds for the first. Raises :class:`MimaFaceError` once the
        camera gives no more."""
        with self._changed:
            self._changed.wait_for(lambda: self._samples or self._problem or self._closing.is_set(), timeout)
            samples = list(self._samples)
            self._samples.clear()
            if not samples and self._problem is not None:
                raise self._problem
        return samples

    def _guard(self, run: Any) -> None:
        problem: BaseException = MimaFaceError(f"{self.name}: the camera gives no more pictures", "plug it in again, and try again")
        try:
            run()
        except OSError as error:
            problem.__cause__ = error
        except Exception as error:
            problem = error
        with self._changed:
            self._problem = self._problem or problem
            self._closing.set()
            self._changed.notify_all()

    def _read(self) -> None:
        """Frames as they come, the newest kept: a camera that is not read makes others wait."""
        with self._container as container:
            for frame in container.decode(video=0):
                if self._closing.is_set():
                    return
                came = time.monotonic()
                with self._changed:
                    self.packets += 1
                    self._frame = (came if frame.time is None else float(frame.time), came, frame)
                    self._changed.notify_all()

    def _follow(self) -> None:
        last = float("-inf")
        while not self._closing.is_set():
            with self._changed:
                self._changed.wait_for(lambda: self._frame is not None or self._closing.is_set())
                taken, self._frame = self._frame, None
            if taken is None:
                return
            seconds, came, frame = taken
            if seconds <= last:  # a clock that stands still or was set back
                seconds = last + 1e-3
            last = seconds
            followed = self._follower.add(seconds, _picture(frame))
            if followed is not None:
                sample = Sample(seconds, followed.blendshapes, followed.head_quat, followed.head_pos, followed.gaze)
            else:
                sample = Sample(seconds)
            with self._changed:
                self.note = "" if self._follower.measured or not self._follower.sees_face else MEASURING
                if not self._follower.measured:
                    continue  # a take begins with a face
                if followed is not None:
                    self._seen = came
                self.delay = time.monotonic() - came
                self._samples.append(sample)
                self._changed.notify_all()


def _picture(frame: Any) -> Any:
    """RGB (H, W, 3) uint8 of a frame, at most ``MOST_WIDE`` pixels wide or high."""
    scale = min(MOST_WIDE / max(frame.width, frame.height), 1.0)
    return frame.to_ndarray(format="rgb24", width=max(round(frame.width * scale), 1), height=max(round(frame.height * scale), 1))
