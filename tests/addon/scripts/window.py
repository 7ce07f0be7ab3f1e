"""A real window of Debian's Blender: the panels show with a portrait rig, and a screenshot is kept."""

import os
import sys
import traceback
from pathlib import Path

import bpy

WORK = Path(os.environ["MIMAFACE_WORK"])
steps = []
bpy.context.preferences.view.show_splash = False


def step(wait):
    def keep(function):
        steps.append((wait, function))
        return function

    return keep


def session():
    return sys.modules["mimaface_addon.session"].session()


@step(0.5)
def enable():
    bpy.ops.preferences.addon_enable(module="mimaface_addon")
    for item in list(bpy.data.objects):
        bpy.data.objects.remove(item)
    bpy.context.scene.mimaface.engine, bpy.context.scene.mimaface.size = "proxy", 64
    bpy.context.scene.frame_end = 8
    bpy.ops.wm.save_as_mainfile(filepath=str(WORK / "window.blend"))
    bpy.ops.mimaface.load_portrait(filepath=os.environ["MIMAFACE_PORTRAIT"])


@step(0.2)
def rig_is_there():
    return bpy.context.scene.mimaface.rig is not None


@step(0.5)
def generate():
    rig = bpy.context.scene.mimaface.rig
    rig["jawOpen"] = 0.0
    rig.keyframe_insert('["jawOpen"]', frame=1)
    rig["jawOpen"] = 0.8
    rig.keyframe_insert('["jawOpen"]', frame=8)
    bpy.ops.mimaface.generate()


@step(0.2)
def frames_are_there():
    return bpy.context.scene.mimaface.takes[0].state == "done"


@step(1.0)
def look():
    screen = bpy.context.window_manager.windows[0].screen
    area = next(area for area in screen.areas if area.type == "VIEW_3D")
    area.spaces[0].show_region_ui = True
    area.spaces[0].shading.type = "MATERIAL"
    region = next(region for region in area.regions if region.type == "WINDOW")
    with bpy.context.temp_override(window=bpy.context.window_manager.windows[0], area=area, region=region):
        bpy.ops.view3d.view_axis(type="FRONT")
        bpy.ops.view3d.view_all()
        bpy.ops.view3d.zoom(delta=1)
    # before 4.2 the tab cannot be chosen by a script: leave ours as the only one
    for name in dir(bpy.types):
        panel = getattr(bpy.types, name)
        if getattr(panel, "bl_region_type", "") == "UI" and getattr(panel, "bl_category", "") not in ("", "MIMAFace"):
            bpy.utils.unregister_class(panel)
    for panel in sys.modules["mimaface_addon.panels"].CLASSES:
        if getattr(panel, "bl_space_type", "") == "VIEW_3D":
            bpy.utils.unregister_class(panel)
            panel.bl_category = "Item"
            bpy.utils.register_class(panel)
    other = next((area for area in screen.areas if area.type == "PROPERTIES"), None)
    if other is not None:
        other.type = "SEQUENCE_EDITOR"
        other.spaces[0].show_region_ui = True
        other.spaces[0].view_type = "SEQUENCER"
    bpy.context.scene.frame_set(8)


@step(6.0)
def shoot():
    bpy.ops.screen.screenshot(filepath=str(WORK / "window.png"))
    panels = [name for name in dir(bpy.types) if "PT_mimaface" in name]
    (WORK / "panels.txt").write_text("\n".join(panels))
    session().backend.stop()
    sys.stdout.flush()
    os._exit(0)


def run():
    if not steps:
        return None
    try:
        if steps[0][1]() is False:
            return 0.2
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    steps.pop(0)
    return steps[0][0] if steps else None


bpy.app.timers.register(run, first_interval=1.0, persistent=True)
