# SPDX-License-Identifier: GPL-3.0-or-later
"""The visemes of speech as pose markers of an action: they live with it in the NLA, and Blender's own tools edit them.

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
    """What an action speaks: the first frame of its sound, the seconds of that, and the visemes of its curves."""

    start: int
    seconds: float
    visemes: list[Placed]


def action_of(rig: bpy.types.Object) -> bpy.types.Action | None:
    return rig.animation_data.action if rig.animation_data is not None else None


def of(action: bpy.types.Action | None) -> Speech | None:
    """What an action speaks, None where nothing was imported or another motion has taken its place."""
    if action is None or not action.get(TAG):
        return None
    start, seconds, visemes = json.loads(action[TAG])
    return Speech(start, seconds, [Placed(*item) for item in visemes])


def put(action: bpy.types.Action, motion: MotionClip, start: int, rate: float) -> int:
    """Mark the visemes of a motion that begins at frame ``start``, in place of those of the motion before; returns how many."""
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
    """Remember what the curves of an action are made of."""
    action[TAG] = json.dumps([speech.start, speech.seconds, [astuple(item) for item in speech.visemes]])


def edited(action: bpy.types.Action, speech: Speech, rate: float) -> tuple[Speech, list[str]]:
    """What the markers of an action say now, and the names of those that are no visemes."""
    markers = [(marker.name, marker.frame) for marker in action.pose_markers]
    visemes = followed(speech.visemes, [marker for marker in markers if viseme_of(marker[0])])
    start = min([speech.start, *(item.frame for item in visemes)])
    seconds = speech.seconds + (speech.start - start) / rate
    if visemes:
        seconds = max(seconds, (visemes[-1].time + 1 - start) / rate)
    return Speech(start, seconds, visemes), [name for name, _ in markers if not viseme_of(name)]
