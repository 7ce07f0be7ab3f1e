"""What drives a portrait and what becomes of it: a video with its sound, how takes are read, every fourth frame, a picture's warnings."""

from __future__ import annotations

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "blender_addon"))
import bpy
import mathutils
import numpy as np

import drive


def curves() -> dict[str, list[float]]:
    """Key values of the mocap layer by channel."""
    action = bpy.context.scene.mimaface.rig.animation_data.action
    if hasattr(action, "layers"):
        found = [curve for layer in action.layers for strip in layer.strips for bag in strip.channelbags for curve in bag.fcurves]
    else:
        found = action.fcurves
    return {
        curve.data_path.strip('[]"').removeprefix("mocap_"): [point.co[1] for point in curve.keyframe_points]
        for curve in found
        if "mocap_" in curve.data_path
    }


def strips(kind: str) -> list:
    editor = bpy.context.scene.sequence_editor
    return [strip for strip in drive.part("scene.compat").all_strips(editor) if strip.type == kind] if editor else []


def span(values: list[float]) -> float:
    return max(values) - min(values)


def video() -> dict:
    settings, path = bpy.context.scene.mimaface, drive.WORK / "driver.mp4"
    drive.import_motion(path)
    said = {"notice": drive.part("session").session().notice, "moves": span(curves()["x"]), "turns": span(curves()["yaw"])}
    settings.position = 0.0
    drive.import_motion(path)
    said["position 0"] = [span(curves()[name]) for name in "xyz"]
    settings.position, settings.gain = 1.0, 0.0
    drive.import_motion(path)
    said["head 0"] = [span(curves()[name]) for name in ("x", "y", "z", "yaw", "pitch", "roll")]
    settings.gain = 1.0
    begin = drive.part("scene.compat").span_of
    said["sounds"] = [[strip.name, begin(strip)[0], Path(bpy.path.abspath(strip.sound.filepath)).name] for strip in strips("SOUND")]
    return said


def reading() -> dict:
    settings, path = bpy.context.scene.mimaface, drive.WORK / "percent.csv"
    settings.neutral = "rest"
    drive.import_motion(path)
    said = {"percent": max(curves()["jawOpen"]), "notice": drive.part("session").session().notice}
    settings.values = "shares"
    drive.import_motion(path)
    said["shares"] = max(curves()["jawOpen"])
    settings.values, settings.exchange = "auto", "jawOpen=mouthClose"
    drive.import_motion(path)
    said["exchanged"] = [max(curves()[name]) for name in ("jawOpen", "mouthClose")]
    settings.exchange = ""
    drive.import_motion(drive.WORK / "wide.csv")
    said["wide"] = {"jawOpen": max(curves()["jawOpen"]), "channels": len(curves()), "notice": drive.part("session").session().notice}
    settings.flip = {"mouthLeft"}
    wire = drive.part("ui.options").to_wire(settings)
    settings.flip = set()
    return said | {"flip": wire["flip"], "sounds": len(strips("SOUND"))}


def absolute() -> dict:
    """In place of the photograph's own pose; a picture always is; and with a backend that has lost the photograph."""
    settings, runtime, said = bpy.context.scene.mimaface, drive.part("session").session(), {}
    settings.neutral = "none"
    drive.import_motion(drive.WORK / "percent.csv")
    said["take"] = curves()
    settings.neutral = "auto"
    drive.import_motion(drive.WORK / "other.png")
    said["picture"] = curves()
    settings.neutral = "rest"
    drive.import_motion(drive.WORK / "other.png")
    said["added"] = curves()
    runtime.backend.stop()
    drive.pump(lambda: runtime.backend.state == "stopped", what="the backend's end")
    for path in (drive.WORK / "home" / "portraits").iterdir():
        path.unlink()
    settings.neutral = "none"
    drive.import_motion(drive.WORK / "percent.csv")
    settings.neutral = "auto"
    return said | {"healed": curves() == said["take"], "error": runtime.last_error}


