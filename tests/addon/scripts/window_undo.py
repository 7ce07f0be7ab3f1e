"""Undo and redo in a real window, where operators, timers and the undo stack meet as they do for an artist."""

import json
import os
import sys
import traceback
from pathlib import Path

import bpy

WORK = Path(os.environ["MIMAFACE_WORK"])
steps, said = [], {}
bpy.context.preferences.view.show_splash = False


def step(wait):
    def keep(function):
        steps.append((wait, function))
        return function

    return keep


def part(name):
    return sys.modules[f"mimaface_addon.{name}"]


def in_view(operator, *arguments, **options):
    window = bpy.context.window_manager.windows[0]
    area = next(area for area in window.screen.areas if area.type == "VIEW_3D")
    region = next(region for region in area.regions if region.type == "WINDOW")
    with bpy.context.temp_override(window=window, area=area, region=region):
        return operator(*arguments, **options)


def state():
    settings = bpy.context.scene.mimaface
    editor = bpy.context.scene.sequence_editor
    return {
        "rigs": len([item for item in bpy.context.scene.objects if "mimaface" in item]),
        "takes": [[take.name, take.state] for take in settings.takes],
        "strips": [strip.name for strip in part("compat").all_strips(editor)] if editor else [],
    }


def note(name):
    said[name] = state()


@step(0.5)
def enable():
    bpy.ops.preferences.addon_enable(module="mimaface_addon")
    bpy.context.scene.frame_end = 4
    bpy.ops.wm.save_as_mainfile(filepath=str(WORK / "window.blend"))
    bpy.context.scene.mimaface.engine, bpy.context.scene.mimaface.size = "proxy", 64
    in_view(bpy.ops.ed.undo_push, message="settings")
    in_view(bpy.ops.mimaface.load_portrait, filepath=os.environ["MIMAFACE_PORTRAIT"])


@step(0.2)
def rig_is_there():
    return bpy.context.scene.mimaface.rig is not None


@step(0.5)
def undo_rig():
    in_view(bpy.ops.ed.undo)
    note("rig undone")


@step(0.5)
def redo_rig():
    in_view(bpy.ops.ed.redo)
    note("rig redone")


@step(0.5)
def generate():
    rig = bpy.context.scene.mimaface.rig
    for frame, value in ((1, 0.0), (4, 0.8)):
        rig["jawOpen"] = value
        rig.keyframe_insert('["jawOpen"]', frame=frame)
    in_view(bpy.ops.ed.undo_push, message="keyed")
    in_view(bpy.ops.mimaface.generate, name="one")


@step(0.2)
def frames_are_there():
    return bpy.context.scene.mimaface.takes[0].state == "done"


@step(0.5)
def move_and_undo():
    in_view(bpy.ops.transform.translate, "EXEC_DEFAULT", True, value=(1, 0, 0))
    in_view(bpy.ops.ed.undo)
    note("later edit undone")


@step(0.5)
def undo_generate():
    in_view(bpy.ops.ed.undo)
    note("generate undone")


@step(0.5)
def undo_keys():
    in_view(bpy.ops.ed.undo)
    note("keys undone")


@step(0.5)
def redo_all():
    for _ in range(3):
        if in_view(bpy.ops.ed.redo.poll):
            in_view(bpy.ops.ed.redo)
    note("redone")


@step(0.5)
def delete_strip():
    part("strips").remove(bpy.context.scene, list(part("compat").all_strips(bpy.context.scene.sequence_editor)))
    in_view(bpy.ops.ed.undo_push, message="deleted")
    in_view(bpy.ops.transform.translate, "EXEC_DEFAULT", True, value=(1, 0, 0))
    in_view(bpy.ops.transform.translate, "EXEC_DEFAULT", True, value=(1, 0, 0))
    in_view(bpy.ops.ed.undo)


@step(0.5)
def after_deleting():
    note("strip deleted")
    (WORK / "said.json").write_text(json.dumps(said))
    part("session").session().backend.stop()
    sys.stdout.flush()
    os._exit(0)


def run():
    try:
        if steps[0][1]() is False:
            return 0.2
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    steps.pop(0)
    return steps[0][0] if steps else None


bpy.app.timers.register(run, first_interval=1.0, persistent=True)
