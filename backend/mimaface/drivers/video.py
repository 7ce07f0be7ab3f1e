"""Video → ``MotionClip``: PyAV decodes with real timestamps, the tracker follows the face."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

from mimaface.pictures import Picture
from mimaface.protocol.arrays import Array
from mimaface.protocol.errors import InvalidInput
from mimaface.protocol.motion import MotionClip
from mimaface.protocol.motion_files import MAX_FRAMES

from .containers import moving_pictures, opened
from .display import shown, shown_size
from .following import follow_steps
from .reading import Progress

HINT = "use a video file such as .mp4, .mov or .webm"
MICROSECONDS = 1_000_000  # in which FFmpeg counts the length of a container
CLOCKLESS = {"h264", "hevc", "m4v", "mjpeg", "mpegvideo", "obu", "vc1"}  # what FFmpeg calls pictures in a row, without times
SEARCHABLE = {"mp4", "matroska"}  # containers with one clock and an index, by FFmpeg's names; in others a time may be found twice
SET_BACK = 0.1  # seconds by which a frame's time may be before the last one's and only be wrong, so that it is left out
CUT = 0.1, 0.25  # share and seconds of a film that may be missing at its end without a word; encoders count their last frames differently
ALPHA_DECODERS = {"vp8": "libvpx", "vp9": "libvpx-vp9"}  # by the decoder that ignores alpha
MOST_PIXELS = 8192 * 8192  # of a frame, as of a portrait


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[tuple[Any, Any]]:
    """The container and its picture track, the largest of several.

    Raises :class:`InvalidInput` for what is not a video and :class:`NotInstalled` without PyAV.
    """
    with opened(path, "a video", HINT) as container:
        pictures = moving_pictures(container)
        if not pictures:
            raise InvalidInput(f"{path.name}: no picture track in the file", HINT)
        yield container, max(pictures, key=lambda stream: stream.width * stream.height)


def frame_count(path: Path) -> int:
    """How many frames a video has by its header or, where that does not count them, by its duration and rate; 0: it does not tell.

    Raises as :func:`video_pictures`.
    """
    with _opened(path) as (container, stream):
        count = stream.frames
        if count <= 0 and stream.average_rate:
            known = stream.duration and stream.time_base
            seconds = float(stream.duration * stream.time_base) if known else (container.duration or 0) / MICROSECONDS
            count = round(seconds * float(stream.average_rate))
    return count if 0 < count <= MAX_FRAMES else 0


def clock(path: Path) -> tuple[Fraction, Fraction]:
    """Frames a second by a video's header, 25 where it does not tell, and the seconds of which its times are multiples.

    Raises as :func:`video_pictures`.
    """
    with _opened(path) as (_, stream):
        rate = Fraction(stream.average_rate or stream.guessed_rate or 25)
        return rate, Fraction(stream.time_base or 1 / rate)


def video_frames(path: Path, since: float = 0.0) -> Iterator[tuple[float, Array]]:
    """Seconds from the first frame and sRGB (H, W, 3) uint8 of each picture of :func:`video_pictures`."""
    for seconds, picture in video_pictures(path, since):
        yield seconds, picture.image


def video_pictures(path: Path, since: float = 0.0) -> Iterator[tuple[float, Picture]]:
    """Seconds from the first frame and the picture as the file says it is to be shown, a frame at a time, all of one size.

    since: seconds before which frames may be left out, where the container can be searched.
    Raises :class:`InvalidInput` for what is not a video or too large and :class:`NotInstalled` without PyAV.
    """
    with _opened(path) as (container, stream):
        if stream.width * stream.height > MOST_PIXELS:
            raise InvalidInput(
                f"{path.name}: frames of {stream.width} × {stream.height} pixels are too large", "scale the video to 8192 pixels or less"
            )
        stream.codec_context.options = {"max_pixels": str(MOST_PIXELS)}
        stream.thread_type = "AUTO"
        shape = float(stream.sample_aspect_ratio or stream.codec_context.sample_aspect_ratio or 1)
        size: tuple[int, int] | None = None
        start, last, count = _sought(container, stream, since), -1.0, 0
        before: float | None = None
        for frame in _decoded(container, stream):
            seconds = float(frame.time) if frame.time is not None else count / float(stream.average_rate or 25)
            start = seconds if start is None else start
            if before is not None and seconds < before - SET_BACK:  # recordings one after the other, each with a clock of its own
                start += seconds - before - 1 / float(stream.average_rate or 25)
            before = seconds
            count += 1
            if seconds - start <= last:
                continue
            if count > MAX_FRAMES:
                raise InvalidInput(f"{path.name}: more than {MAX_FRAMES} frames", "cut the video into shorter ones")
            last = seconds - start
            size = size or shown_size(frame.width, frame.height, shape)
            yield last, shown(frame, size)
        if count == 0:
            raise InvalidInput(f"{path.name}: the video has no frames", HINT)


def _decoded(container: Any, stream: Any) -> Iterator[Any]:
    """Yields a track's frames; of VP8 and VP9 with an alpha by the decoder that reads it, where PyAV has it."""
    import av

    other = ALPHA_DECODERS.get(stream.codec_context.name, "")
    if stream.metadata.get("alpha_mode") != "1" or other not in av.codecs_available:
        yield from container.decode(stream)
        return
    decoder: Any = av.CodecContext.create(other, "r")
    for packet in container.demux(stream):
        yield from decoder.decode(packet)


def _sought(container: Any, stream: Any, since: float) -> float | None:
    """Go to the last key frame up to ``since`` seconds from the first frame, and return the first frame's time; else stay, and return None."""
    if since <= 0 or not SEARCHABLE & set(container.format.name.split(",")):
        return None
    first = next(iter(container.decode(stream)), None)
    start = None if first is None or first.time is None else float(first.time)
    container.seek(round((0.0 if start is None else start + since) / stream.time_base), stream=stream)
    return start


def track_steps(path: Path, progress: Progress, neutral: int | Array | None = None) -> Iterator[MotionClip | None]:
    """Follow the face through a video; see :func:`follow_steps`."""
    notes: list[str] = []

    def frames() -> Iterator[tuple[float, Array]]:
        seconds, count = 0.0, 0
        for seconds, image in video_frames(path):
            count += 1
            yield seconds, image
        notes.extend(_notes(path, seconds * count / max(count - 1, 1)))

    return follow_steps(frames(), path.name, frame_count(path), progress, neutral, notes)


def _notes(path: Path, lasted: float) -> list[str]:
    """What a video's header says otherwise than its frames, which have ``lasted`` so many seconds."""
    with _opened(path) as (container, stream):
        if container.format.name in CLOCKLESS:
            return [f"the file has no clock: taken for {float(stream.average_rate or 25):g} frames a second"]
        told = re.fullmatch(r"(\d+):(\d+):([\d.]+)", stream.metadata.get("DURATION", ""))
        whole = 0.0
        if stream.duration and stream.time_base:
            whole = float(stream.duration * stream.time_base)
        elif told:
            whole = int(told[1]) * 3600 + int(told[2]) * 60 + float(told[3])
        elif len(container.streams) == 1:
            whole = (container.duration or 0) / MICROSECONDS
    share, seconds = CUT
    if whole - lasted > max(share * whole, seconds):
        return [f"its frames end after {lasted:.1f} of {whole:.1f} s: the file may have been cut off"]
    return []
