"""Sound of a driving video or speech file, cut to the shot."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from mimaface.protocol.arrays import Array

RATES = (48000, 44100, 32000, 24000, 22050, 16000)  # samples per second that AAC in an MP4 supports everywhere
SHORTEST_GAP = 0.05  # seconds. Longer gaps between timestamps become silence; shorter ones are rounding


def has_sound(path: Path) -> bool:
    """Returns whether ``path`` is a sound file or a video with sound. False for other files, and without PyAV."""
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
    """Sound of ``path`` for ``seconds``, starting ``begin`` seconds after its first picture, or after its start without
    pictures."""

    def __init__(self, path: Path, begin: float, seconds: float) -> None:
        import av

        self._av, self._path, self._begin, self._seconds = av, path, begin, seconds
        with av.open(str(path), options={"protocol_whitelist": "file"}) as container:
            stream = container.streams.audio[0]
            self.rate = stream.rate if stream.rate in RATES else RATES[0]
            self.layout = "mono" if stream.codec_context.channels == 1 else "stereo"
            pictures = [each for each in container.streams.video if not each.disposition & av.stream.Disposition.attached_pic]
            first: Any = next(container.decode(pictures[0] if pictures else stream))  # a song's cover is not a video
            self._begin += float(first.time or 0.0)

    def frames(self) -> Iterator[Any]:
        """Yields PyAV audio frames without gaps; ``pts`` counts samples from the shot's start."""
        done, whole = 0, round(self._seconds * self.rate)
        for place, samples in self._decoded():
            if place > done + SHORTEST_GAP * self.rate:
                yield self._frame(np.zeros((len(samples), min(place, whole) - done), np.float32), done)
                done = min(place, whole)
            part = samples[:, max(done - place, 0) if place < done - SHORTEST_GAP * self.rate or place < 0 else 0 :][:, : whole - done]
            if part.shape[1]:
                yield self._frame(part, done)
                done += part.shape[1]
            if done >= whole:
                return

    def _decoded(self) -> Iterator[tuple[int, Array]]:
        """Yields pieces of sound (channels, N) float32 with their start in samples from the shot's start."""
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
