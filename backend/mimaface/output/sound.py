"""The sound of a driving video or of speech, cut to the shot that it drives."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
RATES = (48000, 44100, 32000, 24000, 22050, 16000)  # samples a second that AAC in an MP4 plays everywhere
HOLE = 0.05  # seconds without sound in the source that are kept as silence; shorter ones are rounding


def has_sound(path: Path) -> bool:
    """Whether ``path`` is a sound, or a video with a sound track. False for all else, and where PyAV is missing."""
    try:
        import av
    except ImportError:
        return False
    try:
        with av.open(str(path), options={"protocol_whitelist": "file"}) as container:
            return bool(container.streams.audio)
    except (av.error.FFmpegError, OSError):
        return False


class Sound:
    """The sound of ``path`` from ``begin`` seconds after its first picture on, or after its beginning without one, for ``seconds``."""

    def __init__(self, path: Path, begin: float, seconds: float) -> None:
        import av

        self._av, self._path, self._begin, self._seconds = av, path, begin, seconds
        with av.open(str(path), options={"protocol_whitelist": "file"}) as container:
            stream = container.streams.audio[0]
            self.rate = stream.rate if stream.rate in RATES else RATES[0]
            self.layout = "mono" if stream.codec_context.channels == 1 else "stereo"
            pictures = [each for each in container.streams.video if not each.disposition & av.stream.Disposition.attached_pic]
            first: Any = next(container.decode(pictures[0] if pictures else stream))  # the cover of a song is no picture of it
            self._begin += float(first.time or 0.0)

    def frames(self) -> Iterator[Any]:
        """PyAV's audio frames without a hole, whose ``pts`` counts samples from the shot's beginning."""
        done, whole = 0, round(self._seconds * self.rate)
        for place, samples in self._decoded():
            if place > done + HOLE * self.rate:
                yield self._frame(np.zeros((len(samples), min(place, whole) - done), np.float32), done)
                done = min(place, whole)
            part = samples[:, max(done - place, 0) if place < done - HOLE * self.rate or place < 0 else 0 :][:, : whole - done]
            if part.shape[1]:
                yield self._frame(part, done)
                done += part.shape[1]
            if done >= whole:
                return

    def _decoded(self) -> Iterator[tuple[int, Array]]:
        """Where each piece begins, in samples from the shot's beginning, and the piece (channels, N) float32."""
        resampler = self._av.AudioResampler(format="fltp", layout=self.layout, rate=self.rate)
        with self._av.open(str(self._path), options={"protocol_whitelist": "file"}) as container:
            for frame in container.decode(audio=0):
                place = round((float(frame.time or 0.0) - self._begin) * self.rate)
                frame.pts = None
                for piece in resampler.resample(frame):
                    samples = piece.to_ndarray()
                    if place + samples.shape[1] > 0:
                        yield place, samples
                    place += samples.shape[1]

    def _frame(self, samples: Array, place: int) -> Any:
        frame = self._av.AudioFrame.from_ndarray(np.ascontiguousarray(samples, np.float32), format="fltp", layout=self.layout)
        frame.sample_rate, frame.pts, frame.time_base = self.rate, place, Fraction(1, self.rate)
        return frame
