"""What the rig does without a backend: MIMAFACE_HEADS names a folder with NAME.npz, what ``portrait.fit`` answered for NAME.

Each case makes a file of its own and returns what it saw; ``test_rig.py`` says what is right.
"""

from __future__ import annotations

import math
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "blender_addon"))
import bpy
import mathutils
import numpy as np

import drive

HEADS = Path(os.environ["MIMAFACE_HEADS"])


def scene_with(*names: str, empty: bool = True):
    bpy.ops.wm.read_factory_settings(use_empty=empty)
    drive.enable()
    return bpy.context.scene, [portrait(name) for name in names]


def portrait(name: str, posing: bool = False):
    """A rig, as it is born with ``posing``; else in Object Mode with the mesh head shown."""
    mesh = dict(np.load(HEADS / f"{name}.npz"))
    reply = {"portrait": f"id-{name}", "width": int(mesh["size"][0]), "height": int(mesh["size"][1])}
    rig = drive.part("scene.portraits").build(bpy.context, bpy.context.scene, f"/photos/{name}.jpg", reply, mesh)
    if not posing:
        bpy.ops.object.mode_set(mode="OBJECT")
        bpy.ops.mimaface.mesh_head()
    return rig


def select(item) -> None:
    for other in bpy.context.selected_objects:
        other.select_set(False)
    item.select_set(True)
    bpy.context.view_layer.objects.active = item


def posed(rig):
    bpy.context.view_layer.update()
    return rig.evaluated_get(bpy.context.evaluated_depsgraph_get())


def set_slider(rig, name: str, value: float) -> None:
    rig[name] = value
    rig.update_tag()


def motion_of(rig, first: int = 1, last: int = 3):
    return drive.part("scene.bake").scene_to_motion(bpy.context, rig, range(first, last + 1))


def blendshape_of(motion, name: str) -> list[float]:
    return motion.blendshapes[:, drive.part("protocol.arkit").BLENDSHAPE_INDEX[name]].tolist()


def part(rig, kind: str):
    return next(item for item in rig.children if kind in item.name)


def eyes() -> dict:
    _, (rig,) = scene_with("collins")
    ball = next(item for item in rig.children if item.name.endswith("Eye left"))
    before = posed(ball).rotation_euler.z
    set_slider(rig, "eyeLookOutLeft", 1.0)
    set_slider(rig, "eyeLookInRight", 1.0)
    set_slider(rig, "gaze_left_pitch", 0.1)
    turned = posed(ball).rotation_euler.z - before
    gaze = motion_of(rig).gaze[0]
    return {"ball": math.degrees(turned), "gaze": np.degrees(gaze).tolist()}


def gaze() -> dict:
    """Where the eyes look with the target in the head, in the world and in the camera, before and after the head has turned; and each alone."""
    _, (rig,) = scene_with("collins")
    select(rig)
    bones = rig.pose.bones
    turned = mathutils.Quaternion((0, 1, 0), 0.35)  # of the head, to its left
    bones["gaze_target"].location = (0.1, 0.05, 0.1)

    def looks(name: str) -> None:
        bpy.context.view_layer.update()
        seen[name] = motion_of(rig).gaze[0].tolist(), list(bones["gaze_target"].matrix.translation)

    seen, rests = {}, {name: list(bones[name].bone.matrix_local.translation) for name in ("seen.L", "seen.R", "gaze_target", "head")}
    looks("head")
    bones["head"].rotation_quaternion = turned
    looks("head turned")
    bpy.ops.mimaface.gaze(place="WORLD")
    looks("world")
    bones["head"].rotation_quaternion = (1, 0, 0, 0)
    looks("world turned back")
    bpy.ops.mimaface.gaze(place="HEAD")
    looks("head again")
    bpy.ops.mimaface.gaze(place="CAMERA")
    looks("camera")
    bones["head"].rotation_quaternion = turned
    looks("camera turned")
    bpy.ops.mimaface.gaze(place="HEAD")
    bones["gaze_target"].location = (0, 0, 0)
    bones["gaze.L"].location = (0.1, 0, 0)
    looks("left alone")
    bpy.ops.object.mode_set(mode="OBJECT")
    bpy.ops.object.duplicate()
    copy = bpy.context.view_layer.objects.active
    targets = [item.target for bone in copy.pose.bones for item in bone.constraints if hasattr(item, "target")]
    targets += [target.target for bone in copy.pose.bones for item in bone.constraints for target in getattr(item, "targets", ())]
    return {"seen": seen, "rests": rests, "copy": [len(targets), all(target == copy for target in targets)]}