def skeleton(names: list[str]) -> bpy.types.Object:
    """A figure that turns trunk, neck and head over a second at 30 frames/s, in a scene of its own; it looks against y."""
    scene = bpy.data.scenes.new("skeleton")
    scene.render.fps, scene.frame_start, scene.frame_end = 30, 1, 31
    rig = bpy.data.objects.new("skeleton", bpy.data.armatures.new("skeleton"))
    scene.collection.objects.link(rig)
    bpy.context.window.scene = scene
    bpy.context.view_layer.objects.active = rig
    bpy.ops.object.mode_set(mode="EDIT")
    places = [(0, 0, 1), (0, 0.02, 1.2), (0, 0.02, 1.5), (0, -0.01, 1.6), (0.2, 0, 1.45), (-0.2, 0, 1.45)]
    for name, place, parent, roll in zip(names, places, (None, 0, 1, 2, 1, 1), (0, 0.7, -0.3, 1.1, 0.2, -0.2)):
        bone = rig.data.edit_bones.new(name)
        bone.head, bone.tail, bone.roll = place, np.add(place, (0.02, 0, 0.1)), roll
        bone.parent = None if parent is None else rig.data.edit_bones[names[parent]]
    bpy.ops.object.mode_set(mode="OBJECT")
    for frame, share in ((1, 0), (31, 1)):
        for name, angles in zip(names[1:4], ((0, 0, 25), (0, 0, 10), (-12, 0, 20))):
            bone = rig.pose.bones[name]
            rest = bone.bone.matrix_local.to_quaternion()
            bone.rotation_quaternion = rest.inverted() @ mathutils.Euler(np.radians(angles) * share).to_quaternion() @ rest
            bone.keyframe_insert("rotation_quaternion", frame=frame)
    return rig


def fbx() -> dict:
    """Files of Blender's own exporter, with bones of other programs' names, other axes and other scales."""
    runtime, shot, said = drive.part("session").session(), bpy.context.scene, {}
    shot.mimaface.neutral = "rest"

    def blocks() -> dict[str, list[str]]:
        lists = [item.identifier for item in bpy.data.bl_rna.properties if item.type == "COLLECTION"]
        return {name: sorted(block.name for block in getattr(bpy.data, name)) for name in lists if name != "actions"}

    kinds = {
        "plain": (["Hips", "Spine2", "Neck", "Head", "LeftArm", "RightArm"], "Y", "-Z", 1, 0),
        "biped": (["Bip01 Pelvis", "Bip01 Spine", "Bip01 Neck", "Bip01 Head", "Bip01 L UpperArm", "Bip01 R UpperArm"], "Z", "X", 100, 0),
        "slanted": (["root", "spine_03", "neck_01", "head", "arm_l", "arm_r"], "Z", "-Y", 0.01, 40),
    }
    for kind, (names, up, forward, scale, turn) in kinds.items():
        rig = skeleton(names)
        rig.scale, rig.rotation_euler = (scale,) * 3, (0, 0, np.radians(turn))
        path = drive.WORK / f"{kind}.fbx"
        bpy.ops.export_scene.fbx(filepath=str(path), axis_up=up, axis_forward=forward, object_types={"ARMATURE"})
        bpy.context.window.scene = shot
        bpy.data.batch_remove([rig, rig.data, rig.users_scene[0]])
        before = blocks()
        drive.import_motion(path)
        found = curves()
        said[kind] = {name: found[name] for name in ("yaw", "pitch", "roll", "jawOpen")} | {"clean": blocks() == before, "notice": runtime.notice}
    shot.mimaface.swap = True
    drive.import_motion(path)
    said["swapped"] = [curves()[name][-1] for name in ("yaw", "pitch")]
    shot.mimaface.swap = False
    for name, content in (("damaged.fbx", path.read_bytes()[:3000]), ("other.fbx", b"no FBX")):
        (drive.WORK / name).write_bytes(content)
        try:
            bpy.ops.mimaface.import_motion(filepath=str(drive.WORK / name))
        except RuntimeError as error:
            said[name] = str(error)
    shot.mimaface.neutral = "auto"
    return said | {"rate": shot.render.fps, "scene": bpy.context.scene == shot, "after": blocks() == before}


