"""Frames of a video or of pictures → ``MotionClip``: the tracker follows one face through them, step by step."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from mimaface.face.track import Tracker
from mimaface.protocol.arrays import Array
from mimaface.protocol.motion import MotionClip
from mimaface.protocol.texts import shown_list

from .reading import Progress


def follow_steps(
    frames: Iterable[tuple[float, Array]], name: str, total: int, progress: Progress, neutral: int | Array | None, notes: list[str]
) -> Iterator[MotionClip | None]:
    """Follow the face through ``frames``, ``total`` by their header: seconds and RGB (H, W, 3) uint8. None after every frame, the motion last.

    ``progress`` is told the stages "reading", "following" and then "aligning". ``neutral``: as :meth:`Tracker.finish` has it. ``notes``,
    to which ``frames`` may add, are its first warnings. Raises :class:`NoFaceFound`.
    """
    tracker = Tracker()
    for done, (seconds, image) in enumerate(frames, 1):
        tracker.add(seconds, image)
        progress("reading", done, total if done <= total else 0)
        yield None
    for done, clip in enumerate(tracker.finish(name, neutral)):
        if clip is None:
            progress(*tracker.stage(done))
            yield None
        else:
            yield clip.but(meta={**clip.meta, "warnings": shown_list([*notes, *clip.meta["warnings"]])})
