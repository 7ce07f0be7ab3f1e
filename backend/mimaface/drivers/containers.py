"""Opens films and sounds with PyAV, local files only, and finds their tracks."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mimaface.optional import optional
from mimaface.protocol.driver_files import SOUNDS, ends
from mimaface.protocol.errors import InvalidInput

# formats of FFmpeg that are single pictures, lists of other files, or texts
NO_VIDEOS = {"image2", "image2pipe", "concat", "hls", "dash", "sdp", "rtsp", "rtp", "sap", "imf", "tty", "lavfi", "bin", "xbin", "adf", "idf"}


@contextlib.contextmanager
def opened(path: Path, what: str, hint: str) -> Iterator[Any]:
    """Open the container of a file; ``what``: such as "a video", for messages.

    Raises :class:`InvalidInput` with ``hint`` for files that cannot be read, and :class:`NotInstalled` without PyAV.
    """
    av = optional("av", f"reading {what} needs PyAV", "video")
    readable = sorted(name for name in av.formats_available if name not in NO_VIDEOS and not name.endswith("_pipe"))
    options = {"protocol_whitelist": "file", "format_whitelist": ",".join(readable)}
    try:
        with av.open(str(path), options=options) as container:
            yield container
    except (av.error.FFmpegError, OSError) as error:
        raise InvalidInput(f"{path.name}: cannot be read as {what} ({error.strerror or error})", hint) from error


def moving_pictures(container: Any) -> list[Any]:
    """Returns the video tracks of a container, without cover pictures."""
    from av.stream import Disposition

    return [stream for stream in container.streams.video if not stream.disposition & Disposition.attached_pic]


def is_sound(path: Path) -> bool:
    """Whether a file has a sound track and no moving pictures. Raises as :func:`opened`."""
    what = "a sound" if ends(path.name, SOUNDS) else "a video"
    with opened(path, what, "use a video such as .mp4, .mov or .webm, or a sound such as .wav, .mp3 or .m4a") as container:
        return bool(container.streams.audio) and not moving_pictures(container)
