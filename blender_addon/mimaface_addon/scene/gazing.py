# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the eyes look: at a target that is free in the head or in the world, at a handle for each eye beside it, or into the camera.

The target hangs on the head by a constraint, less of it as ``gaze_world`` grows. A hidden bone for each eye sees, from inside the head, its
handle's place, or as ``gaze_camera`` grows that of the camera which took the photograph; drivers read these bones.
"""

from __future__ import annotations

from typing import Any, cast

import bpy
import numpy as np
from mathutils import Vector

from ..core.words import n_
from . import compat, handles

GAZE, HEAD = "gaze_target", "head"
SIDES = {"left": ".L", "right": ".R"}  # eye → suffix of its bones
EYE, SEEN, CAMERA = "gaze", "seen", "camera"  # prefixes of an eye's bones: its handle, its target, its target for the camera
DISTANCE = 0.5  # metres from the eyes to the gaze target at rest
REACH = ((-0.7, 0.7), (-0.7, 0.7), (-0.4, 4.0))  # metres along x, y, z that the gaze target moves; always before the eyes
EYE_REACH = ((-0.3, 0.3), (-0.3, 0.3), (-0.3, 0.3))  # metres that an eye's handle moves beside it
WORLD, LENS = "gaze_world", "gaze_camera"  # custom properties, 0 to 1
TEXTS = {
    WORLD: n_("How much the gaze target stays where it is when the head moves, 0: it is carried along"),
    LENS: n_("How much the eyes look into the camera that took the photograph, whatever the head does"),
}
RADIUS = 0.009  # metres of the circle of the gaze target
BELOW = 0.02  # metres that an eye's handle is drawn below the eye, clear of the handles of lids
PLACES = ("HEAD", "WORLD", "CAMERA")


def bones() -> list[str]:
    """Returns the names of each eye's own handle."""
    return [EYE + side for side in SIDES.values()]


def hidden() -> list[str]:
    """Returns the names of the hidden bones, which only compute."""
    return [name + side for name in (SEEN, CAMERA) for side in SIDES.values()]


def has(rig: bpy.types.Object) -> bool:
    """Whether a rig has these bones; rigs of earlier versions only have a target in the head."""
    return SEEN + ".L" in rig.pose.bones


def source(rig: bpy.types.Object, eye: str) -> str:
    """Returns the name of the bone whose location turns an eye."""
    return SEEN + SIDES[eye] if has(rig) else GAZE


def shape(rig: bpy.types.Object, ball: bpy.types.Object) -> None:
    for name in bones():
        bone = rig.pose.bones[name]
        bone.custom_shape = ball
        bone.use_custom_shape_bone_size = False
        bone.custom_shape_scale_xyz = (handles.RADIUS * 0.7,) * 3
        bone.custom_shape_translation = (0, -BELOW, 0)
    compat.hide_bones(rig, hidden())


def constrain(rig: bpy.types.Object) -> None:
    """Add the constraints of the target and of the hidden bones."""
    handles.limit(rig, GAZE, REACH)
    for name in bones():
        handles.limit(rig, name, EYE_REACH)
    hang = cast(Any, rig.pose.bones[GAZE].constraints.new("ARMATURE"))
    hang.name = "In the head"
    target = hang.targets.new()
    target.target, target.subtarget = rig, HEAD
    _influence(rig, hang, WORLD, "1-a")
    for side in SIDES.values():
        for name, influence in ((EYE, ""), (CAMERA, LENS)):
            copy = cast(Any, rig.pose.bones[SEEN + side].constraints.new("COPY_LOCATION"))
            copy.name, copy.target, copy.subtarget = name, rig, name + side
            if influence:
                _influence(rig, copy, influence, "a")


def _influence(rig: bpy.types.Object, constraint: bpy.types.Constraint, name: str, expression: str) -> None:
    driver = constraint.driver_add("influence").driver
    driver.type, driver.expression = "SCRIPTED", expression
    variable = driver.variables.new()
    variable.name = "a"
    variable.targets[0].id = rig
    variable.targets[0].data_path = f'["{name}"]'


def place_of(rig: bpy.types.Object) -> str:
    """Returns the one of ``PLACES`` with the largest weight."""
    if rig.get(LENS, 0.0) > 0.5:
        return "CAMERA"
    return "WORLD" if rig.get(WORLD, 0.0) > 0.5 else "HEAD"


def put(rig: bpy.types.Object, place: str) -> None:
    """Attach the target to the head or to the world at its current location, or let the eyes look into the camera."""
    rig[LENS] = float(place == "CAMERA")
    if place != "CAMERA" and rig[WORLD] != float(place == "WORLD"):
        target, head = rig.pose.bones[GAZE], rig.pose.bones[HEAD]
        seen = target.matrix.translation.copy()
        rig[WORLD] = float(place == "WORLD")
        if place == "HEAD":
            seen = (head.matrix @ head.bone.matrix_local.inverted()).inverted() @ seen
        target.location = target.bone.matrix_local.inverted() @ seen
    rig.update_tag()


def camera_places(mesh: dict[str, np.ndarray]) -> np.ndarray:
    """Returns (2, 3) metres, head frame: for each eye, the target with which it, added to its own gaze, looks into the camera."""
    centres, rotation = mesh["eye_centres"], mesh["rotation"]
    places = []
    for centre, own in zip(centres, mesh["source_gaze"]):
        there = rotation.T @ -(rotation @ centre + mesh["translation"])  # from the eye, head frame
        x, y, z = there / np.linalg.norm(there)
        yaw, pitch = np.arctan2(x, z) - own[0], np.arcsin(y) - own[1]
        ahead = Vector((np.sin(yaw) * np.cos(pitch), np.sin(pitch), np.cos(yaw) * np.cos(pitch)))
        places.append(rotation @ centre + np.linalg.norm(there) * np.array(ahead))
    return np.array(places)
