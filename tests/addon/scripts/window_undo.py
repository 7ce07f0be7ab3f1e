"""Undo and redo with keys in a real window, where operators, timers and the undo stack meet as they do for an artist."""

import json
import os
import sys
from pathlib import Path

import bpy

sys.path.insert(0, str(Path(__file__).parent))
from windows import WORK, Keyboard, enable, end, in_view, part, run, step

keyboard, said = Keyboard(), {}
UNDO, REDO = ("Control_L", "z"), ("Control_L", "Shift_L", "z")


def rigs():
    return [item for item in bpy.context.scene.objects if "mimaface" in item]


def parts():
    return len([item for item in bpy.context.scene.objects if "mimaface_part" in item])


def mocap_keys():
    action = rigs()[0].animation_data.action if rigs() and rigs()[0].animation_data else None
    return sum("mocap_" in curve.data_path for curve in action.fcurves) if action is not None else 0


def state():
    settings = bpy.context.scene.mimaface
    editor = bpy.context.scene.sequence_editor
    return {
        "rigs": len(rigs()), "parts": parts(), "curves": mocap_keys(),
        "takes": [[take.name, take.state] for take in settings.takes],
        "strips": [strip.name for strip in part("scene.compat").all_strips(editor)] if editor else [],
    }  # fmt: skip


def note(name):
    said[name] = state()


def pressing(*keys, wait=0.1):
    """A step that presses keys together."""
    step(wait)(lambda: keyboard.press(*keys))


def noting(name, wait=0.3):
    """A step that notes the state under this name."""
    step(wait)(lambda: note(name))


def only_rig():
    """Select the rig and nothing else, in Object Mode."""
    if bpy.context.mode != "OBJECT":
        in_view(bpy.ops.object.mode_set, mode="OBJECT")
    for item in bpy.context.selected_objects:
        item.select_set(False)
    rigs()[0].select_set(True)
    bpy.context.view_layer.objects.active = rigs()[0]


@step(0.5)
def begin():
    enable()
    bpy.context.scene.frame_end = 4
    bpy.context.scene.mimaface.engine, bpy.context.scene.mimaface.size = "proxy", 64
    in_view(bpy.ops.ed.undo_push, message="settings")
    keyboard.point()
    in_view(bpy.ops.mimaface.load_portrait, filepath=os.environ["MIMAFACE_PORTRAIT"])


@step(0.2)
def rig_is_there():
    return bpy.context.scene.mimaface.rig is not None


pressing(*UNDO)
noting("rig undone")
pressing(*REDO)
noting("rig redone")


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


step(0.5)(only_rig)
pressing("g")
pressing("1")
pressing("Return")
step(0.5)(lambda: said.update(moved=list(rigs()[0].location)))
pressing(*UNDO)
noting("later edit undone")
pressing(*UNDO)
noting("generate undone")
pressing(*UNDO)
noting("keys undone")
for _ in range(3):
    pressing(*REDO)
noting("redone")


@step(0.5)
def delete_strip():
    part("scene.strips").remove(bpy.context.scene, list(part("scene.compat").all_strips(bpy.context.scene.sequence_editor)))
    in_view(bpy.ops.ed.undo_push, message="deleted")
    in_view(bpy.ops.transform.translate, "EXEC_DEFAULT", True, value=(1, 0, 0))
    in_view(bpy.ops.transform.translate, "EXEC_DEFAULT", True, value=(1, 0, 0))


pressing(*UNDO)
noting("strip deleted")


@step(0.5)
def import_motion():
    only_rig()
    in_view(bpy.ops.mimaface.import_motion, "EXEC_DEFAULT", True, filepath=os.environ["MIMAFACE_TAKE"])


@step(0.2)
def curves_are_there():
    return mocap_keys() > 0


noting("imported")
def strength():
    action = rigs()[0].animation_data.action
    curve = next(curve for curve in action.fcurves if curve.data_path == '["mocap_yaw"]')
    return max(abs(point.co[1]) for point in curve.keyframe_points)


@step(0.5)
def adjust():
    """What the redo panel does when a slider in it is moved: undo, and the operator again with other options."""
    said["full"] = strength()
    operator = bpy.context.window_manager.operators[-1]
    said["last operator"] = operator.bl_idname
    operator.gain = 0.8
    in_view(bpy.ops.ed.undo_redo)


@step(0.2)
def adjust_again():
    """Once more, while the first adjustment may still be read."""
    bpy.context.window_manager.operators[-1].gain = 0.5
    in_view(bpy.ops.ed.undo_redo)


@step(0.2)
def adjusted():
    return not part("session").session().busy and mocap_keys() > 0


@step(0.8)
def note_adjusted():
    said["half"] = strength()
    note("adjusted")


pressing(*UNDO)
noting("import undone")
pressing(*REDO)
noting("import redone")
pressing(*UNDO)
noting("undone for good")
step(0.5)(only_rig)
pressing("x")
pressing("Return")
noting("deleted")
pressing(*UNDO)
noting("delete undone")
step(0.5)(only_rig)
pressing("Shift_L", "d")
pressing("Return")
noting("duplicated")
pressing(*UNDO)
noting("duplicate undone")
pressing(*REDO)
noting("duplicate redone")


@step(0.5)
def finish():
    (WORK / "said.json").write_text(json.dumps(said))
    end()


run()
