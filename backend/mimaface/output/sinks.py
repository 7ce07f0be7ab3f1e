"""Sinks for a shot: a folder of PNG files, an MP4 or a single picture, each written atomically."""

from __future__ import annotations

import contextlib
import re
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from PIL import Image

from mimaface.marking.marker import Marker
from mimaface.optional import optional
from mimaface.pictures import encode_png, is_ours
from mimaface.protocol.arrays import Array
from mimaface.protocol.errors import InvalidInput
from mimaface.protocol.files import Watched, replacing, writable, write_whole

from .sound import Sound

# frames queued for writing, and bytes that they may take together, but for one. Raised: more memory; helps when frames take very unequal times
QUEUED_FRAMES, QUEUED_BYTES = 2, 64e6
BIT_RATE = 192_000  # bits per second of sound
RATE_TOLERANCE = 0.005  # frames per second of tolerance: 23.98 and 23.976 are both 24000/1001


class FrameSink(Protocol):
    """Receives frames in order."""

    def write(self, index: int, image: Array, still: bool = False, changed: Array | None = None) -> None:
        """Writes a frame; ``still`` marks the unchanged photograph, which gets no watermark; changed (H, W) bool: see
        :class:`mimaface.renderers.base.Frame`."""


class Folder:
    """Writes ``000000.png`` and so on in order on another thread. Each file appears complete; an error is raised by a later
    :meth:`write` or :meth:`finish`.
    """

    def __init__(self, path: Path, marker: Marker | None = None) -> None:
        self.path, self._marker = path, marker
        self._thread = ThreadPoolExecutor(1, "png")
        self._waiting: deque[Future[None]] = deque()

    def write(self, index: int, image: Array, still: bool = False, changed: Array | None = None) -> None:
        """Queues a frame, which must not be modified afterwards."""
        queued = QUEUED_FRAMES if QUEUED_FRAMES * image.nbytes <= QUEUED_BYTES else 1
        while len(self._waiting) >= queued or (self._waiting and self._waiting[0].done()):
            self._waiting.popleft().result()
        self._waiting.append(self._thread.submit(self._put, index, image, still, changed))

    def _put(self, index: int, image: Array, still: bool, changed: Array | None) -> None:
        with writable(self.path):
            write_whole(self.path / f"{index:06d}.png", _png(image, self._marker, still, changed))

    def finish(self) -> None:
        """Waits until every frame is written."""
        try:
            while self._waiting:
                self._waiting.popleft().result()
        finally:
            self._thread.shutdown(cancel_futures=True)


class OnePicture:
    """A single PNG file."""

    def __init__(self, path: Path, marker: Marker | None = None) -> None:
        self.path, self._marker = path, marker

    def write(self, index: int, image: Array, still: bool = False, changed: Array | None = None) -> None:
        if index:
            raise InvalidInput(f"{self.path.name}: one picture cannot hold several frames", "use a folder or an .mp4 file")
        with writable(self.path):
            write_whole(self.path, _png(image, self._marker, still, changed))


def _png(image: Array, marker: Marker | None, still: bool, changed: Array | None) -> bytes:
    if marker is None:
        return encode_png(image)
    return marker.png(encode_png(image if still else marker.picture(image, changed)))


@dataclass(frozen=True, eq=False)
class Clock:
    """When each frame is shown: ``ticks`` (F,), so many times ``tick`` seconds from the first."""

    ticks: Sequence[int]
    tick: Fraction


class Mp4:
    """H.264 in yuv420p and BT.709, and AAC; odd sizes lose their last row or column, transparency becomes black."""

    def __init__(self, file: Watched, rate: Fraction, sound: Sound | None, marker: Marker | None = None, clock: Clock | None = None) -> None:
        self._av = av = optional("av", "writing video needs PyAV", "video")
        self._container = av.open(file, "w", format="mp4")
        self._tick, self._marker, self._ticks = 1 / rate, marker, None if clock is None else clock.ticks
        self._stream = self._container.add_stream("libx264", rate=rate, options={"crf": "16", "preset": "medium"})
        if clock is not None:
            self._tick = self._stream.codec_context.time_base = self._stream.time_base = clock.tick
        self._streams: list[Any] = [self._stream]
        self._opened = False
        self._sound_frames: Iterator[Any] = iter(())
        if sound is not None:
            self._audio = self._container.add_stream("aac", rate=sound.rate, layout=sound.layout)
            self._audio.bit_rate = BIT_RATE
            self._streams.append(self._audio)
            self._sound_frames = sound.frames()

    def write(self, index: int, image: Array, still: bool = False, changed: Array | None = None) -> None:
        from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc

        height, width = image.shape[0] // 2 * 2, image.shape[1] // 2 * 2
        if not self._opened:
            stream, context = self._stream, self._stream.codec_context
            stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
            context.color_primaries, context.color_trc = int(ColorPrimaries.BT709), int(ColorTrc.BT709)
            context.colorspace, context.color_range = int(Colorspace.ITU709), int(ColorRange.MPEG)
            self._opened = True
        opaque = np.ascontiguousarray(on_black(image[:height, :width]))
        marked = opaque
        if self._marker is not None and not still:
            marked = self._marker.picture(opaque, None if changed is None else changed[:height, :width])
        picture = self._av.VideoFrame.from_ndarray(marked, format="rgb24")
        frame = picture.reformat(format="yuv420p", dst_colorspace=Colorspace.ITU709, dst_color_range=ColorRange.MPEG)
        frame.pts, frame.time_base = index if self._ticks is None else self._ticks[index], self._tick
        for packet in self._stream.encode(frame):
            self._container.mux(packet)
        for sound_frame in self._sound_frames:
            for packet in self._audio.encode(sound_frame):
                self._container.mux(packet)
            # interleaves pictures and sound in the file
            if sound_frame.pts * sound_frame.time_base > frame.pts * frame.time_base:
                break

    def finish(self) -> None:
        """Flushes the encoders and writes the file's index."""
        if self._opened:
            for sound_frame in self._sound_frames:
                for packet in self._audio.encode(sound_frame):
                    self._container.mux(packet)
            for stream in self._streams:
                for packet in stream.encode():
                    self._container.mux(packet)
        self._container.close()

    def abandon(self) -> None:
        """Closes a file that will not be finished."""
        with contextlib.suppress(self._av.error.FFmpegError, OSError, ValueError):
            self._container.close()


