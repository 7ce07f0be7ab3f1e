# SPDX-License-Identifier: GPL-3.0-or-later
"""The demo, in real Blender: two four-second takes of the shipped portrait, the first by both engines, with the add-on's operators.

``run.py demo`` calls this with MIMAFACE_ZIP, MIMAFACE_WORK (the demo folder), MIMAFACE_PORTRAIT and MIMAFACE_TAKE.
"""

from __future__ import annotations

import math
import os
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
import drive

RATE, SECONDS = 24, 4


def pose(rig) -> None:
    """Head turn ±20°, nod, smile, blink, gaze sweep, open mouth."""
    head = rig.pose.bones["head"]
    head.rotation_mode = "ZXY"
    for frame, (yaw, pitch, roll) in {
        1: (0, 0, 0), 12: (20, 0, 0), 28: (-20, 0, 0), 40: (0, 0, 0), 46: (0, -9, 0), 52: (0, 7, 0), 58: (0, 0, 0), 78: (8, 2, -6), 96: (0, 0, 0),
    }.items():  # fmt: skip
        head.rotation_euler = (math.radians(-pitch), math.radians(yaw), math.radians(-roll))
        head.keyframe_insert("rotation_euler", frame=frame)
    for side in ("L", "R"):
        corner = rig.pose.bones[f"mouth.{side}"]
        for frame, height in {56: 0.0, 66: 0.012, 76: 0.012, 84: 0.0}.items():
            corner.location = (0, height, 0)
            corner.keyframe_insert("location", frame=frame)
        lid = rig.pose.bones[f"lid.{side}"]
        for frame, height in {30: 0, 33: -0.012, 36: 0, 68: 0, 71: -0.012, 74: 0}.items():
            lid.location = (0, height, 0)
            lid.keyframe_insert("location", frame=frame)
    gaze = rig.pose.bones["gaze_target"]
    for frame, across in {40: 0.0, 47: 0.2, 55: -0.2, 62: 0.0}.items():
        gaze.location = (across, 0, 0)
        gaze.keyframe_insert("location", frame=frame)
    drive.key(rig, "jawOpen", {76: 0.0, 84: 0.75, 92: 0.0})


def main() -> dict:
    import bpy

    bpy.ops.wm.read_factory_settings(use_empty=True)
    drive.enable()
    blend = drive.WORK / "shot.blend"
    bpy.ops.wm.save_as_mainfile(filepath=str(blend))
    scene = bpy.context.scene
    scene.render.fps, scene.frame_start, scene.frame_end = RATE, 1, RATE * SECONDS
    print("fitting the head to the portrait", flush=True)
    drive.load_portrait(Path(os.environ["MIMAFACE_PORTRAIT"]))
    pose(scene.mimaface.rig)
    takes = []
    take_file = Path(os.environ["MIMAFACE_TAKE"])
    for name, engine, prepare in (("projected", "proxy", None), ("generated", "demo", None), ("mocap", "demo", take_file)):
        scene.mimaface.engine = engine
        if prepare is not None:
            drive.fresh_take(scene.mimaface.rig)
            drive.import_motion(prepare)
            scene.frame_end = RATE * SECONDS
        print(f"generating take “{name}”", flush=True)
        started = time.monotonic()
        take = drive.generate(name=name)
        takes.append(
            {"name": name, "folder": bpy.path.abspath(take.folder), "frames": take.frames, "seconds": time.monotonic() - started}
        )
    bpy.ops.wm.save_mainfile()
    drive.part("session").session().backend.stop()
    return {"blend": str(blend), "takes": takes, "rate": RATE}


drive.run(main)
