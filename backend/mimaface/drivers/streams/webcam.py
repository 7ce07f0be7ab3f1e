"""A webcam as a stream: one thread reads frames, another tracks the face in the newest one; frames in between are dropped."""

from __future__ import annotations

import time
from typing import Any

from mimaface.face.follow import Follower
from mimaface.protocol.errors import MimaFaceError

from .base import Sample
from .device_stream import DeviceStream
from .devices import open_camera

MOST_WIDE = 960  # pixels, larger side of the frame for tracking. Raised: detects smaller faces, and is slower
PAUSE = 0.005  # seconds until a camera that does not wait is asked again. Raised: frames come later; lowered: a busier processor
MEASURING = "the face is measured: look into the camera for a moment"


class Webcam(DeviceStream):
    """A sample for each frame that was tracked."""

    name = "Webcam"

    def __init__(self, camera: str) -> None:
        """Opens a camera by its number or name. Raises :class:`InvalidInput` and :class:`NotInstalled`."""
        super().__init__(f"camera {camera}")
        self._follower, self._container = Follower(), open_camera(camera)
        # newest untracked frame: its timestamp, its arrival time, the picture
        self._frame: tuple[float, float, Any] | None = None
        self._start(lambda: self._guard(self._read), lambda: self._guard(self._follow))

    def _guard(self, run: Any) -> None:
        problem: Exception = MimaFaceError(f"{self.name}: the camera gives no more pictures", "plug it in again, and try again")
        try:
            run()
        except Exception as error:
            if run == self._read:
                problem.__cause__ = error
            else:
                problem = error
        with self._changed:
            self._problem = self._problem or problem
            self._closing.set()
            self._changed.notify_all()

    def _read(self) -> None:
        """Reads frames continuously and keeps the newest, for an unread camera delays later frames."""
        with self._container as container:
            while not self._closing.is_set():
                try:
                    for frame in container.decode(video=0):
                        if self._closing.is_set():
                            return
                        self._keep(frame)
                    return
                except BlockingIOError:  # AVFoundation does not wait for a frame
                    self._closing.wait(PAUSE)

    def _keep(self, frame: Any) -> None:
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
            if seconds <= last:  # a clock that stopped or was set back
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
                    continue  # a take starts with a face
                if followed is not None:
                    self._tracked = came
                self.delay = time.monotonic() - came
                self._samples.append(sample)
                self._changed.notify_all()


def _picture(frame: Any) -> Any:
    """Returns RGB (H, W, 3) uint8 of a frame, at most ``MOST_WIDE`` pixels on its larger side."""
    scale = min(MOST_WIDE / max(frame.width, frame.height), 1.0)
    return frame.to_ndarray(format="rgb24", width=max(round(frame.width * scale), 1), height=max(round(frame.height * scale), 1))
