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
    moved = picture()
    scene.collection.objects.link(bpy.data.objects.new("something", None))
    bpy.context.view_layer.update()
    module.tick()
    steps.append(previews.busy)
    bpy.context.window_manager.mimaface_live = False
    module.tick()
    steps.append(module.live.picture is not None or previews.busy)
    bpy.context.window_manager.mimaface_live = True
    rig["jawOpen"], scene.mimaface.engine = 0.0, engine
    return {"shape": list(still.shape), "changed": int(np.sum(np.abs(moved - still).max(-1) > 0.1)), "wanted": steps}


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

    seen = live(rig)
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
        "live": seen, "crowded": operators,
    }


drive.run(main)
