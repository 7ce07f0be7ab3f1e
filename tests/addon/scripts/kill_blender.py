"""Blender dies in the middle of a take: what the backend does then is looked at from outside."""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "blender_addon"))
import drive


def main() -> None:
    import bpy

    bpy.ops.wm.read_factory_settings(use_empty=True)
    drive.enable()
    bpy.ops.wm.save_as_mainfile(filepath=str(drive.WORK / "dies.blend"))
    scene = bpy.context.scene
    scene.mimaface.engine, scene.mimaface.size = "proxy", 256  # 80 of these take some seconds
    scene.frame_start, scene.frame_end = 1, 80
    drive.load_portrait(Path(os.environ["MIMAFACE_PORTRAIT"]))
    assert bpy.ops.mimaface.generate() == {"FINISHED"}
    take = scene.mimaface.takes[0]
    drive.pump(lambda: take.done >= 3, what="the first frames")
    runtime = drive.part("session").session()
    (drive.WORK / "result.json").write_text(
        json.dumps({"job": take.job, "root": str(runtime.backend.folder), "backend": runtime.backend.pid})
    )
    os.kill(os.getpid(), signal.SIGKILL)


drive.run(main)
