# SPDX-License-Identifier: GPL-3.0-or-later
"""Resets, mirrors and keys the artist's pose of a portrait: sliders, handles, head and gaze.

Blender's own tools for poses know bones only; sliders are properties of the rig.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import bpy
from mathutils import Matrix

from ..protocol.arkit import BLENDSHAPE_NAMES, mirror_name
from . import bake, gazing, handles, rig

BONES = (rig.ROOT, gazing.HEAD, gazing.GAZE, *gazing.bones(), *handles.HANDLES)
TURNING = (rig.ROOT, gazing.HEAD)  # bones that rotate; all others only translate
ACROSS = Matrix.Diagonal((-1, 1, 1, 1))  # mirrors left and right
POSE_FRAME = 1  # frame of the keys in a pose asset
TURNS = {"QUATERNION": "rotation_quaternion", "AXIS_ANGLE": "rotation_axis_angle"}  # all other modes are Euler angles


def sliders(item: bpy.types.Object) -> list[str]:
    """Returns the sliders of a rig; rigs of earlier versions may have fewer."""
    return [name for name in (*BLENDSHAPE_NAMES, *rig.GAZE_CHANNELS) if name in item]


def bones(item: bpy.types.Object) -> list[str]:
    """Returns the bones that the artist poses; rigs of earlier versions have no handle for each eye."""
    return [name for name in BONES if name in item.pose.bones]


def channels(item: bpy.types.Object) -> Iterator[tuple[bpy.types.Object | bpy.types.PoseBone, str, str]]:
    """Yields (owner, property, group of curves) of everything that the artist poses."""
    for name in rig.GAZE_CHANNELS:
        if name in item:
            yield item, f'["{name}"]', "Gaze"
    for group, starts in bake.GROUPS:
        for name in BLENDSHAPE_NAMES:
            if name.startswith(starts) and name in item:
                yield item, f'["{name}"]', group
    for name in gazing.TEXTS:
        if name in item:
            yield item, f'["{name}"]', "Gaze"
    for bone in [item.pose.bones[name] for name in bones(item)]:
        yield bone, "location", bone.name
        if bone.name in TURNING:
            yield bone, TURNS.get(bone.rotation_mode, "rotation_euler"), bone.name


def reset(item: bpy.types.Object) -> None:
    """Reset sliders and handles; the head's rotation stays."""
    for name in sliders(item):
        item[name] = 0.0
    for name in set(bones(item)) - set(TURNING):
        item.pose.bones[name].location = (0, 0, 0)
    item.update_tag()


def key_all(item: bpy.types.Object, frame: float) -> int:
    """Key everything that the artist poses at ``frame``; return the number of channels."""
    found = list(channels(item))
    for owner, path, group in found:
        owner.keyframe_insert(path, frame=frame, group=group)
    return len(found)


def pose_asset(item: bpy.types.Object, name: str) -> bpy.types.Action:
    """Returns a pose asset of the whole pose. Blender's pose library applies sliders in an asset, but does not store them itself."""
    data: Any = item.animation_data or item.animation_data_create()
    before, slot = data.action, getattr(data, "action_slot", None)
    data.action = None
    try:
        key_all(item, POSE_FRAME)
        action: bpy.types.Action = data.action
    finally:
        data.action = before
        if slot is not None:
            data.action_slot = slot
    action.name = name
    action.asset_mark()
    return action


def mirror(item: bpy.types.Object) -> None:
    """Mirror the pose: sliders, handles, head and gaze."""
    values = {name: item[name] for name in sliders(item)}
    for name, value in values.items():
        other, sign = mirrored_slider(name)
        if other in values:
            item[other] = sign * value
    places = {name: item.pose.bones[name].matrix_basis.copy() for name in bones(item)}
    for name, place in places.items():
        item.pose.bones[mirrored_bone(name)].matrix_basis = ACROSS @ place @ ACROSS
    item.update_tag()


def mirrored_slider(name: str) -> tuple[str, int]:
    """Returns the slider that gets this one's value in a mirrored pose, and the sign."""
    if name in rig.GAZE_CHANNELS:
        _, eye, axis = name.split("_")
        return f"gaze_{'right' if eye == 'left' else 'left'}_{axis}", -1 if axis == "yaw" else 1
    return mirror_name(name), 1


def mirrored_bone(name: str) -> str:
    return f"{name[:-1]}{'R' if name.endswith('L') else 'L'}" if name.endswith((".L", ".R")) else name
