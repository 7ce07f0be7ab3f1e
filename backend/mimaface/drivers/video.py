"""Video → ``MotionClip``: PyAV decodes with real timestamps, the tracker follows the face."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from mimaface.face.track import Tracker
from mimaface.protocol.errors import InvalidInput, NotInstalled
from mimaface.protocol.motion import MotionClip
from mimaface.protocol.motion_files import MAX_FRAMES

from .display import shown_size, turn_of, turned, without_combs

Array = NDArray[Any]
HINT = "use a video file such as .mp4, .mov or .webm"
MOST_PIXELS = 8192 * 8192  # of a frame, as of a portrait
# what FFmpeg takes for a video but is a single picture, a list of other files, or a text
NO_VIDEOS = {"image2", "image2pipe", "concat", "hls", "dash", "sdp", "rtsp", "rtp", "sap", "imf", "tty", "lavfi", "bin", "xbin", "adf", "idf"}


def video_frames(path: Path) -> Iterator[tuple[float, Array]]:
    """Seconds from the first frame and RGB (H, W, 3) uint8 as the file says it is to be shown, a frame at a time, all of one size.

    Raises :class:`InvalidInput` for what is not a video or too large and :class:`NotInstalled` without PyAV.
    """
    try:
        import av
    except ImportError as error:
        raise NotInstalled("reading video needs PyAV", 'pip install "mimaface[video]"') from error
    readable = sorted(name for name in av.formats_available if name not in NO_VIDEOS and not name.endswith("_pipe"))
    options = {"protocol_whitelist": "file", "format_whitelist": ",".join(readable)}
    try:
        with av.open(str(path), options=options) as container:
            if not container.streams.video:
                raise InvalidInput(f"{path.name}: no picture track in the file", HINT)
            stream = container.streams.video[0]
            if stream.width * stream.height > MOST_PIXELS:
                raise InvalidInput(
                    f"{path.name}: frames of {stream.width} × {stream.height} pixels are too large", "scale the video to 8192 pixels or less"
                )
            stream.codec_context.options = {"max_pixels": str(MOST_PIXELS)}
            stream.thread_type = "AUTO"
            shape = float(stream.sample_aspect_ratio or stream.codec_context.sample_aspect_ratio or 1)
            size: tuple[int, int] | None = None
            start, last, count = None, -1.0, 0
            for frame in container.decode(stream):
                seconds = float(frame.time) if frame.time is not None else count / float(stream.average_rate or 25)
                start = seconds if start is None else start
                count += 1
                if seconds - start <= last:
                    continue
                if count > MAX_FRAMES:
                    raise InvalidInput(f"{path.name}: more than {MAX_FRAMES} frames", "cut the video into shorter ones")
                last = seconds - start
                size = size or shown_size(frame.width, frame.height, shape)
                image = frame.to_ndarray(format="rgb24", width=size[0], height=size[1])
                image = without_combs(image) if frame.interlaced_frame and size[1] == frame.height else image
                yield last, turned(image, turn_of(frame))
            if count == 0:
                raise InvalidInput(f"{path.name}: the video has no frames", HINT)
    except (av.error.FFmpegError, OSError) as error:
        raise InvalidInput(f"{path.name}: cannot be read as a video ({error.strerror or error})", HINT) from error


def track_steps(path: Path) -> Iterator[MotionClip | None]:
    """Follow the face through a video: None after every frame, the motion last."""
    tracker = Tracker()
    for seconds, image in video_frames(path):
        tracker.add(seconds, image)
        yield None
    yield from tracker.finish(path.name)
