"""Portrait → rig → keyframes → CSV → two takes → save → reopen."""

from __future__ import annotations

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "blender_addon"))
import drive


def live(rig) -> dict:
    """What Live asks for and gets without a window: a picture at rest, one of a moved jaw, none for a cube, none when it is off."""
    import bpy
    import numpy as np

    module, previews = drive.part("ui.live"), drive.part("ui.live").live.previews
    scene, steps = bpy.context.scene, []
    engine, scene.mimaface.engine = scene.mimaface.engine, "proxy"

    def picture():
        before = previews.rendered
        drive.pump(lambda: module.tick() and previews.rendered > before and module.tick() and not previews.busy, what="live")
        return module.live.picture.pixels

    still = picture()
    rig["jawOpen"] = 1.0
    rig.update_tag()
    bpy.context.view_layer.update()
    moved, by_hand = picture(), [module.live.by_hand]
    scene.frame_set(2)
    module.tick()
    by_hand.append(module.live.by_hand)
    scene.frame_set(1)
    scene.collection.objects.link(bpy.data.objects.new("something", None))
    bpy.context.view_layer.update()
    module.tick()
    steps.append(previews.busy)
    bpy.context.window_manager.mimaface_live = False
    module.tick()
    steps.append(module.live.picture is not None or previews.busy)
    bpy.context.window_manager.mimaface_live = True
    rig["jawOpen"], scene.mimaface.engine = 0.0, engine
    return {"shape": list(still.shape), "changed": int(np.sum(np.abs(moved - still).max(-1) > 0.1)), "wanted": steps, "by hand": by_hand}


def preview(scene) -> dict:
    """What the sequencer shows at frames, and where its preview draws the photograph: as the uppermost take lies, and without one."""
    strips, editors = drive.part("scene.strips"), drive.part("ui.live_editors")
    said = {"shown": [[strip.name for strip in strips.shown_at(scene, frame)] for frame in (1, 11, 500)]}
    scene.render.resolution_x, scene.render.resolution_y = 800, 400
    top, below = strips.shown_at(scene, 1)
    top.mute, below.transform.offset_x, below.transform.scale_x = True, 50, below.transform.scale_y * 1.5
    said["muted"] = [strip.name for strip in strips.shown_at(scene, 1)]
    said["places"] = [editors._in_frame(scene, shown) for shown in (strips.shown_at(scene, 1), [])]
    said["size"] = [below.elements[0].orig_width * below.transform.scale_x, below.elements[0].orig_height * below.transform.scale_y]
    top.mute = False
    return said


def crowded(seconds: float) -> int:
    """How many operators ran in another context than the window's own while answers came and frames were written, all the time."""
    import hashlib
    import time

    import bpy

    runtime = drive.part("session").session()
    window, frame = bpy.context.window_manager.windows[0], bytes(1000)
    digest, late, count = hashlib.sha256(frame).hexdigest(), time.monotonic() + seconds, 0
    while time.monotonic() < late:
        for index in range(5):
            runtime.backend.client.request("job.list")
            runtime.writer.put("", drive.WORK / "crowd", index, frame, digest)
        with runtime.threads_held(), bpy.context.temp_override(window=window):
            for _ in range(10):
                bpy.ops.pose.select_all(action="TOGGLE")
                count += 1
    runtime.writer.settle()
    runtime.writer.results()
    return count


def by_hand(rig) -> dict:
    """A point of the mouth is dragged in Edit Mode and the head fitted to it, cancelled, and one deleted; then a picture without a face."""
    import bpy
    from mathutils import Vector

    runtime, points, photo = drive.part("session").session(), drive.part("scene.points"), drive.part("scene.photo")
    names, before = drive.part("protocol.points").NAMES, rig["mimaface_portrait"]
    plane = next(part for part in rig.children if part.get("mimaface_part") == "photo")

    def corner(name):
        mesh = points.wire(rig).data
        return next(index for index, item in enumerate(mesh.attributes["mimaface_point"].data) if item.value == names.index(name) + 1)

    def drag(name, away):
        bpy.ops.object.mode_set(mode="OBJECT")
        points.wire(rig).data.vertices[corner(name)].co += Vector(away)
        bpy.ops.object.mode_set(mode="EDIT")

    def stands():
        bpy.context.view_layer.update()
        bone = rig.matrix_world @ rig.pose.bones["mouth.L"].head
        return [*plane.matrix_world.to_translation(), *plane.matrix_world.to_scale(), plane.empty_display_size * rig.scale[0]], [bone.x, bone.z]

    said = {"stood": stands(), "at": dict(points.fitted(rig))}
    bpy.ops.mimaface.adjust_fit()
    said["mode"], said["corners"] = points.wire(rig).mode, len(points.wire(rig).data.vertices)
    pixel = plane.empty_display_size / max(rig["mimaface_photo_size"])
    drag("mouth.L", (8 * pixel, 0, 0))
    bpy.ops.mimaface.fit_to_points()
    drive.pump(lambda: not runtime.busy, what="fit to points")
    said |= {"stands": stands(), "now": points.fitted(rig)["mouth.L"], "placed": photo.points(rig["mimaface_portrait"]), "error": runtime.last_error}
    said |= {"id": rig["mimaface_portrait"].startswith(f"{before}-"), "wire": points.wire(rig) is None, "rig": rig.mode}
    said["parts"] = sorted(part.get("mimaface_part") for part in rig.children)
    bpy.ops.mimaface.adjust_fit()
    drag("lid.upper.R", (0, -30 * pixel, 0))  # below the lower one
    bpy.ops.mimaface.fit_to_points()
    drive.pump(lambda: not runtime.busy, what="a refused fit")
    said["crossed"], said["kept"] = runtime.last_error, points.wire(rig) is not None
    bpy.ops.mimaface.cancel_fit()
    said["cancelled"] = points.wire(rig) is None and len(photo.points(rig["mimaface_portrait"])) == 1
    for file in Path(os.environ["MIMAFACE_HOME"]).glob("portraits/*"):
        file.unlink()  # the takes that follow give the backend photo and points again
    return said