def riding() -> dict:
    """Where the shapes of handles are drawn when sliders and the head move the face, and what they look like."""
    _, (rig,) = scene_with("collins")
    handles = drive.part("scene.handles").HANDLES

    def drawn() -> dict:
        out = posed(rig)
        return {name: list(out.pose.bones[name].custom_shape_transform.matrix.translation) for name in handles}

    said = {"rest": drawn(), "own": {name: list(rig.pose.bones[name].head) for name in handles}}
    set_slider(rig, "jawOpen", 1.0)
    said["open"] = drawn()
    rig.pose.bones["head"].rotation_quaternion = mathutils.Quaternion((0, 1, 0), 0.35)
    said["turned"] = drawn()
    said["shapes"] = {name: rig.pose.bones[name].custom_shape.name for name in handles}
    hidden = [bone.name for bone in rig.pose.bones if (bone.hide if hasattr(bone, "hide") else bone.bone.hide)]
    return said | {"hidden": sorted(hidden), "invalid": sum(not curve.driver.is_valid for curve in rig.animation_data.drivers)}


def born() -> dict:
    """What stands where, and what is evaluated, when a portrait has just been added."""
    scene, _ = scene_with()
    scene.cursor.location = (3.0, 2.0, 1.0)
    rig = portrait("hopper", posing=True)
    bpy.context.view_layer.update()
    portraits = drive.part("scene.portraits")
    corners = portraits.corners(portraits.part_of(rig, "photo")[0])
    evaluated = [item.name for item in bpy.context.evaluated_depsgraph_get().objects]
    places = {bone.name: list(rig.matrix_world @ bone.head) for bone in rig.pose.bones}
    head = rig.pose.bones["head"]
    arrows = [list(rig.matrix_world @ head.matrix @ (corner.co * head.custom_shape_scale_xyz[0])) for corner in head.custom_shape.data.vertices]
    before = motion_of(rig).blendshapes.tolist()
    bpy.ops.mimaface.mesh_head()
    shown = [item.name for item in bpy.context.evaluated_depsgraph_get().objects]
    return {
        "mode": bpy.context.mode, "corners": [list(corner) for corner in corners], "places": places, "evaluated": evaluated, "shown": shown,
        "colours": {bone.name: bone.color.palette for bone in rig.pose.bones}, "radius": rig.pose.bones["jaw"].custom_shape_scale_xyz[0],
        "arrows": arrows, "rest": np.abs(before).max(), "scale": list(rig.scale),
    }  # fmt: skip


def limits() -> dict:
    _, (rig,) = scene_with("collins")
    rig.pose.bones["jaw"].location = (0.0, -0.09, 0.5)
    set_slider(rig, "jawOpen", 2.0)
    rig.pose.bones["mouth.L"].location = (0.0, 0.0075, 0.4)
    rig.pose.bones["gaze_target"].location = (3.0, 0.0, -3.0)
    out = posed(rig)
    motion = motion_of(rig)
    jaw = out.pose.bones["jaw"]
    return {
        "jaw": blendshape_of(motion, "jawOpen")[0], "forward": out["out_jawForward"], "smile": out["out_mouthSmileLeft"],
        "gaze": motion.gaze[0, 0].tolist(), "place": list(jaw.matrix.translation - jaw.bone.matrix_local.translation),
    }  # fmt: skip


def mouth() -> dict:
    """mouthClose at 1 on a portrait whose lips are parted, then with its jaw open, too; and the jaw as far back as it goes."""
    _, (rig,) = scene_with("collins")
    head = part(rig, "Head")
    seen = {}
    for name, values in (("alone", {"mouthClose": 1.0}), ("open", {"jawOpen": 0.4}), ("back", {"jawOpen": -1.0, "mouthClose": 0.0})):
        for blendshape, value in values.items():
            set_slider(rig, blendshape, value)
        keys = posed(head).data.shape_keys.key_blocks
        seen[name] = {item: keys[item].value for item in drive.part("protocol.arkit").BLENDSHAPE_NAMES}
    return seen | {"invalid": sum(not curve.driver.is_valid for curve in head.data.shape_keys.animation_data.drivers)}


