"""Mistakes of a user: each operator refuses with a sentence, and works afterwards."""

from __future__ import annotations

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "blender_addon"))
import drive


def main() -> dict:
    import bpy

    bpy.ops.wm.read_factory_settings(use_empty=True)
    drive.enable()
    bpy.ops.wm.save_as_mainfile(filepath=str(drive.WORK / "mistakes.blend"))
    scene = bpy.context.scene
    scene.mimaface.engine, scene.mimaface.size = "proxy", 64
    runtime = drive.part("session").session()
    said = {}

    def attempt(case, operator, **options) -> None:
        runtime.last_error = ""
        try:
            operator(**options)
        except RuntimeError as error:  # an operator that reports an error raises in scripts
            said[case] = str(error)
            return
        drive.pump(
            lambda: not runtime.busy and not any(take.state in ("waiting", "rendering") for take in scene.mimaface.takes),
            what=case,
        )
        said[case] = runtime.last_error

    ops = bpy.ops.mimaface
    attempt("generate without rig", ops.generate)
    attempt("motion without rig", ops.import_motion, filepath=os.environ["MIMAFACE_TAKE"])
    attempt("resume without take", ops.resume)
    attempt("cancel without take", ops.cancel)
    attempt("absent portrait", ops.load_portrait, filepath="/absent.png")
    text = drive.WORK / "notes.jpg"
    text.write_text("not a picture")
    attempt("text as portrait", ops.load_portrait, filepath=str(text))
    huge = drive.WORK / "huge.tif"
    with huge.open("wb") as file:
        file.truncate((256 << 20) + 1)  # without content, so that it takes no room on the disk
    attempt("huge portrait", ops.load_portrait, filepath=str(huge))
    attempt("no such face", ops.load_portrait, filepath=os.environ["MIMAFACE_PORTRAIT"], face=7)
    drive.load_portrait(Path(os.environ["MIMAFACE_PORTRAIT"]))
    broken = drive.WORK / "broken.csv"
    broken.write_text(Path(os.environ["MIMAFACE_TAKE"]).read_text().replace("JawOpen", "JawShut", 1))
    attempt("missing column", ops.import_motion, filepath=str(broken))
    attempt("text as take", ops.import_motion, filepath=str(text))
    blocked = drive.WORK / "mimaface"
    blocked.write_text("a file in the way of the output folder")
    scene.frame_start, scene.frame_end = 1, 2
    attempt("folder that cannot be made", ops.generate, name="blocked")
    blocked.unlink()
    take = drive.generate(name="after all that")
    attempt("copy report", ops.copy_report)
    lacking = dict(runtime.requests.lacking)
    runtime.backend.stop()
    return {"said": said, "done": take.done, "lacking": lacking}


drive.run(main)
