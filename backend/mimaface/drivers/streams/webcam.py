"""A webcam as a stream: one thread reads frames, another tracks the face in the newest one; frames in between are dropped.

A person who starts it looks at keys or speaks: the first sample, which is the neutral, is the calmest of the first second.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from mimaface.face.follow import Follower
from mimaface.protocol.arkit import BLENDSHAPE_INDEX
from mimaface.protocol.errors import MimaFaceError
from mimaface.protocol.motion import HEAD_DEVIATION

from .base import Sample
from .device_stream import DeviceStream
from .devices import open_camera
from .recording import Recording

MOST_WIDE = 960  # pixels, larger side of the frame for tracking. Raised: detects smaller faces, and is slower
PAUSE = 0.005  # seconds until a camera that does not wait is asked again. Raised: frames come later; lowered: a busier processor
CALM = 1.0  # seconds of tracked frames from which the neutral is chosen. Raised: a calmer one, and a longer wait
# Weight of the open jaw and of shut lids in the choice of the neutral: with a jaw that opens by .8 the sum of all weights of a smiling face
# changed by no more than .6. Raised: a shut mouth counts more than a head that faces the camera
OPEN = 10.0
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
        self._cause: Exception | None = None  # why the camera has ended
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
            self._cause = self._cause or problem
            self._closing.set()
            if run == self._follow:  # which has given all samples by now
                self._problem = self._cause
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
        last, first = float("-inf"), list[Sample]()  # of the first second
        calm = False  # whether the neutral was chosen
        while not self._closing.is_set():
            with self._changed:
                self._changed.wait_for(lambda: self._frame is not None or self._closing.is_set())
                taken, self._frame = self._frame, None
            if taken is None:
                break
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
                self.note = "" if calm or not self._follower.sees_face else MEASURING
                if not first and followed is None:
                    continue  # a take starts with a face
                if followed is not None:
                    self._tracked = came
                self.delay = time.monotonic() - came
                if not calm:
                    first.append(sample)
                    calm = seconds - first[0].seconds >= CALM
                    self.note = "" if calm else self.note
                if calm:
                    self._samples.extend(_calmest_first(first) if sample is first[-1] else [sample])
                    self._changed.notify_all()
        if first and not calm:  # the camera has ended before
            self._samples.extend(_calmest_first(first))


def _calmest_first(samples: list[Sample]) -> list[Sample]:
    """Returns the samples, the calmest before all others: with its mouth shut, its eyes open, and its head towards the camera."""
    recording = Recording()
    for sample in samples:
        recording.add(sample)
    clip = recording.finish("webcam")
    aside = 2 * np.arccos(np.minimum(np.abs(clip.head_quat[:, 0]), 1.0))  # radians
    opened = clip.blendshapes[:, [BLENDSHAPE_INDEX[name] for name in ("jawOpen", "eyeBlinkLeft", "eyeBlinkRight")]].clip(0).sum(1)
    calmest = samples[int(np.argmin(clip.unrest() + np.square(aside / HEAD_DEVIATION) + OPEN * opened))]
    return [calmest, *(sample for sample in samples if sample is not calmest)]


def _picture(frame: Any) -> Any:
    """Returns RGB (H, W, 3) uint8 of a frame, at most ``MOST_WIDE`` pixels on its larger side."""
    scale = min(MOST_WIDE / max(frame.width, frame.height), 1.0)
    return frame.to_ndarray(format="rgb24", width=max(round(frame.width * scale), 1), height=max(round(frame.height * scale), 1))
