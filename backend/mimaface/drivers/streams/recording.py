"""Recording of a stream's samples to a ``MotionClip``."""

from __future__ import annotations

from typing import Any

import numpy as np

from mimaface.face.gaps import fill_gaps
from mimaface.protocol.blendshapes import gaze_from_blendshapes
from mimaface.protocol.errors import InvalidMotion
from mimaface.protocol.motion import MotionClip
from mimaface.protocol.motion_files import MAX_FRAMES
from mimaface.protocol.texts import shown_list

from .base import Sample

# Seconds that timestamps may step back, as packets overtake each other, or ahead of the time that has passed. After a larger step the clock
# was set (midnight, a restarted app, another rate or timecode) and the take continues as much later as has passed. Raised: the part after a
# reset is sorted into the part before it, or a hole as long is between them.
REORDER_SECONDS = 2.0
FRAME = 1 / 60  # seconds, at least, between the frames before and after a clock reset


class Recording:
    """Collects the samples of a take and orders them by the sender's clock."""

    def __init__(self) -> None:
        self._frames: dict[float, Sample] = {}
        self._latest, self._shift, self._arrived = float("-inf"), 0.0, float("nan")

    def __len__(self) -> int:
        return len(self._frames)

    def add(self, sample: Sample) -> bool:
        """Adds a sample; returns False once the take has ``MAX_FRAMES``."""
        if len(self._frames) >= MAX_FRAMES:
            return False
        seconds, waited = sample.seconds + self._shift, sample.arrived - self._arrived  # NaN for the first, or where it is unknown
        ahead = seconds - self._latest
        if ahead < -REORDER_SECONDS or ahead > waited + REORDER_SECONDS:
            later = self._latest + max(FRAME, waited)
            self._shift += later - seconds
            seconds = later
        self._latest, self._arrived = max(self._latest, seconds), sample.arrived
        self._frames.setdefault(seconds, sample)
        return True

    def finish(self, name: str) -> MotionClip:
        """Returns the motion, with neutral "auto". Raises :class:`InvalidMotion` when no sample has a face."""
        times = sorted(self._frames)
        if not times:
            raise InvalidMotion(f"{name}: nothing was recorded", "check the sender, and record again")
        samples = [self._frames[time] for time in times]
        face, head, place, eyes = (
            np.array([getattr(sample, part) is not None for sample in samples])
            for part in ("blendshapes", "head_quat", "head_pos", "gaze")
        )

        def stack_part(part: str, missing: Any) -> Any:
            return np.stack([missing if (value := getattr(sample, part)) is None else value for sample in samples])

        blendshapes = stack_part("blendshapes", np.zeros(52, np.float32))
        gaze = stack_part("gaze", np.zeros((2, 2), np.float32))
        if not eyes.any():
            gaze, eyes = gaze_from_blendshapes(blendshapes), face
        valid = np.stack([face, face & head, face & eyes], axis=1)
        clip = MotionClip(
            time=np.array(times) - times[0], blendshapes=blendshapes, head_quat=stack_part("head_quat", np.array([1.0, 0, 0, 0])),
            head_pos=np.where(place[:, None], stack_part("head_pos", np.zeros(3)), np.nan), gaze=gaze, valid=valid,
            confidence=valid.astype(float), meta={"source": name, "format": "stream", "neutral": "auto", "timecode": samples[0].timecode},
        )  # fmt: skip
        clip, notes = fill_gaps(clip)
        return clip.but(meta={**clip.meta, "warnings": shown_list(notes)})


def moves_from(neutral: Sample, clip: MotionClip) -> MotionClip:
    """Returns ``clip`` relative to a sample with a face, with neutral "rest"; see :meth:`MotionClip.relative`."""
    first = Recording()
    first.add(neutral)
    still = first.finish("neutral")
    names = ("blendshapes", "head_quat", "head_pos", "gaze", "valid", "confidence")
    both = {name: np.concatenate([getattr(still, name), getattr(clip, name)]) for name in names}
    moved = clip.but(time=np.concatenate([[clip.time[0] - 1], clip.time]), **both, meta={**clip.meta, "neutral": 0}).relative()
    return moved.but(time=clip.time, **{name: getattr(moved, name)[1:] for name in names})
