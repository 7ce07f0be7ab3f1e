"""A real window of Debian's Blender: the panels show with a portrait rig, and a screenshot is kept."""

import contextlib
import json
import os
import sys
from pathlib import Path

import bpy

sys.path.insert(0, str(Path(__file__).parent))
import windows
from windows import WORK, in_view, part, run, step


@step(0.5)
def enable():
    windows.enable()
    (WORK / "panels.txt").write_text("\n".join(name for name in dir(bpy.types) if "PT_mimaface" in name))
    for item in list(bpy.data.objects):
        bpy.data.objects.remove(item)
    bpy.context.scene.mimaface.engine, bpy.context.scene.mimaface.size = "proxy", 64
    bpy.context.scene.frame_end = 8
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
    in_view(bpy.ops.view3d.view_axis, type="FRONT")
    in_view(bpy.ops.view3d.view_all)
    in_view(bpy.ops.view3d.zoom, delta=1)
    # before 4.2 the tab cannot be chosen by a script: leave ours as the only one
    for name in dir(bpy.types):
        panel = getattr(bpy.types, name)
        if getattr(panel, "bl_region_type", "") == "UI" and getattr(panel, "bl_category", "") not in ("", "MIMAFace"):
            bpy.utils.unregister_class(panel)
    show("setup", "portrait", "generate", "takes")
    other = next((area for area in screen.areas if area.type == "PROPERTIES"), None)
    if other is not None:
        other.type = "SEQUENCE_EDITOR"
        other.spaces[0].show_region_ui = True
        other.spaces[0].view_type = "SEQUENCER"
    bpy.context.scene.frame_set(8)


@step(6.0)
def shoot():
    bpy.ops.screen.screenshot(filepath=str(WORK / "window.png"))
    show("face")


@step(2.0)
def shoot_face():
    bpy.ops.screen.screenshot(filepath=str(WORK / "window_face.png"))
    session, asking = part("session").session(), part("core.asking")
    activity = part("core.activity").Activity("Reading {name}", "performance.mp4")
    activity.told("reading", 120, 288)
    session.requests.waiting.append(asking.Asked("track", {}, [], print, print, activity, asking.Request()))
    session.notice = "performance.mp4: 288 keys on 62 channels, to frame 288; its sound is on channel 2"
    bpy.context.scene.mimaface.takes[0].message = "3 of 8 frames are on disk: resume the take"
    show("setup", "mocap", "capture", "takes")


@step(2.0)
def shoot_others():
    bpy.ops.screen.screenshot(filepath=str(WORK / "window_others.png"))
    translations, view = bpy.app.translations, bpy.context.preferences.view
    sentences = {
        "{path} is not a file: choose a photo or a film": "Wähle ein Foto oder einen Film: {path} ist keine Datei",
        "{work}: frame {done} of {total}": "{work}: Bild {done} von {total}", "Reading {name}": "{name} wird gelesen",
        "Generate {count} Frames": "{count} Bilder erzeugen",
    }
    translations.register("test", {"de_DE": {("*", english): german for english, german in sentences.items()}})
    view.language, view.use_translate_interface, view.use_translate_tooltips = "de_DE", True, True
    with contextlib.suppress(RuntimeError):  # an operator that reports an error raises in scripts
        bpy.ops.mimaface.load_portrait(filepath="/absent.png")
    session = part("session").session()
    (WORK / "german.json").write_text(json.dumps([session.last_error, session.busy]))
    show("setup", "generate")


@step(1.0)
def shoot_german():
    bpy.ops.screen.screenshot(filepath=str(WORK / "window_german.png"))


def show(*names):
    """Leave these sections in the 3D view's sidebar, opened."""
    for panel in part("ui.panels").CLASSES:
        if getattr(panel, "bl_space_type", "") == "VIEW_3D":
            if panel.is_registered:
                bpy.utils.unregister_class(panel)
            if panel.__name__.rpartition("_")[2] in names:
                panel.bl_category, panel.bl_options = "Item", set()
                bpy.utils.register_class(panel)


run()