def hidden() -> dict:
    _, (rig,) = scene_with("collins")
    drive.key(rig, "jawOpen", {1: 0.0, 3: 1.0})
    layer = bpy.context.view_layer.layer_collection.children[0]
    seen = {}

    def note(name: str) -> None:
        seen[name] = blendshape_of(motion_of(rig), "jawOpen")

    layer.exclude = True
    note("excluded")
    layer.exclude = False
    layer.collection.hide_viewport = True
    note("collection's monitor off")
    layer.collection.hide_viewport = False
    rig.hide_viewport = True
    note("monitor off")
    seen["still off"] = rig.hide_viewport
    rig.hide_viewport = False
    rig.hide_set(True)
    note("eye closed")
    rig.hide_set(False)
    said = {}
    for name, change in (("rest", lambda: setattr(rig.data, "pose_position", "REST")), ("edit", lambda: bpy.ops.object.mode_set(mode="EDIT"))):
        select(rig)
        change()
        try:
            motion_of(rig)
        except Exception as error:
            said[name] = str(error)
        rig.data.pose_position = "POSE"
        bpy.ops.object.mode_set(mode="OBJECT")
    return {"seen": seen, "said": said, "scenes": len(bpy.data.scenes)}


def unkeyed() -> dict:
    scene, (rig,) = scene_with("collins")
    drive.key(rig, "jawOpen", {1: 0.2})
    bone = rig.pose.bones["head"]
    bone.keyframe_insert("rotation_quaternion", frame=1)
    set_slider(rig, "jawOpen", 0.9)
    bone.rotation_quaternion = (0.9, 0.1, 0.0, 0.0)
    motion = motion_of(rig)
    return {"slider": rig["jawOpen"], "bone": bone.rotation_quaternion[1], "made": blendshape_of(motion, "jawOpen"), "frame": scene.frame_current}


def ranges() -> dict:
    scene, _ = scene_with()
    frames = drive.part("scene.bake").shot_frames
    scene.frame_start, scene.frame_end = 1, 9
    whole = list(frames(scene))
    scene.frame_step = 4
    stepped = list(frames(scene))
    scene.use_preview_range, scene.frame_preview_start, scene.frame_preview_end = True, 3, 5
    scene.frame_step = 1
    return {"whole": whole, "stepped": stepped, "preview": list(frames(scene))}


def curves_of(item) -> dict[str, str]:
    """Path → group of every curve of an object's action."""
    data = item.animation_data
    if hasattr(data.action, "layers") and data.action.layers:
        found = data.action.layers[0].strips[0].channelbag(data.action_slot).fcurves
    else:
        found = data.action.fcurves
    return {curve.data_path: curve.group.name if curve.group else "" for curve in found}


def clip(seconds: float = 1.0, rate: float = 30.0):
    MotionClip = drive.part("protocol.motion").MotionClip
    count = int(seconds * rate) + 1
    motion = MotionClip.at_rest(np.arange(count) / rate, source="test")
    ramp = np.linspace(0, 1, count)
    blendshapes = motion.blendshapes.copy()
    blendshapes[:, drive.part("protocol.arkit").BLENDSHAPE_INDEX["jawOpen"]] = 0.5 * ramp
    half = 0.15 * ramp  # 0.3 radians of yaw at the end
    turned = np.stack([np.cos(half), 0 * half, np.sin(half), 0 * half], axis=1)
    return motion.but(blendshapes=blendshapes, head_quat=turned, head_pos=np.stack([0.05 * ramp, 0.02 * ramp, -0.1 * ramp], axis=1))


def imported() -> dict:
    scene, (rig,) = scene_with("collins")
    scene.render.fps, scene.render.fps_base = 24, 1
    drive.key(rig, "jawOpen", {1: 0.0, 25: 0.25})
    made = drive.part("scene.bake").motion_to_curves(scene, rig, clip(), "take", 1)
    back = motion_of(rig, 1, 25)
    set_slider(rig, "mocap_influence", 0.0)
    without = motion_of(rig, 25, 25)
    curves = curves_of(rig)
    return {
        "made": [made.keys, made.channels, made.last], "place": back.head_pos[-1].tolist(), "middle": back.head_pos[12].tolist(),
        "jaw": blendshape_of(back, "jawOpen")[-1], "quat": back.head_quat[-1].tolist(), "influence 0": without.head_pos[-1].tolist(),
        "groups": sorted({group for path, group in curves.items() if path.startswith('["mocap_')}), "curves": len(curves),
    }  # fmt: skip


