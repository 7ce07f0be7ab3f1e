# SPDX-License-Identifier: GPL-3.0-or-later
"""The portrait rig: an armature with handles, and custom properties that everything else reads.

For each ARKit blendshape there are three properties on the armature object: ``jawOpen`` (keyed by the artist), ``mocap_jawOpen``
(written by imports) and ``out_jawOpen`` = artist + mocap × ``mocap_influence`` + handles, which proxy head and bake read.
Gaze adds up likewise, and eyeLook sliders turn the eyes by the rule of :mod:`.protocol.gaze`.
All bones stand upright, so a bone's own x, y, z are the head frame's: subject's left, up, out of the face.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import bpy
import numpy as np
from mathutils import Matrix, Vector

from ..core.words import n_
from ..protocol.arkit import BLENDSHAPE_NAMES
from ..protocol.blendshapes import LOOKS
from . import compat, gazing, handles
from .gazing import GAZE, HEAD
from .handles import DEFAULT_TRAVEL, HANDLES, MOVES, RADIUS, TRAVEL

VERSION = 2  # of the rig's properties and drivers; local rigs of an earlier version are updated when they are used
PART = "mimaface_part"  # custom property of a rig's parts: head, eyes, photo
IDENTITY = "mimaface_id"  # custom property of a rig; a copied rig has the same until it gets its own parts
ROOT, MOCAP = "root", "head_mocap"
HEAD_CHANNELS = ("mocap_yaw", "mocap_pitch", "mocap_roll")
POSITION_CHANNELS = ("mocap_x", "mocap_y", "mocap_z")
EYES = ("left", "right")
GAZE_CHANNELS = tuple(f"gaze_{eye}_{axis}" for eye in EYES for axis in ("yaw", "pitch"))
ADDED = n_("Added to the portrait's own expression; 1 is all of it, below 0 takes the portrait's away")
CLOSED = n_("Added to the portrait's own expression; 1 is all of it, or closes the lips, whatever parts them, below 0 takes the portrait's away")
LOOK = 0.5  # radians of gaze at which the lids follow fully
LARGEST_GAZE = 1.0  # radians, limit of the summed gaze, as in the renderer. Higher: the iris disappears
AROUND = 0.13  # metres from between the eyes to the head's arrows. Higher: farther outside the face
SIDES = {".L": ("Left", "THEME04"), ".R": ("Right", "THEME01"), "": ("Middle", "THEME09")}  # blue, red and yellow handles


def to_blender(points: np.ndarray) -> np.ndarray:
    """Head frame (x left, y up, z out of the face) → Blender (z up, face toward −y)."""
    return np.stack([points[..., 0], -points[..., 2], points[..., 1]], axis=-1)


HEAD_TO_BLENDER = Matrix(((1, 0, 0), (0, 0, -1), (0, 1, 0)))


def create(
    context: bpy.types.Context, collection: bpy.types.Collection, name: str, places: dict[str, np.ndarray], moves: dict[str, np.ndarray]
) -> bpy.types.Object:
    """Build the rig in ``collection`` of the active scene. In metres, head frame: ``places`` (3,) of its bones; ``moves`` (52, 3): how far
    each whole blendshape moves the face under a handle."""
    armature = bpy.data.armatures.new(name)
    rig = bpy.data.objects.new(name, armature)
    collection.objects.link(rig)
    for item in list(context.view_layer.objects.selected):
        item.select_set(False)
    context.view_layer.objects.active = rig
    rig.select_set(True)
    bpy.ops.object.mode_set(mode="EDIT")
    _add_bones(armature, places)
    bpy.ops.object.mode_set(mode="OBJECT")
    armature.display_type = "STICK"
    _shape_bones(rig)
    _limit_handles(rig)
    _add_properties(rig)
    _add_drivers(rig)
    gazing.constrain(rig)
    for handle in HANDLES:
        handles.ride(rig, handle, moves[handle])
    return rig


def move_handles(context: bpy.types.Context, rig: bpy.types.Object, places: dict[str, np.ndarray]) -> None:
    """Set the rest positions of the bones to ``places`` (3,), metres, head frame; ends in Pose Mode. A hidden rig stays unchanged."""
    if not rig.visible_get():
        return
    context.view_layer.objects.active = rig
    rig.select_set(True)
    bpy.ops.object.mode_set(mode="EDIT")
    for bone in cast(bpy.types.Armature, rig.data).edit_bones:
        place = places.get(bone.name.removeprefix(handles.RIDING))
        if place is not None:
            away = Vector(to_blender(np.asarray(place, float)).tolist()) - bone.head
            bone.head, bone.tail = bone.head + away, bone.tail + away
    bpy.ops.object.mode_set(mode="POSE")


def is_rig(item: bpy.types.Object | None) -> bool:
    """Whether an object is a portrait rig, local, linked or overridden."""
    return item is not None and item.type == "ARMATURE" and "mimaface" in item and HEAD in item.pose.bones


def bring_up_to_date(rig: bpy.types.Object) -> bool:
    """Update a rig of an earlier version; False if it is linked and must be updated in its own file."""
    if rig["mimaface"] >= VERSION:
        return True
    if rig.library is not None or rig.override_library is not None:
        return False
    ours = ('["out_', f'pose.bones["{MOCAP}"]')
    for curve in [curve for curve in rig.animation_data.drivers if curve.data_path.startswith(ours)]:
        rig.animation_data.drivers.remove(curve)
    _limit_handles(rig)
    if not gazing.has(rig):
        handles.limit(rig, GAZE, gazing.REACH)
    _add_properties(rig)
    _add_drivers(rig)
    return True


def _add_bones(armature: bpy.types.Armature, places: dict[str, np.ndarray]) -> None:
    def add(name: str, place: Sequence[float] | np.ndarray, length: float, parent: str | None) -> None:
        bone = armature.edit_bones.new(name)
        bone.head = Vector(to_blender(np.asarray(place, float)).tolist())
        bone.tail = bone.head + Vector((0, 0, length))
        bone.roll = 0.0
        bone.parent = armature.edit_bones[parent] if parent else None
        bone.use_deform = False

    add(ROOT, (0, -0.22, 0), 0.05, None)
    add(MOCAP, (0, 0, 0), 0.04, ROOT)
    add(HEAD, (0, 0, 0), 0.14, MOCAP)
    add(GAZE, places[GAZE], 0.02, None)
    for name in gazing.bones():
        add(name, places[name], 0.012, GAZE)
    for name in gazing.hidden():
        add(name, places[name], 0.012, HEAD if name.startswith(gazing.SEEN) else None)
    for name in HANDLES:
        add(name, places[name], 0.012, HEAD)
        add(handles.RIDING + name, places[name], 0.012, HEAD)


def _shape_bones(rig: bpy.types.Object) -> None:
    for bone in rig.pose.bones:
        bone.rotation_mode = "QUATERNION"
    rig.pose.bones[MOCAP].rotation_mode = "ZXY"
    riding = [handles.RIDING + name for name in HANDLES]
    compat.hide_bones(rig, [MOCAP, *riding])
    ball = handles.ball()
    moved = (*HANDLES, GAZE, *gazing.bones())
    for name in moved:
        bone = rig.pose.bones[name]
        bone.custom_shape = ball if name == GAZE else handles.shape_of(handles.directions_of(name))
        bone.use_custom_shape_bone_size = False
        _scale_shape(bone, gazing.RADIUS if name == GAZE else RADIUS)
        bone.lock_rotation = cast(Any, (True, True, True))
        bone.lock_rotation_w = True
        bone.lock_scale = cast(Any, (True, True, True))
    gazing.shape(rig, ball)
    head = rig.pose.bones[HEAD]
    head.custom_shape = handles.head_shape()
    head.use_custom_shape_bone_size = False
    _scale_shape(head, AROUND)
    for end, (side, colour) in SIDES.items():
        ours = [name for name in (*moved, HEAD) if (name[-2:] if name[-2:] in SIDES else "") == end]
        compat.colour_bones(rig, side, colour, ours)
    collections = (("Head", [ROOT, HEAD]), ("Gaze", [GAZE, *gazing.bones()]), ("Face", list(HANDLES)), ("Mocap", [MOCAP, *riding, *gazing.hidden()]))
    for name, bones in collections:
        compat.bone_collection(cast(bpy.types.Armature, rig.data), name, bones)


def _limit_handles(rig: bpy.types.Object) -> None:
    for name, reach in handles.reaches().items():
        handles.limit(rig, name, reach)


def _scale_shape(bone: bpy.types.PoseBone, size: float) -> None:
    bone.custom_shape_scale_xyz = (size, size, size)


def _add_properties(rig: bpy.types.Object) -> None:
    def add(name: str, low: float, high: float, text: str, value: float = 0.0) -> None:
        rig[name] = rig.get(name, value)
        rig.id_properties_ui(name).update(
            min=low, max=high, soft_min=max(low, 0.0) if low > -2 else low, soft_max=min(high, 1.0), description=text
        )
        rig.property_overridable_library_set(f'["{name}"]', not name.startswith("out_"))

    for name in ("mocap_influence", *(f"out_{blendshape}" for blendshape in BLENDSHAPE_NAMES)):
        rig[name] = rig.get(name, float(name == "mocap_influence"))  # first: most drivers read them, and Blender up to 4.x looks from the start
    for blendshape in BLENDSHAPE_NAMES:
        add(blendshape, -1.0, 2.0, CLOSED if blendshape == "mouthClose" else ADDED)
        add(f"mocap_{blendshape}", -2.0, 2.0, n_("Written by mocap imports"))
        add(f"out_{blendshape}", -1.0, 1.0, n_("Sum of slider, handles and mocap: do not edit"))
    for name in HEAD_CHANNELS:
        add(name, -3.2, 3.2, n_("Head rotation of the mocap layer in radians"))
    for name in POSITION_CHANNELS:
        add(name, -10.0, 10.0, n_("Head position of the mocap layer in metres: to the subject's left, up, towards the viewer"))
    for name in GAZE_CHANNELS:
        add(name, -LARGEST_GAZE, LARGEST_GAZE, n_("Gaze in radians, to the subject's left and up, added to the portrait's own gaze"))
        rig.id_properties_ui(name).update(soft_min=-0.6, soft_max=0.6)
        add(f"mocap_{name}", -LARGEST_GAZE, LARGEST_GAZE, n_("Written by mocap imports"))
        add(f"out_{name}", -LARGEST_GAZE, LARGEST_GAZE, n_("Sum of gaze target, sliders and mocap: do not edit"))
    add("mocap_influence", 0.0, 1.0, n_("How much of the mocap layer is used"), 1.0)
    if gazing.has(rig):
        for name, text in gazing.TEXTS.items():
            add(name, 0.0, 1.0, text)
    rig["mimaface"] = VERSION


def _add_drivers(rig: bpy.types.Object) -> None:
    terms: dict[str, list[tuple[str, str, str]]] = {blendshape: [] for blendshape in BLENDSHAPE_NAMES}
    for bone, axis, direction, blendshapes in MOVES:
        scale = direction / TRAVEL.get(bone, DEFAULT_TRAVEL)
        for blendshape in blendshapes:
            terms[blendshape].append((bone, axis, f"max({scale:.4g}*{{}},0)"))
    for blendshape in BLENDSHAPE_NAMES:
        _sum_driver(rig, blendshape, terms[blendshape])
    for eye in EYES:
        _gaze_driver(rig, eye, "yaw", "X")
        _gaze_driver(rig, eye, "pitch", "Y")
    layer = rig.pose.bones[MOCAP]
    turns = (("mocap_pitch", -1), ("mocap_yaw", 1), ("mocap_roll", -1))
    moves = tuple((name, 1) for name in POSITION_CHANNELS)
    for path, channels in (("rotation_euler", turns), ("location", moves)):
        for index, (name, sign) in enumerate(channels):
            driver = layer.driver_add(path, index).driver
            driver.expression = f"{sign}*a*i"
            _property(driver, rig, "a", name)
            _property(driver, rig, "i", "mocap_influence")


def _sum_driver(rig: bpy.types.Object, blendshape: str, terms: list[tuple[str, str, str]]) -> None:
    driver = rig.driver_add(f'["out_{blendshape}"]').driver
    expression = "a+b*i"
    _property(driver, rig, "a", blendshape)
    _property(driver, rig, "b", f"mocap_{blendshape}")
    _property(driver, rig, "i", "mocap_influence")
    for index, (bone, axis, term) in enumerate(terms):
        _location(driver, rig, f"h{index}", bone, axis)
        expression += "+" + term.format(f"h{index}")
    look = _look_terms(blendshape)
    if look is not None:
        axis, sign = look
        _location(driver, rig, "g", gazing.source(rig, "left" if blendshape.endswith("Left") else "right"), axis)
        expression += f"+min(max({sign}*atan2(g,{gazing.DISTANCE})/{LOOK},0),1)"
    driver.expression = f"min(max({expression},-1),1)"  # the portrait's own blendshape is in [0, 1], so larger values change nothing


def _look_terms(blendshape: str) -> tuple[str, int] | None:
    """Returns the gaze target's axis and direction for an ``eyeLook*`` blendshape, by which lids follow it."""
    if not blendshape.startswith("eyeLook"):
        return None
    left = blendshape.endswith("Left")
    direction = blendshape[len("eyeLook") :].removesuffix("Left").removesuffix("Right")
    if direction in ("Up", "Down"):
        return "Y", 1 if direction == "Up" else -1
    return "X", 1 if (direction == "Out") == left else -1


