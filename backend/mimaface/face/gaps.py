"""Fills frames without a visible face from their neighbours."""

from __future__ import annotations

from typing import Any

import numpy as np

from mimaface.protocol.errors import InvalidMotion
from mimaface.protocol.motion import BRIDGE, MotionClip

# columns of ``valid``, and the arrays without values where they are false
OBSERVED = (("face", ("blendshapes", "expression_bfm")), ("head", ("head_quat", "head_pos")), ("gaze", ("gaze", "gaze_d3dfr")))


def fill_gaps(motion: MotionClip) -> tuple[MotionClip, list[str]]:
    """Returns the motion with frames without a face filled, and a note for each kind of track; ``valid`` does not change.

    Between visible frames as across holes (:func:`mimaface.protocol.motion.way_across`); at the ends the nearest visible frame is held.
    A kind of track without any visible frame stays as it is. Raises :class:`InvalidMotion` when no frame shows a face.
    """
    if not motion.valid[:, 0].any():
        raise InvalidMotion(
            f"none of the {len(motion)} frames of the motion shows a face", "use a take in which the face is seen"
        )
    changes: dict[str, Any] = {}
    lost: dict[tuple[int, ...], str] = {}
    for column, (what, names) in enumerate(OBSERVED):
        seen = motion.valid[:, column]
        if seen.all() or not seen.any():
            continue
        arrays: dict[str, Any] = {}
        for item in (*(name for _, group in OBSERVED for name in group), "time", "valid", "confidence", "landmarks"):
            value = getattr(motion, item)
            arrays[item] = None if value is None else value[seen]
        known = MotionClip(**arrays, meta={"neutral": "rest"}).resampled(motion.time)
        changes.update({name: getattr(known, name) for name in names if getattr(motion, name) is not None})
        lost.setdefault(tuple(np.flatnonzero(~seen)), what)
    notes = []
    for unseen, what in lost.items():
        first = ", ".join(str(frame) for frame in unseen[:5]) + (" …" if len(unseen) > 5 else "")
        notes.append(
            f"no {what} in {len(unseen)} of {len(motion)} frames ({first}): bridged between their neighbours, "
            f"held where nothing is seen for more than {BRIDGE:g} s"
        )
    return (motion.but(**changes) if changes else motion), notes