def linked() -> dict:
    scene, (rig,) = scene_with("collins")
    drive.key(rig, "jawOpen", {1: 0.0, 10: 0.5})
    asset, shot = str(drive.WORK / "asset.blend"), str(drive.WORK / "shot.blend")
    bpy.ops.wm.save_as_mainfile(filepath=asset)
    bpy.ops.wm.read_factory_settings(use_empty=True)
    drive.enable()
    with bpy.data.libraries.load(asset, link=True) as (source, target):
        target.collections = [name for name in source.collections if name.endswith("portrait")]
    scene, said = bpy.context.scene, {}
    scene.collection.children.link(target.collections[0])
    bpy.ops.wm.save_as_mainfile(filepath=shot)
    rig = next(item for item in bpy.data.objects if item.get("mimaface"))
    select(rig)
    said["linked"] = refusal(lambda: drive.part("ui.operators.motion").writable_rig(bpy.context))
    target.collections[0].override_hierarchy_create(scene, bpy.context.view_layer)
    over = next(item for item in bpy.data.objects if item.get("mimaface") and item.override_library)
    select(over)
    said["system"] = refusal(lambda: drive.part("ui.operators.motion").writable_rig(bpy.context))
    over.override_library.is_system_override = False
    head = next(item for item in over.children if item.name.startswith(rig.name + " Head"))
    current = drive.part("scene.portraits").current
    found = current(bpy.context) == over
    select(head)
    by_head = current(bpy.context) == over
    drive.part("scene.bake").motion_to_curves(scene, over, clip(), "take", 1)
    keyed = over.keyframe_insert('["mouthSmileLeft"]', frame=1)
    over["browInnerUp"] = 0.4
    before = len(curves_of(over))
    motion = motion_of(over, 1, 25)
    bpy.ops.wm.save_mainfile()
    bpy.ops.wm.open_mainfile(filepath=shot)
    over = next(item for item in bpy.data.objects if item.get("mimaface") and item.override_library)
    after = curves_of(over)
    again = motion_of(over, 1, 25)
    return {
        "said": said, "current": [found, by_head], "keyed": keyed, "before": before, "after": len(after), "own": '["jawOpen"]' in after,
        "place": motion.head_pos[-1].tolist(), "place again": again.head_pos[-1].tolist(), "slider": over["browInnerUp"],
    }  # fmt: skip


def refusal(action) -> str:
    try:
        action()
    except Exception as error:
        return str(error)
    return ""


def two() -> dict:
    scene, (first, second) = scene_with("collins", "hopper")
    portraits, found = drive.part("scene.portraits"), {}

    def note(name: str) -> None:
        item = portraits.current(bpy.context)
        found[name] = [item.name, portraits.photo_name(item)] if item else None

    note("loaded last")
    for item in (first, part(first, "Head"), part(first, "photo"), second):
        select(item)
        note(f"selected {item.name}")
    scene.mimaface.rig = first
    note("chosen in the panel")
    bpy.ops.mimaface.pin()
    note("unpinned")
    select(first)
    bpy.ops.mimaface.pin()
    select(second)
    note("pinned")
    camera = bpy.data.objects.new("Camera", bpy.data.cameras.new("Camera"))
    scene.collection.objects.link(camera)
    scene.mimaface.rig = camera
    select(camera)
    refused = refusal(lambda: drive.part("ui.operators.base").current_rig(bpy.context))
    select(second)
    note("selected, with a camera in the field")
    bpy.data.objects.remove(first)
    bpy.data.objects.remove(second)
    bpy.context.view_layer.update()
    none = refusal(lambda: drive.part("ui.operators.base").current_rig(bpy.context))
    return {"found": found, "camera": refused, "none": none}


