"""Two rigs of one picture: they stand as one, and Generate and Live animate both in one pass."""

from __future__ import annotations

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "blender_addon"))
import bpy
import numpy as np

import drive


def refusal() -> str:
    try:
        bpy.ops.mimaface.generate()
    except RuntimeError as error:
        return str(error)
    return ""


def load(face: int) -> bpy.types.Object:
    settings = bpy.context.scene.mimaface
    before = settings.rig
    assert bpy.ops.mimaface.load_portrait(filepath=str(drive.WORK / "pair.jpg"), face=face) == {"FINISHED"}
    drive.pump(lambda: settings.rig not in (None, before), what="load portrait")
    bpy.ops.object.mode_set(mode="OBJECT")
    return settings.rig


def live():
    """The picture of Live in this frame."""
    part = drive.part("ui.live")
    part.follow(bpy.context.evaluated_depsgraph_get())
    previews = part.live.previews
    drive.pump(lambda: previews._picture is not None or previews.problem, what="a preview")
    assert not previews.problem, previews.problem
    return previews.take()


def planes(rigs: list[bpy.types.Object]) -> float:
    """The largest distance between the corners of the rigs' photographs."""
    portraits = drive.part("scene.portraits")
    bpy.context.view_layer.update()
    found = [np.array([tuple(corner) for corner in portraits.corners(portraits.part_of(item, "photo")[0])]) for item in rigs]
    return float(np.abs(found[0] - found[1]).max())


def main() -> dict:
    bpy.ops.wm.read_factory_settings(use_empty=True)
    drive.enable()
    bpy.ops.wm.save_as_mainfile(filepath=str(drive.WORK / "shot.blend"))
    scene, settings = bpy.context.scene, bpy.context.scene.mimaface
    settings.engine, settings.size, settings.watermark = "proxy", 256, False
    scene.render.fps, scene.render.fps_base, scene.frame_start, scene.frame_end = 25, 1, 1, 3
    near = load(0)
    near.location.x, near.rotation_euler.z = near.location.x + 0.4, 0.3
    far = load(1)
    said = {"version": bpy.app.version_string, "apart": planes([near, far]), "rigs": near != far, "scales": [near.scale.x, far.scale.x]}
    drive.key(near, "jawOpen", {1: 0.0, 2: 0.8, 3: 0.0})
    drive.key(far, "jawOpen", {1: 0.0, 2: 0.0, 3: 0.8})
    take, folder = drive.generate(name="both"), drive.part("scene.takes").take_folder
    said |= {"both": str(folder(take)), "portrait": drive.part("core.delivery").read_manifest(folder(take))["portrait"]}
    scene.frame_set(3)
    said["live"] = [live().portrait == said["portrait"]]
    for path in (drive.WORK / "home" / "portraits").iterdir():
        path.unlink()  # the backend has lost its photographs
    drive.key(near, "jawLeft", {1: 0.0, 3: 0.2})
    said["healed"] = drive.generate(name="again").state
    settings.engine = "demo"
    said["demo"] = refusal()
    settings.engine = "proxy"
    bpy.context.view_layer.objects.active = near
    twin = far.copy()
    scene.collection.objects.link(twin)
    said["twins"] = refusal()
    bpy.data.objects.remove(twin)
    far.hide_set(True)
    said["alone"] = drive.part("core.delivery").read_manifest(folder(drive.generate(name="alone")))["portrait"]
    said["film"] = film()
    drive.part("session").session().backend.stop()
    return said


def film() -> dict:
    """A film as photograph: its rig's motion is added to it, in the regions that are chosen."""
    scene, settings, runtime = bpy.context.scene, bpy.context.scene.mimaface, drive.part("session").session()
    drive.load_portrait(drive.WORK / "far" / "film.mkv")
    rig, said = settings.rig, {"notice": runtime.notice, "end": scene.frame_end}
    settings.only = {"lips"}
    drive.key(rig, "jawOpen", {1: 0.0, 2: 0.0, 3: 0.8, 4: 0.8})
    drive.key(rig, "browInnerUp", {1: 0.0, 2: 0.0, 3: 1.0, 4: 1.0})
    scene.render.fps = 24
    said["rate"] = refusal()
    scene.render.fps, settings.transparent = 25, True
    said["transparent"] = refusal()
    settings.transparent, scene.frame_start = False, 3
    take = drive.generate(name="film")
    said |= {"folder": str(drive.part("scene.takes").take_folder(take)), "start": take.start, "frames": take.frames}
    for frame in (4, 2, 9):
        scene.frame_set(frame)
        np.save(drive.WORK / f"live_{frame}.npy", live().pixels[::-1])
    for path in (drive.WORK / "home" / "portraits").iterdir():
        path.unlink()
    (drive.WORK / "far" / "film.mkv").rename(drive.WORK / "film.mkv")  # beside the .blend
    drive.key(rig, "jawLeft", {3: 0.3})
    said["healed"] = drive.generate(name="film again").state
    drive.fresh_take(rig)
    for neutral in ("auto", "none"):
        settings.neutral = neutral
        drive.import_motion(Path(os.environ["MIMAFACE_TAKE"]))
        said[f"{neutral} is absolute"] = settings.absolute
    said["absolute"] = str(drive.part("scene.takes").take_folder(drive.generate(name="film anew")))
    scene.frame_set(3)
    np.save(drive.WORK / "live_absolute.npy", live().pixels[::-1])
    return said


drive.run(main)