def _gaze_driver(rig: bpy.types.Object, eye: str, axis: str, component: str) -> None:
    name = f"gaze_{eye}_{axis}"
    driver = rig.driver_add(f'["out_{name}"]').driver
    most, plus, minus = LOOKS[eye, axis]
    for variable, source in (("a", name), ("b", f"mocap_{name}"), ("i", "mocap_influence"), ("p", plus), ("m", minus)):
        _property(driver, rig, variable, source)
    _location(driver, rig, "h", gazing.source(rig, eye), component)
    _location(driver, rig, "d", gazing.source(rig, eye), "Z")
    total = f"a+b*i+{most:.6f}*(p-m)+atan2(h,max({gazing.DISTANCE}+d,0.05))"
    driver.expression = f"min(max({total},-{LARGEST_GAZE}),{LARGEST_GAZE})"


def _property(driver: bpy.types.Driver, rig: bpy.types.Object, variable: str, name: str) -> None:
    driver.type = "SCRIPTED"
    item = driver.variables.new()
    item.name = variable
    item.targets[0].id = rig
    item.targets[0].data_path = f'["{name}"]'


def _location(driver: bpy.types.Driver, rig: bpy.types.Object, variable: str, bone: str, axis: str) -> None:
    item = driver.variables.new()
    item.name = variable
    item.type = "TRANSFORMS"
    target = item.targets[0]
    target.id = rig
    target.bone_target = bone
    target.transform_type = cast(Any, f"LOC_{axis}")
    target.transform_space = "LOCAL_SPACE"


def head_rotation(rig: bpy.types.Object) -> np.ndarray:
    """Returns the rotation (3, 3) of the head from its rest, including mocap, head frame; ``rig``: the evaluated object."""
    bone = rig.pose.bones[HEAD]
    turned = bone.matrix.to_3x3() @ bone.bone.matrix_local.to_3x3().inverted()
    frame = HEAD_TO_BLENDER
    return np.array(frame.transposed() @ turned.normalized() @ frame)


def head_offset(rig: bpy.types.Object) -> np.ndarray:
    """Returns the translation (3,) of the head from its rest, metres, head frame."""
    bone = rig.pose.bones[HEAD]
    moved = bone.matrix.to_translation() - bone.bone.matrix_local.to_translation()
    return np.array(HEAD_TO_BLENDER.transposed() @ moved)
