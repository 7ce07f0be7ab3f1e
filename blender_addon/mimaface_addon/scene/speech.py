# SPDX-License-Identifier: GPL-3.0-or-later
"""The visemes of speech as pose markers of an action: they move with it in the NLA, and Blender's own tools edit them.

The action also keeps the visemes as they were made into curves, for a marker has a whole frame and a name, and nothing else.
"""

from __future__ import annotations

import json
from dataclasses import astuple, dataclass

import bpy

from ..core.visemes import Placed, followed, placed
from ..protocol.motion import MotionClip
from ..protocol.visemes import viseme_of, visemes_in

TAG = "mimaface_speech"  # of an action: :class:`Speech` as JSON


@dataclass(frozen=True)
class Speech:
    """The speech of an action: first frame and seconds of its sound, and the visemes that its curves were made of."""

    start: int
    seconds: float
    visemes: list[Placed]


def action_of(rig: bpy.types.Object) -> bpy.types.Action | None:
    return rig.animation_data.action if rig.animation_data is not None else None


def of(action: bpy.types.Action | None) -> Speech | None:
    """Returns the speech of an action, None without an import of speech, or where another import has replaced it."""
    if action is None or not action.get(TAG):
        return None
    start, seconds, visemes = json.loads(action[TAG])
    return Speech(start, seconds, [Placed(*item) for item in visemes])


def put(action: bpy.types.Action, motion: MotionClip, start: int, rate: float) -> int:
    """Replace the viseme markers by those of a motion that begins at frame ``start``; return their number."""
    if of(action) is not None:
        for marker in [marker for marker in action.pose_markers if viseme_of(marker.name)]:
            action.pose_markers.remove(marker)
        del action[TAG]
    visemes = visemes_in(motion.meta)
    if not visemes:
        return 0
    seconds = float(motion.meta.get("seconds", motion.duration))
    found = placed(visemes, seconds, start, rate)
    for item in found:
        action.pose_markers.new(item.name).frame = item.frame
    keep(action, Speech(start, seconds, found))
    return len(found)


def keep(action: bpy.types.Action, speech: Speech) -> None:
    """Store the speech that the curves of an action are made of."""
    action[TAG] = json.dumps([speech.start, speech.seconds, [astuple(item) for item in speech.visemes]])


def edited(action: bpy.types.Action, speech: Speech, rate: float) -> tuple[Speech, list[str]]:
    """Returns the speech of an action's markers as they are now, and the names of markers that are no visemes."""
    markers = [(marker.name, marker.frame) for marker in action.pose_markers]
    visemes = followed(speech.visemes, [marker for marker in markers if viseme_of(marker[0])])
    start = min([speech.start, *(item.frame for item in visemes)])
    seconds = speech.seconds + (speech.start - start) / rate
    if visemes:
        seconds = max(seconds, (visemes[-1].time + 1 - start) / rate)
    return Speech(start, seconds, visemes), [name for name, _ in markers if not viseme_of(name)]
