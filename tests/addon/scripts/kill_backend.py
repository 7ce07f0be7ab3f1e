"""The backend is killed in the middle of a take: the main thread stays quick, the message is honest, Resume completes the take."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "blender_addon"))
import drive


def main() -> dict:
    import bpy

    bpy.ops.wm.read_factory_settings(use_empty=True)
    drive.enable()
    bpy.ops.wm.save_as_mainfile(filepath=str(drive.WORK / "kill.blend"))
    scene = bpy.context.scene
    scene.mimaface.engine, scene.mimaface.size = "proxy", 256  # 60 of these take some seconds
    scene.frame_start, scene.frame_end = 1, 60
    drive.load_portrait(Path(os.environ["MIMAFACE_PORTRAIT"]))
    drive.key(scene.mimaface.rig, "jawOpen", {-9: 0.0, 70: 0.8})  # no two frames are alike, as they would be at the ends of the curve
    runtime = drive.part("session").session()
    assert bpy.ops.mimaface.generate() == {"FINISHED"}
    take = scene.mimaface.takes[0]
    drive.pump(lambda: take.done >= 5, what="the first frames")
    os.kill(runtime.backend.pid, signal.SIGKILL)
    slowest, started = 0.0, time.monotonic()
    while take.state != "interrupted":
        before = time.perf_counter()
        runtime.pump()
        slowest = max(slowest, time.perf_counter() - before)
        assert time.monotonic() - started < 10, "nobody noticed"
        time.sleep(0.01)
    message, kept = runtime.last_error, take.done
    reopened_blend = str(drive.WORK / "kill.blend")
    bpy.ops.wm.save_mainfile()
    bpy.ops.wm.open_mainfile(filepath=reopened_blend)
    scene = bpy.context.scene
    assert bpy.ops.mimaface.resume() == {"FINISHED"}
    drive.pump(lambda: scene.mimaface.takes[0].state == "done", 90, "resume")
    take = scene.mimaface.takes[0]
    folder = drive.part("session").take_folder(take)
    strip = drive.part("scene.strips").find(scene, take.uuid)
    result = {
        "slowest_ms": 1000 * slowest, "message": message, "kept": kept, "done": take.done, "strips": len(strip.elements),
        "files": sorted(path.name for path in folder.iterdir()), "folder": str(folder),
    }  # fmt: skip
    hung = hang(drive, scene, runtime)
    runtime.backend.stop()
    return {**result, "hung": hung}


def hang(drive, scene, runtime) -> dict:
    """The backend stops answering in the middle of a take: one press of Resume ends it, starts another and completes the take."""
    import bpy

    scene.frame_end = 70
    assert bpy.ops.mimaface.generate() == {"FINISHED"}
    take = scene.mimaface.takes[1]
    drive.pump(lambda: take.done >= 3, what="the first frames")
    first = runtime.backend.pid
    os.kill(first, signal.SIGSTOP)
    try:
        drive.pump(lambda: take.state == "interrupted", 20, "the hang to be noticed")
        assert bpy.ops.mimaface.resume() == {"FINISHED"}
        drive.pump(lambda: take.state in ("done", "failed"), 90, "resume")
        return {"state": take.state, "done": take.done, "message": take.message, "another": runtime.backend.pid != first}
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(first, signal.SIGCONT)


drive.run(main)