def posing() -> dict:
    """Photographs as poses at the current frame, one after the other; what is keyed elsewhere stays."""
    scene, runtime = bpy.context.scene, drive.part("session").session()
    drive.import_motion(drive.WORK / "other.png")
    whole = {name: values[0] for name, values in curves().items()}
    drive.import_motion(drive.WORK / "percent.csv")
    before = curves()
    said = {"whole": whole, "length": len(before["jawOpen"])}
    for frame in (40, 60):
        scene.frame_set(frame)
        assert bpy.ops.mimaface.pose_from_photo(filepath=str(drive.WORK / "other.png")) == {"FINISHED"}, runtime.last_error
        drive.pump(lambda: not runtime.busy, what="pose from photo")
    said |= {"notice": runtime.notice, "after": {name: values[-1] for name, values in curves().items()}}
    said |= {"counts": sorted({len(values) for values in curves().values()}), "kept": all(curves()[name][:-2] == before[name] for name in before)}
    try:
        bpy.ops.mimaface.pose_from_photo(filepath=str(drive.WORK / "percent.csv"))
    except RuntimeError as error:
        said["refused"] = str(error)
    scene.frame_set(1)
    return said


def steps() -> dict:
    scene = bpy.context.scene
    scene.frame_start, scene.frame_end, scene.frame_step = 1, 9, 4
    take = drive.generate(name="steps")
    (strip,) = strips("IMAGE")
    said = {
        "frames": take.frames, "rate": drive.part("core.delivery").read_manifest(drive.part("scene.takes").take_folder(take))["rate"],
        "elements": [element.filename for element in strip.elements], "length": int(np.diff(drive.part("scene.compat").span_of(strip))[0]),
    }  # fmt: skip
    scene.mimaface.takes.clear()
    drive.part("scene.strips").remove(scene, [strip])
    drive.part("session").session().removed.clear()
    drive.part("scene.saving").adopt_all()
    said["adopted"] = [len(strip.elements) for strip in strips("IMAGE")]
    return said


def speech() -> dict:
    """A sound, and the times of its phones with the sound beside them, at the scene's rate."""
    session, settings = drive.part("session").session(), bpy.context.scene.mimaface
    assert "*.wav" in bpy.ops.mimaface.import_motion.get_rna_type().properties["filter_glob"].default
    settings.neutral = "auto"
    drive.import_motion(drive.WORK / "voice.ogg")
    said = {"notice": session.notice, "jaw": curves()["jawOpen"], "pitch": span(curves()["pitch"])}
    settings.accents = 0
    drive.import_motion(drive.WORK / "voice.TextGrid")
    said |= {"phones": session.notice, "still": span(curves()["pitch"]), "close": curves()["mouthClose"]}
    settings.accents = 1
    return said | {"sounds": [Path(bpy.path.abspath(strip.sound.filepath)).name for strip in strips("SOUND")]}


