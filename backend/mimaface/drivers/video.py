"""Video → ``MotionClip``: PyAV decodes with real timestamps, the tracker follows the face."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mimaface.face.track import Tracker
from mimaface.protocol.errors import InvalidInput, NotInstalled
from mimaface.protocol.motion import MotionClip

Array = NDArray[Any]
HINT = "use a video file such as .mp4, .mov or .webm"


def video_frames(path: Path) -> Iterator[tuple[float, Array]]:
    """Seconds from the first frame and RGB (H, W, 3) uint8, upright, a frame at a time.

    Raises :class:`InvalidInput` for what is not a video and :class:`NotInstalled` without PyAV.
    """
    try:
        import av
    except ImportError as error:
        raise NotInstalled("reading video needs PyAV", 'pip install "mimaface[video]"') from error
    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                raise InvalidInput(f"{path.name}: no picture track in the file", HINT)
            stream = container.streams.video[0]
            stream.thread_type = "AUTO"
            start, last, count = None, -1.0, 0
            for frame in container.decode(stream):
                seconds = float(frame.time) if frame.time is not None else count / float(stream.average_rate or 25)
                start = seconds if start is None else start
                count += 1
                if seconds - start <= last:
                    continue
                last = seconds - start
                turns = (round(-float(getattr(frame, "rotation", 0) or 0)) // 90) % 4
                yield last, np.ascontiguousarray(np.rot90(frame.to_ndarray(format="rgb24"), -turns))
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
