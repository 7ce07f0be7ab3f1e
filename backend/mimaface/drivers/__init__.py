"""Where motion comes from: motion files, mocap takes and videos, all as ``MotionClip``."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from mimaface.protocol.errors import InvalidInput, InvalidMotion
from mimaface.protocol.motion import MotionClip

from .live_link import read_live_link_csv
from .retarget import RetargetSettings, retarget

__all__ = ["RetargetSettings", "motion_steps", "open_motion", "retarget"]

VIDEO = (".mp4", ".mov", ".m4v", ".webm", ".mkv", ".avi", ".mpg", ".mpeg", ".gif")


def motion_steps(
    path: Path, settings: RetargetSettings | None = None, progress: Callable[[int], None] | None = None
) -> Iterator[MotionClip | None]:
    """Read ``path`` by its ending: None after every frame of a video, the retargeted motion last."""
    suffix = path.suffix.lower()
    if not path.is_file():
        raise InvalidInput(f"cannot read {path}: no such file", "check the path")
    clip: MotionClip | None = None
    if suffix in VIDEO:
        from .video import track_steps

        for done, clip in enumerate(track_steps(path), 1):
            if clip is None:
                if progress is not None:
                    progress(done)
                yield None
    elif suffix == ".npz":
        clip = MotionClip.load(path)
    elif suffix == ".csv":
        try:
            clip = read_live_link_csv(path.read_bytes(), path.name)
        except OSError as error:
            raise InvalidMotion(f"cannot read {path}: {error.strerror}", "check the path") from error
    else:
        raise InvalidMotion(f"{path.name}: this kind of file is not known", "use .motion.npz, a Live Link Face .csv or a video")
    assert clip is not None
    yield retarget(clip, settings or RetargetSettings())


def open_motion(
    path: Path, settings: RetargetSettings | None = None, progress: Callable[[int], None] | None = None
) -> MotionClip:
    """:func:`motion_steps` at one go. Raises :class:`InvalidMotion` or :class:`InvalidInput`."""
    *_, clip = motion_steps(path, settings, progress)
    assert clip is not None
    return clip