def birth() -> dict:
    scene, _ = scene_with(empty=False)
    first = portrait("collins")
    bpy.context.view_layer.update()
    second = portrait("hopper")
    third_at = scene.cursor.location = (50.0, 0.0, 0.0)
    third = portrait("collins")
    other = bpy.data.scenes.new("Other")
    elsewhere = drive.part("scene.portraits").build(
        bpy.context, other, "/photos/elsewhere.jpg", {"portrait": "id", "width": 4, "height": 4}, dict(np.load(HEADS / "collins.npz"))
    )
    image = part(first, "photo").data
    corner = {
        name: list(drive.part("scene.portraits").corners(part(rig, "photo"))[0])
        for name, rig in (("first", first), ("second", second), ("third", third))
    }
    return corner | {
        "cursor": list(third_at),
        "collection": first.users_collection[0].name, "together": sorted(item.users_collection[0].name for item in (first, *first.children)),
        "scenes": [scene.name for scene in elsewhere.users_scene], "pointer": other.mimaface.rig == elsewhere,
        "size": list(image.size), "packed": image.packed_file is not None, "photo id": first["mimaface_photo_path"],
    }  # fmt: skip


def upright() -> dict:
    _, (rig,) = scene_with("exif_6")
    image = part(rig, "photo").data
    bpy.ops.wm.save_as_mainfile(filepath=str(drive.WORK / "upright.blend"))
    bpy.ops.wm.open_mainfile(filepath=bpy.data.filepath)
    rig = bpy.context.scene.mimaface.rig
    image = part(rig, "photo").data
    texture = next(node for node in part(rig, "Head").data.materials[0].node_tree.nodes if node.type == "TEX_IMAGE").image
    pixels = np.array(image.pixels[:]).reshape(image.size[1], image.size[0], -1)
    np.save(drive.WORK / "upright.npy", np.round(255 * pixels[::-1, :, :3]).astype(np.uint8))
    return {"size": list(image.size), "same": image == texture}


def deleted() -> dict:
    scene, (first, second) = scene_with("collins", "hopper")
    select(second)
    bpy.ops.object.delete()
    bpy.context.view_layer.update()
    left = sorted(item.name for item in scene.objects)
    pointer = scene.mimaface.rig
    current = drive.part("scene.portraits").current(bpy.context)
    select(first)
    bpy.ops.object.duplicate()
    bpy.context.view_layer.update()
    copy = bpy.context.view_layer.objects.active
    head = part(copy, "Head")
    set_slider(copy, "jawOpen", 1.0)
    keys = {}
    for name, item in (("copy", head), ("original", part(first, "Head"))):
        keys[name] = posed(item).data.shape_keys.key_blocks["jawOpen"].value
    parts = len([item for item in copy.children if "mimaface_part" in item]), len([item for item in first.children if "mimaface_part" in item])
    photo = part(first, "photo")
    photo.parent = None
    bpy.data.objects.new("something", None)
    drive.part("scene.parts").tidy()
    kept = "collins photo" in bpy.data.objects
    return {"left": left, "pointer": pointer is None, "current": current.name, "keys": keys, "parts": parts, "photo kept": kept}


def earlier() -> dict:
    """A rig as version 1 made it: no position, eyes that ignore eyeLook, handles without limits."""
    _, (rig,) = scene_with("collins")
    rig["mimaface"] = 1
    rig["jawOpen"] = 0.3
    for name in ("mocap_x", "mocap_y", "mocap_z"):
        del rig[name]
    drivers = rig.animation_data.drivers
    for curve in [curve for curve in drivers if curve.data_path.endswith((".location", ".influence")) or "gaze" in curve.data_path]:
        drivers.remove(curve)
    for bone in rig.pose.bones:
        for constraint in list(bone.constraints):
            bone.constraints.remove(constraint)
    select(rig)
    bpy.ops.object.mode_set(mode="EDIT")
    edited = rig.data.edit_bones
    edited["gaze_target"].parent = edited["head"]
    for bone in [bone for bone in edited if bone.name.startswith(("gaze.", "seen.", "camera.", "face."))]:
        edited.remove(bone)
    bpy.ops.object.mode_set(mode="OBJECT")
    del rig["gaze_world"], rig["gaze_camera"]
    found = drive.part("ui.operators.base").current_rig(bpy.context)
    set_slider(found, "eyeLookUpLeft", 1.0)
    drive.part("scene.bake").motion_to_curves(bpy.context.scene, rig, clip(), "take", 1)
    motion = motion_of(rig, 1, 25)
    said = refusal(lambda: bpy.ops.mimaface.gaze(place="WORLD"))
    bpy.ops.mimaface.reset_face()
    bpy.ops.mimaface.mirror_face()
    return {
        "said": said, "jaw": blendshape_of(motion, "jawOpen")[0], "place": motion.head_pos[-1].tolist(), "gaze": math.degrees(motion.gaze[0, 0, 1]),
        "drivers": len(rig.animation_data.drivers), "invalid": sum(not curve.driver.is_valid for curve in rig.animation_data.drivers),
    }  # fmt: skip


