# SPDX-License-Identifier: GPL-3.0-or-later
"""The MIMAFace tab in the sidebars of the 3D view and the sequencer."""

from __future__ import annotations

import bpy

from . import compat, strips
from .preferences import backend_python
from .protocol.arkit import ACTION_NAMES
from .session import session
from .takes import ACTIVE

LIGHTS = {"ready": "CHECKMARK", "starting": "SORTTIME", "stopped": "RADIOBUT_OFF", "lost": "ERROR"}
WORDS = {"ready": "Ready", "starting": "Starting", "stopped": "Stopped", "lost": "Not running"}
STATES = {
    "done": "CHECKMARK",
    "rendering": "RENDER_ANIMATION",
    "waiting": "SORTTIME",
    "cancelled": "X",
    "failed": "ERROR",
    "interrupted": "ERROR",
}
LINE = 44  # letters of a wrapped message
GROUPS = (
    ("Eyes", ("eye",)), ("Brows", ("brow",)), ("Jaw", ("jaw", "tongue")), ("Mouth", ("mouth",)), ("Cheeks and Nose", ("cheek", "nose")),
)  # fmt: skip


def wrapped(layout: bpy.types.UILayout, text: str, icon: str = "NONE") -> None:
    """A sentence over as many lines as it needs."""
    line, column = "", layout.column(align=True)
    lines = []
    for word in text.split():
        if line and len(line) + len(word) > LINE:
            lines.append(line)
            line = ""
        line = f"{line} {word}".strip()
    for index, part in enumerate([*lines, line]):
        column.label(text=part, icon=icon if index == 0 else "BLANK1" if icon != "NONE" else "NONE")


def draw_setup(layout: bpy.types.UILayout, context: bpy.types.Context) -> None:
    runtime = session()
    state = runtime.backend.state
    row = layout.row()
    row.label(text=WORDS[state], icon=LIGHTS[state])
    if state in ("stopped", "lost"):
        row.operator("mimaface.start", text="Start")
    else:
        row.operator("mimaface.stop", text="Stop")
    if backend_python() is None and state != "ready":
        wrapped(layout, "No backend is installed: run “python3 run.py install” in MIMAFace's folder", "INFO")
    if runtime.busy:
        wrapped(layout, runtime.busy, "SORTTIME")
    text = runtime.backend.problem or runtime.last_error
    if text:
        box = layout.box()
        wrapped(box, text, "ERROR")
        box.operator("mimaface.copy_report", icon="COPYDOWN")


def draw_portrait(layout: bpy.types.UILayout, context: bpy.types.Context) -> None:
    settings = context.scene.mimaface
    layout.operator("mimaface.load_portrait", icon="USER")
    if settings.rig is not None:
        layout.prop(settings, "rig")
        row = layout.row()
        row.label(text=bpy.path.basename(settings.portrait), icon="IMAGE_DATA")
        row.label(text="proxy", icon="SHADING_TEXTURE")
    else:
        wrapped(layout, "Choose a photo: the head is fitted to it and a rig is built")


def draw_face(layout: bpy.types.UILayout, context: bpy.types.Context) -> None:
    item = context.scene.mimaface.rig
    if item is None:
        layout.label(text="No portrait rig yet", icon="INFO")
        return
    wrapped(layout, "Pose the handles, or key these sliders")
    for title, starts in GROUPS:
        column = layout.column(align=True)
        column.label(text=title)
        for action in ACTION_NAMES:
            if action.startswith(starts):
                column.prop(item, f'["{action}"]', text=action, slider=True)


def draw_mocap(layout: bpy.types.UILayout, context: bpy.types.Context) -> None:
    settings = context.scene.mimaface
    column = layout.column(align=True)
    column.prop(settings, "neutral")
    column.prop(settings, "gain", slider=True)
    column.prop(settings, "smoothing", slider=True)
    column.prop(settings, "swap")
    layout.operator("mimaface.import_motion", icon="ANIM")
    if settings.rig is not None:
        layout.prop(settings.rig, '["mocap_influence"]', text="Influence", slider=True)


def draw_generate(layout: bpy.types.UILayout, context: bpy.types.Context) -> None:
    settings = context.scene.mimaface
    column = layout.column(align=True)
    column.prop(settings, "engine")
    column.prop(settings, "framing")
    column.prop(settings, "size")
    column.prop(settings, "transparent")
    scene = context.scene
    row = layout.row()
    row.scale_y = 1.5
    row.enabled = settings.rig is not None
    row.operator("mimaface.generate", icon="RENDER_ANIMATION", text=f"Generate {scene.frame_end - scene.frame_start + 1} Frames")


def draw_takes(layout: bpy.types.UILayout, context: bpy.types.Context) -> None:
    settings = compat.sequencer_scene(context).mimaface
    layout.template_list("MIMAFACE_UL_takes", "", settings, "takes", settings, "active_take", rows=3)
    layout.operator("mimaface.find_takes", icon="VIEWZOOM")
    if not 0 <= settings.active_take < len(settings.takes):
        return
    take = settings.takes[settings.active_take]
    if take.message:
        wrapped(layout, take.message, "INFO")
    if take.state in ACTIVE:
        layout.operator("mimaface.cancel", icon="X")
    elif take.state != "done":
        layout.operator("mimaface.resume", icon="PLAY")
    row = layout.row(align=True)
    row.operator("mimaface.open_take_folder", text="Folder", icon="FILE_FOLDER")
    if take.placed and not strips.find_all(take.id_data, take.uuid):
        row.operator("mimaface.place_take", text="Strip", icon="ADD")
    row.operator("mimaface.remove_take", text="Remove", icon="TRASH")


class MIMAFACE_UL_takes(bpy.types.UIList):
    def draw_item(self, context, layout, data, item, icon, active_data, active_property, index) -> None:
        layout.prop(item, "name", text="", emboss=False, icon=STATES.get(item.state, "DOT"))
        layout.label(text=f"{item.done} of {item.frames}")
        layout.prop(item, "hidden", text="", emboss=False, icon="HIDE_ON" if item.hidden else "HIDE_OFF")


SECTIONS = (
    ("setup", "Setup", draw_setup, False), ("portrait", "Portrait", draw_portrait, False), ("face", "Face", draw_face, True),
    ("mocap", "Mocap", draw_mocap, True), ("generate", "Generate", draw_generate, False), ("takes", "Takes", draw_takes, False),
)  # fmt: skip


def _panel(space: str, name: str, title: str, draw, closed: bool) -> type:
    """A panel class of one section for one editor."""

    def draw_panel(self, context: bpy.types.Context) -> None:
        draw(self.layout, context)

    prefix = "VIEW3D" if space == "VIEW_3D" else "SEQUENCER"
    return type(
        f"{prefix}_PT_mimaface_{name}",
        (bpy.types.Panel,),
        {
            "bl_space_type": space, "bl_region_type": "UI", "bl_category": "MIMAFace", "bl_label": title, "draw": draw_panel,
            "bl_options": {"DEFAULT_CLOSED"} if closed else set(),
        },
    )  # fmt: skip


CLASSES = (MIMAFACE_UL_takes, *(_panel(space, *section) for space in ("VIEW_3D", "SEQUENCE_EDITOR") for section in SECTIONS))


def register() -> None:
    for item in CLASSES:
        bpy.utils.register_class(item)


def unregister() -> None:
    for item in reversed(CLASSES):
        bpy.utils.unregister_class(item)