def visemes() -> dict:
    """Pose markers of speech are renamed, moved and deleted; the mouth follows, and nothing else."""
    scene, runtime = bpy.context.scene, drive.part("session").session()

    def markers() -> list:
        return [[marker.name, marker.frame] for marker in scene.mimaface.rig.animation_data.action.pose_markers]

    def update() -> dict[str, list[float]]:
        assert bpy.ops.mimaface.update_from_markers() == {"FINISHED"}, runtime.last_error
        drive.pump(lambda: not runtime.busy, what="update from markers")
        return curves()

    def differ(first: dict, second: dict) -> float:
        return max(max(abs(a - b) for a, b in zip(first[name], second[name])) for name in first)

    drive.import_motion(drive.WORK / "voice.TextGrid")
    made, said = curves(), {"notice": runtime.notice, "markers": markers(), "counts": [len(values) for values in curves().values()]}
    action = scene.mimaface.rig.animation_data.action
    action.pose_markers.new("look here").frame = 5
    said |= {"same": differ(made, update()), "other": runtime.notice}
    bpy.ops.ed.undo_push(message="before")
    lips = next(marker for marker in action.pose_markers if marker.name == "PP")
    lips.name = "aa"
    opened = update()
    said["closed"] = [max(made["mouthClose"]), max(opened["mouthClose"])]
    said["head"] = max(abs(a - b) for name in ("pitch", "yaw", "eyeBlinkLeft", "browInnerUp") for a, b in zip(made[name], opened[name]))
    bpy.ops.ed.undo()
    bpy.ops.ed.undo()
    said["undone"] = [differ(made, curves()), markers() == said["markers"] + [["look here", 5]]]
    scene = bpy.context.scene
    action = scene.mimaface.rig.animation_data.action
    first = next(marker for marker in action.pose_markers if marker.name == "aa")
    first.frame -= 6  # a quarter of a second earlier
    scene.mimaface.delay = 0.5
    late = update()
    said["starts"] = [int(np.flatnonzero(np.array(values["jawOpen"]) > 0.1)[0]) for values in (made, late)]
    scene.mimaface.delay = 0.0
    bpy.ops.wm.save_mainfile()
    bpy.ops.wm.open_mainfile(filepath=bpy.data.filepath)
    scene = bpy.context.scene
    drive.pump(lambda: not runtime.reconcile_due, what="opening")
    action = scene.mimaface.rig.animation_data.action
    for marker in [marker for marker in action.pose_markers if marker.name in ("aa", "PP")]:
        action.pose_markers.remove(marker)
    short = update()
    said["deleted"] = [max(short["mouthClose"]), max(short["mouthStretchLeft"])]
    for marker in list(action.pose_markers):
        action.pose_markers.remove(marker)
    said["none"] = refusal()
    drive.import_motion(drive.WORK / "percent.csv")
    return said | {"after": markers(), "no speech": refusal()}


def refusal() -> str:
    try:
        bpy.ops.mimaface.update_from_markers()
    except RuntimeError as error:
        return str(error)
    return ""


def watching() -> dict:
    """A video is counted while it is read, and can be cancelled: nothing changes, and the next one is read."""
    runtime, path = drive.part("session").session(), drive.WORK / "driver.mp4"
    before, heard = curves(), []
    assert bpy.ops.mimaface.import_motion(filepath=str(path)) == {"FINISHED"}
    drive.pump(lambda: heard.append(runtime.busy) or runtime.requests.activities[0].stage == "following", what="the second stage")
    heard.append(runtime.busy)
    request = runtime.requests.waiting[0].future
    bpy.ops.mimaface.cancel_request(number=runtime.requests.activities[0].number)
    said = {"heard": list(dict.fromkeys(heard)), "busy": runtime.busy, "notice": runtime.notice, "error": runtime.last_error}
    said |= {"given up": request.cancelled(), "same curves": curves() == before}
    bpy.ops.mimaface.cancel_request(number=1)  # of an activity that has ended
    drive.import_motion(path)
    return said | {"afterwards": runtime.notice}


def main() -> dict:
    bpy.ops.wm.read_factory_settings(use_empty=True)
    drive.enable()
    bpy.ops.wm.save_as_mainfile(filepath=str(drive.WORK / "shot.blend"))
    scene = bpy.context.scene
    scene.mimaface.engine, scene.mimaface.size = "proxy", 64
    scene.render.fps, scene.render.fps_base, scene.frame_end = 24, 1, 5
    drive.load_portrait(drive.WORK / "two_pages.tif")
    said = {"version": bpy.app.version_string, "portrait": drive.part("session").session().notice}
    wanted = os.environ.get("MIMAFACE_CASES", "").split()
    cases = (video, reading, watching, absolute, fbx, posing, steps, speech, visemes)
    said |= {case.__name__: case() for case in cases if not wanted or case.__name__ in wanted}
    drive.part("session").session().backend.stop()
    return said


drive.run(main)