def face() -> dict:
    """The whole pose mirrored, reset, keyed by the button and by Blender's own command with the keying set."""
    scene, (rig,) = scene_with("collins")
    select(rig)
    for name, value in (("mouthSmileLeft", 0.7), ("jawLeft", 0.3), ("jawOpen", 0.5), ("gaze_left_yaw", 0.2), ("gaze_left_pitch", 0.1)):
        set_slider(rig, name, value)
    bones = rig.pose.bones
    bones["brow.L"].location = (0, 0.006, 0)
    bones["jaw"].location = (0.01, -0.015, 0)
    bones["head"].rotation_quaternion = mathutils.Euler((0.1, 0.2, 0.3)).to_quaternion()
    before = motion_of(rig, 1, 1)
    bpy.ops.mimaface.mirror_face()
    after = motion_of(rig, 1, 1)
    said = {"blendshapes": [before.blendshapes[0].tolist(), after.blendshapes[0].tolist()], "gaze": [before.gaze[0].tolist(), after.gaze[0].tolist()]}
    said["head"] = [clip.head_quat[0].tolist() for clip in (before, after)]
    bpy.ops.mimaface.mirror_face()
    said["twice"] = float(np.abs(motion_of(rig, 1, 1).blendshapes - before.blendshapes).max())
    bpy.ops.mimaface.key_face()
    said["keyed"] = keyed(rig)
    action, before = rig.animation_data.action, motion_of(rig, 1, 1)
    bpy.ops.mimaface.save_pose(name="Smirk")
    said["action is kept"] = rig.animation_data.action == action and motion_of(rig, 1, 1).blendshapes[0].tolist() == before.blendshapes[0].tolist()
    rig.animation_data.action = None
    scene.frame_set(11)
    bpy.ops.mimaface.reset_face()
    pose = bpy.data.actions["Smirk"]
    said["is asset"] = pose.asset_data is not None
    rig.pose.blend_pose_from_action(pose, blend_factor=1.0, evaluation_time=1)  # what the pose library does
    rig.update_tag()
    said["applied"] = float(np.abs(motion_of(rig, 11, 11).blendshapes - before.blendshapes).max())
    bpy.ops.mimaface.reset_face()
    rested = motion_of(rig, 11, 11)
    said["rested"] = [float(np.abs(rested.blendshapes).max()), float(np.abs(rested.gaze).max()), abs(rested.head_quat[0][0])]
    rig.animation_data.action = None
    said["sets"] = [item.bl_label for item in scene.keying_sets_all if "MIMAFace" in item.bl_label]
    window = bpy.context.window_manager.windows[0]
    area = next(area for area in window.screen.areas if area.type == "VIEW_3D")
    with bpy.context.temp_override(window=window, area=area):
        bpy.ops.anim.keyframe_insert_by_name(type="MIMAFACE_KS_portrait")
    said["by set"] = keyed(rig)
    return said


def keyed(rig) -> list[str]:
    """Data paths of the curves in the rig's action, each with its keys, in order."""
    action = rig.animation_data.action
    if hasattr(action, "layers"):
        found = [curve for layer in action.layers for strip in layer.strips for bag in strip.channelbags for curve in bag.fcurves]
    else:
        found = action.fcurves
    return sorted(f"{curve.data_path} {curve.array_index}" for curve in found if len(curve.keyframe_points) == 1)


def main() -> dict:
    cases = (eyes, gaze, riding, born, limits, mouth, hidden, unkeyed, ranges, imported, linked, two, birth, upright, deleted, earlier, face)
    wanted = sys.argv[1:] or [case.__name__ for case in cases]
    return {"version": bpy.app.version_string} | {case.__name__: case() for case in cases if case.__name__ in wanted}


drive.run(main)