def on_black(image: Array) -> Array:
    """RGB or RGBA uint8 → RGB (H, W, 3) uint8 over black."""
    if image.shape[2] == 3:
        return image
    return np.asarray(np.rint(image[..., :3] * (image[..., 3:] / np.float32(255))).astype(np.uint8))


def exact_rate(rate: float) -> Fraction:
    """Returns the exact frame rate of film and television: 29.97 is 30000/1001."""
    television = Fraction(round(rate * 1.001) * 1000, 1001)
    if abs(rate - round(rate)) > RATE_TOLERANCE and abs(float(television) - rate) < RATE_TOLERANCE:
        return television
    return Fraction(rate).limit_denominator(1001)


@contextmanager
def open_sink(
    path: Path, rate: float, overwrite: bool, sound: Sound | None = None, marker: Marker | None = None, clock: Clock | None = None
) -> Iterator[FrameSink]:
    """Opens a sink for ``path``: .mp4, a single .png, or a folder for PNG files. An unfinished MP4 is removed, finished PNG files
    remain.

    ``sound`` is muxed into an MP4, whose frames have the times of ``clock``, or ``rate`` a second without one; ``marker`` marks frames
    and signs each file last, before its final rename. In a folder only files written by MIMAFace are deleted. Raises
    :class:`InvalidInput` if the output exists, :class:`NotWritable` and :class:`DiskFull`.
    """
    with writable(path):
        if is_folder(path):
            with _open_folder(path, overwrite, marker) as folder:
                yield folder
            return
        if path.is_dir() or (path.exists() and not overwrite):
            raise InvalidInput(f"{path} exists", "choose another name or add --overwrite")
        path.parent.mkdir(parents=True, exist_ok=True)
        if is_picture(path):
            yield OnePicture(path, marker)
            return
        with replacing(path) as part:
            with _open_film(part, exact_rate(rate), sound, marker, clock) as film:
                yield film
            if marker is not None:
                marker.film(part)


@contextmanager
def _open_folder(path: Path, overwrite: bool, marker: Marker | None) -> Iterator[Folder]:
    if re.fullmatch(r"\.[A-Za-z]\w{1,4}", path.suffix) and not path.is_dir():
        raise InvalidInput(f"{path.name}: this kind of output is not known", "use a folder, an .mp4 file or, for one frame, a .png file")
    if path.exists() and any(path.glob("*.png")) and not overwrite:
        raise InvalidInput(f"{path} already holds frames", "choose another folder or add --overwrite")
    for stale in path.glob("[0-9]" * 6 + ".png"):
        if is_ours(stale):
            stale.unlink()
    path.mkdir(parents=True, exist_ok=True)
    folder = Folder(path, marker)
    try:
        yield folder
    finally:  # frames finished before an error or interrupt remain
        folder.finish()


@contextmanager
def _open_film(part: Path, rate: Fraction, sound: Sound | None, marker: Marker | None, clock: Clock | None) -> Iterator[Mp4]:
    with part.open("w+b", buffering=0) as raw:
        file = Watched(raw)
        film = Mp4(file, rate, sound, marker, clock)
        try:
            yield film
            film.finish()
        except BaseException as error:
            film.abandon()
            raise (file.failure or error) from None


def is_film(path: Path) -> bool:
    """Returns whether an output is an MP4."""
    return path.suffix.lower() == ".mp4"


def is_picture(path: Path) -> bool:
    """Returns whether an output is a single picture, not a folder with such a suffix."""
    return path.suffix.lower() == ".png" and not path.is_dir()


def is_folder(path: Path) -> bool:
    """Returns whether an output is a folder of pictures."""
    return not is_film(path) and not is_picture(path)


def contact_sheet(images: Iterable[Array], columns: int, width: int) -> Array:
    """Arranges pictures (H, W, 3) of one size in rows of ``columns``, each ``width`` pixels wide → one picture."""
    cells = []
    for image in images:
        height = round(width * image.shape[0] / image.shape[1])
        cells.append(np.asarray(Image.fromarray(image[..., :3]).resize((width, height), Image.Resampling.LANCZOS)))
    blank = np.full_like(cells[0], 255)
    cells += [blank] * (-len(cells) % columns)
    return np.vstack([np.hstack(cells[row : row + columns]) for row in range(0, len(cells), columns)])
