"""From the samples of a stream to a ``MotionClip``."""

from __future__ import annotations

from typing import Any

import numpy as np

from mimaface.face.gaps import fill_gaps
from mimaface.protocol.errors import InvalidMotion
from mimaface.protocol.gaze import gaze_from_blendshapes
from mimaface.protocol.motion import MotionClip
from mimaface.protocol.motion_files import MAX_FRAMES
from mimaface.protocol.texts import shown_list

from .base import Sample

# Seconds that a sender's clock may run back, as its packets overtake each other; further back, the clock was set anew (midnight, a
# restarted app) and the take goes on one frame later. Raised: the second half of such a take is sorted into the first.
OVERTAKEN = 2.0
FRAME = 1 / 60  # seconds from the last frame to the first one after the clock was set


class Recording:
    """Collects the samples of a take; frames in the order of the sender's clock, whatever order they came in."""

    def __init__(self) -> None:
        self._frames: dict[float, Sample] = {}
        self._latest, self._shift = float("-inf"), 0.0

    def __len__(self) -> int:
        return len(self._frames)

    def add(self, sample: Sample) -> bool:
        """Keep a sample; False once the take is as long as one may be."""
        if len(self._frames) >= MAX_FRAMES:
            return False
        seconds = sample.seconds + self._shift
        if seconds < self._latest - OVERTAKEN:
            self._shift += self._latest + FRAME - seconds
            seconds = self._latest + FRAME
        self._latest = max(self._latest, seconds)
        self._frames.setdefault(seconds, sample)
        return True

    def finish(self, name: str) -> MotionClip:
        """The motion, its neutral "auto". Raises :class:`InvalidMotion` when no sample shows a face."""
        times = sorted(self._frames)
        if not times:
            raise InvalidMotion(f"{name}: nothing was recorded", "check the sender, and record again")
        samples = [self._frames[time] for time in times]
        face, head, place, eyes = (
            np.array([getattr(sample, part) is not None for sample in samples])
            for part in ("blendshapes", "head_quat", "head_pos", "gaze")
        )

        def stacked(part: str, missing: Any) -> Any:
            return np.stack([missing if (value := getattr(sample, part)) is None else value for sample in samples])

        blendshapes = stacked("blendshapes", np.zeros(52, np.float32))
        gaze = stacked("gaze", np.zeros((2, 2), np.float32))
        if not eyes.any():
            gaze, eyes = gaze_from_blendshapes(blendshapes), face
        valid = np.stack([face, face & head, face & eyes], axis=1)
        clip = MotionClip(
            time=np.array(times) - times[0], blendshapes=blendshapes, head_quat=stacked("head_quat", np.array([1.0, 0, 0, 0])),
            head_pos=np.where(place[:, None], stacked("head_pos", np.zeros(3)), np.nan), gaze=gaze, valid=valid,
            confidence=valid.astype(float), meta={"source": name, "format": "stream", "neutral": "auto", "timecode": samples[0].timecode},
        )  # fmt: skip
        clip, notes = fill_gaps(clip)
        return clip.but(meta={**clip.meta, "warnings": shown_list(notes)})


def moves_from(neutral: Sample, clip: MotionClip) -> MotionClip:
    """The motion away from a sample that shows a face, whose neutral is "rest" then; see :meth:`MotionClip.relative`."""
    first = Recording()
    first.add(neutral)
    still = first.finish("neutral")
    names = ("blendshapes", "head_quat", "head_pos", "gaze", "valid", "confidence")
    both = {name: np.concatenate([getattr(still, name), getattr(clip, name)]) for name in names}
    moved = clip.but(time=np.concatenate([[clip.time[0] - 1], clip.time]), **both, meta={**clip.meta, "neutral": 0}).relative()
    return moved.but(time=clip.time, **{name: getattr(moved, name)[1:] for name in names})