def without_a_face() -> dict:
    """A picture in which nobody finds a face is refused with the way out, which is taken."""
    import bpy

    picture = drive.WORK / "stripes.png"
    image = bpy.data.images.new("stripes", 96, 64)
    image.filepath_raw, image.file_format = str(picture), "PNG"
    image.save()
    scene, runtime = bpy.context.scene, drive.part("session").session()
    first = scene.mimaface.rig
    bpy.ops.mimaface.load_portrait(filepath=str(picture))
    drive.pump(lambda: not runtime.busy, what="a picture without a face")
    offer = drive.part("ui.operators.portrait").faceless
    said = {"refused": runtime.last_error, "offered": offer() == str(picture), "rig": scene.mimaface.rig == first}
    bpy.ops.mimaface.load_portrait(filepath=str(picture), template=True)
    drive.pump(lambda: not runtime.busy, what="points in the middle")
    rig, points = scene.mimaface.rig, drive.part("scene.points")
    said |= {"error": runtime.last_error, "taken": not offer(), "mode": points.wire(rig).mode if rig != first else ""}
    bpy.ops.mimaface.cancel_fit()
    said["placed"] = len(drive.part("scene.photo").points(rig["mimaface_portrait"]))
    bpy.data.objects.remove(rig)
    bpy.context.view_layer.update()
    scene.mimaface.rig = first
    bpy.context.view_layer.objects.active = first
    first.select_set(True)
    bpy.ops.object.mode_set(mode="POSE")
    return said


def main() -> dict:
    import bpy

    bpy.ops.wm.read_factory_settings(use_empty=True)
    drive.enable()
    blend = drive.WORK / "shot.blend"
    bpy.ops.wm.save_as_mainfile(filepath=str(blend))
    scene = bpy.context.scene
    scene.render.fps = 24
    scene.mimaface.engine = os.environ.get("MIMAFACE_ENGINE", scene.mimaface.engine)
    scene.frame_start, scene.frame_end = 1, 10
    drive.load_portrait(Path(os.environ["MIMAFACE_PORTRAIT"]))
    rig = scene.mimaface.rig

    seen, hand, faceless = live(rig), by_hand(rig), without_a_face()
    operators = crowded(2.0)
    bpy.ops.mimaface.mesh_head()

    rig["jawOpen"] = 0.5
    rig.pose.bones["mouth.L"].location = (0, 0.0075, 0)
    bpy.context.view_layer.update()
    posed = rig.evaluated_get(bpy.context.evaluated_depsgraph_get())
    sums = {name: posed[f"out_{name}"] for name in ("jawOpen", "mouthSmileLeft", "mouthSmileRight")}
    head = next(item for item in bpy.data.objects if item.name.endswith("Head"))
    keys = {
        name: head.evaluated_get(bpy.context.evaluated_depsgraph_get()).data.shape_keys.key_blocks[name].value
        for name in ("jawOpen",)
    }
    rig.pose.bones["mouth.L"].location = (0, 0, 0)

    drive.key(rig, "jawOpen", {1: 0.0, 10: 0.8})
    bone = rig.pose.bones["head"]
    bone.rotation_mode = "XYZ"
    for frame, yaw in ((1, 0.0), (10, 0.3)):
        bone.rotation_euler = (0, yaw, 0)
        bone.keyframe_insert("rotation_euler", frame=frame)
    first = drive.generate()
    drive.import_motion(Path(os.environ["MIMAFACE_TAKE"]))
    end = scene.frame_end
    rig["mocap_influence"] = 0.0
    rig.update_tag()
    scene.frame_set(10)
    posed = rig.evaluated_get(bpy.context.evaluated_depsgraph_get())
    with_mocap, artist = posed["out_jawOpen"], 0.8
    rig["mocap_influence"] = 1.0
    rig.update_tag()
    scene.frame_end = 12
    second = drive.generate()
    names = [first.name, second.name]
    bpy.ops.wm.save_mainfile()
    bpy.ops.wm.open_mainfile(filepath=str(blend))
    scene = bpy.context.scene
    strips = drive.part("scene.strips")
    found = []
    for take in scene.mimaface.takes:
        strip = strips.find(scene, take.uuid)
        folder = Path(bpy.path.abspath(strip.directory))
        files = [str(folder / element.filename) for element in strip.elements]
        found.append(
            {"channel": strip.channel, "start": strip.frame_final_start, "length": strip.frame_final_duration, "files": files}
        )
    over = preview(scene)
    drive.part("session").session().backend.stop()
    return {
        "version": bpy.app.version_string,
        "sums": sums,
        "keys": keys,
        "names": names,
        "sums_with_mocap": with_mocap,
        "artist": artist,
        "strips": found,
        "end": end,
        "live": seen, "preview": over, "crowded": operators, "hand": hand, "faceless": faceless,
        "after": drive.part("scene.photo").points(scene.mimaface.rig["mimaface_portrait"]),
    }


drive.run(main)
