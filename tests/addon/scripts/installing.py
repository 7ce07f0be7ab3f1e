"""The life of Install Backend: offline, begun, pressed twice, cancelled, begun again, ended with the add-on, finished, updated, left alone.

The source that is installed waits in its fourth step while the file ``hold`` exists, and names the process that waits in ``builder.pid``.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "blender_addon"))
import drive

HOLD, BUILDER = drive.WORK / "hold", drive.WORK / "builder.pid"
HOME = Path(os.environ["MIMAFACE_HOME"])
FIRST = bool(os.environ["MIMAFACE_FIRST"])  # each Blender shows a part, as environments take seconds


def press(runtime, until) -> int:
    """Press the button and wait until something holds; returns the process of the installation."""
    import bpy

    bpy.ops.mimaface.install()
    drive.pump(lambda: until() or runtime.backend.state == "lost", 100, "a step")
    return runtime.backend.installation._process.pid


def broken_off(said, found):
    """Twice pressed, asked for something, cancelled; begun again and ended with the add-on."""
    import bpy

    runtime, interpreter = drive.part("session").session(), drive.part("interpreter")
    exists = drive.part("protocol.connection").process_exists
    HOLD.touch()
    installer = press(runtime, BUILDER.exists)
    builder = int(BUILDER.read_text())
    first = runtime.backend.installation
    bpy.ops.mimaface.install()
    found["once"] = runtime.backend.installation is first
    said["step"] = runtime.backend.progress()
    found["in use"] = [str(interpreter.backend_python() or ""), (HOME / "python.txt").exists()]
    runtime.ask("job.list", {}, [], lambda message: None, lambda text: None)
    found["waits"] = len(runtime.requests.waiting)
    bpy.ops.mimaface.stop()
    drive.pump(lambda: not exists(builder) and not exists(installer), what="cancel")
    said["cancelled"], found["state"] = runtime.notice, runtime.backend.state
    found["in use after cancel"] = str(interpreter.backend_python() or "")
    (HOME / "environment" / "kept").touch()

    HOLD.unlink()
    installer = press(runtime, lambda: runtime.backend.installation.started)
    bpy.ops.preferences.addon_disable(module=drive.MODULE)
    deadline = drive.time.monotonic() + 60
    while exists(installer) and drive.time.monotonic() < deadline:
        drive.time.sleep(0.02)
    found["ended with the add-on"] = not exists(installer)
    bpy.ops.preferences.addon_enable(module=drive.MODULE)


def main() -> dict:
    import bpy

    bpy.ops.wm.read_factory_settings(use_empty=True)
    drive.enable()
    runtime, interpreter = drive.part("session").session(), drive.part("interpreter")
    said, found = {}, {}

    def refused(operator) -> str:
        try:
            operator()
        except RuntimeError as error:
            return str(error)
        return ""

    said["none"] = refused(bpy.ops.mimaface.start)
    bpy.context.preferences.system.use_online_access = False
    said["offline"] = refused(bpy.ops.mimaface.install)
    bpy.context.preferences.system.use_online_access = True

    if FIRST:
        broken_off(said, found)
        runtime, interpreter = drive.part("session").session(), drive.part("interpreter")
    bpy.context.preferences.addons[drive.MODULE].preferences.python = str(drive.WORK / "absent")
    bpy.ops.mimaface.install()
    drive.pump(lambda: runtime.backend.state != "installing", 200, "the installation")
    said["problem"], said["installed"] = runtime.backend.problem, runtime.notice
    found["kept"] = (HOME / "environment" / "kept").exists()
    found["python"], found["noted"] = str(interpreter.backend_python()), (HOME / "python.txt").read_text()
    found["preference"] = bpy.context.preferences.addons[drive.MODULE].preferences.python
    drive.pump(lambda: runtime.backend.state == "ready", 100, "the start")
    asked = []
    runtime.ask("job.list", {}, [], lambda message: asked.append(message.kind), lambda text: asked.append(str(text)))
    drive.pump(lambda: asked, what="an answer")
    found["asked"] = asked
    python = interpreter.backend_python()
    found["outdated"] = [interpreter.outdated(python)]
    (interpreter.SOURCE / "BUILD").write_text("another")
    found["outdated"].append(interpreter.outdated(python))
    if not FIRST:
        found["left alone"] = press(runtime, lambda: not (HOME / "python.txt").exists())
        found["in use during the update"] = str(interpreter.backend_python() or "")
    return {"said": said, "found": found}  # and ends at once, without a word to the installation


drive.run(main)
