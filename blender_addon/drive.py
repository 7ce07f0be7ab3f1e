# SPDX-License-Identifier: GPL-3.0-or-later
"""Drive the add-on from a script inside Blender's Python, through its own operators: for the demo, the tests and farms.

MIMAFACE_ZIP names the built extension and MIMAFACE_WORK the folder for ``result.json``.
"""

from __future__ import annotations

import json
import os
import sys
import time
import traceback
import zipfile
from pathlib import Path

ZIP = Path(os.environ["MIMAFACE_ZIP"])
WORK = Path(os.environ["MIMAFACE_WORK"])
MODULE = "bl_ext.user_default.mimaface_addon"


def enable():
    """Install and enable the extension the way the preferences do it; returns the add-on's module."""
    import addon_utils
    import bpy

    repository = next(repo for repo in bpy.context.preferences.extensions.repos if repo.module == "user_default")
    folder = Path(repository.directory) / "mimaface_addon"
    if not folder.exists():
        folder.mkdir(parents=True)
        with zipfile.ZipFile(ZIP) as archive:  # a backend that is there already needs no source
            names = [name for name in archive.namelist() if not name.startswith("source/") or "MIMAFACE_PYTHON" not in os.environ]
            archive.extractall(folder, names)
    addon_utils.extensions_refresh(ensure_wheels=True)
    bpy.ops.preferences.addon_enable(module=MODULE)
    assert MODULE in bpy.context.preferences.addons, "the add-on could not be enabled"
    return sys.modules[MODULE]


def part(name: str):
    """A module of the enabled add-on."""
    import importlib

    return importlib.import_module(f"{MODULE}.{name}")


def pump(until, seconds: float = 60.0, what: str = "the add-on") -> None:
    """Run the add-on's main-thread work until ``until()`` holds."""
    runtime = part("session").session()
    deadline = time.monotonic() + seconds
    while not until():
        runtime.pump()
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: {runtime.last_error or runtime.backend.problem or runtime.busy or 'no answer'}")
        time.sleep(0.01)


def load_portrait(path: Path) -> None:
    """Run the operator and wait for the rig."""
    import bpy

    scene = bpy.context.scene
    before = scene.mimaface.rig
    assert bpy.ops.mimaface.load_portrait(filepath=str(path)) == {"FINISHED"}
    pump(lambda: scene.mimaface.rig not in (None, before), what="load portrait")


def key(rig, path: str, frames: dict[int, float]) -> None:
    """Key a custom property of the rig: frame → value."""
    for frame, value in frames.items():
        rig[path] = value
        rig.keyframe_insert(f'["{path}"]', frame=frame)


def fresh_take(rig) -> None:
    """Put the present animation aside and everything at rest, for another performance of the same rig."""
    action = rig.animation_data.action
    action.use_fake_user = True
    rig.animation_data.action = None
    for bone in rig.pose.bones:
        bone.matrix_basis.identity()
    for name in part("protocol.arkit").BLENDSHAPE_NAMES:
        rig[name] = 0.0


def import_motion(path: Path) -> None:
    """Run the operator and wait for the curves."""
    import bpy

    assert bpy.ops.mimaface.import_motion(filepath=str(path)) == {"FINISHED"}
    runtime = part("session").session()
    pump(lambda: not runtime.busy, what="import motion")


def generate(seconds: float = 120.0, **options):
    """Run the operator and wait for the last frame; returns the take."""
    import bpy

    scene = bpy.context.scene
    assert bpy.ops.mimaface.generate(**options) == {"FINISHED"}
    number = len(scene.mimaface.takes) - 1
    pump(lambda: scene.mimaface.takes[number].state not in ("waiting", "rendering"), seconds, "generate")
    take = scene.mimaface.takes[number]
    assert take.state == "done", (take.state, take.message)
    return take


def run(main) -> None:
    """Run ``main``, write its result as JSON, and end at once (some versions hang when they end by themselves)."""
    code, result = 0, {}
    try:
        result = main() or {}
    except BaseException:
        traceback.print_exc()
        code = 1
    (WORK / "result.json").write_text(json.dumps(result))
    sys.stdout.flush()
    os._exit(code)
