# SPDX-License-Identifier: GPL-3.0-or-later
"""The MIMAFace tab in the sidebars of the 3D view and the sequencer."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import bpy
from bpy.app.translations import pgettext_iface as iface_

from ..core.backend import NONE_INSTALLED
from ..core.words import n_
from ..interpreter import PACKAGE, backend_python, outdated
from ..protocol.arkit import BLENDSHAPE_NAMES
from ..scene import bake, compat, face, film, gazing, photo, points, portraits, speech, strips
from ..scene.rig import GAZE_CHANNELS
from ..scene.settings import Take, settings_of
from ..scene.takes import ACTIVE
from ..session import session
from . import capture_panel, options
from .operators.portrait import faceless
from .texts import BOX, BUTTON, named, wrapped

LIGHTS: dict[str, Any] = {
    "ready": "CHECKMARK", "installing": "IMPORT", "starting": "SORTTIME", "stopped": "RADIOBUT_OFF", "lost": "ERROR",
}  # fmt: skip
STAGES = {"waiting": n_("Waiting for its turn"), "loading": n_("Loading the model")}  # of a take, before its frames come
WORDS = {
    "ready": n_("Ready"), "installing": n_("Installing"), "starting": n_("Starting"), "stopped": n_("Stopped"), "lost": n_("Not running"),
}  # fmt: skip
STATES: dict[str, Any] = {
    "done": "CHECKMARK",
    "rendering": "RENDER_ANIMATION",
    "waiting": "SORTTIME",
    "cancelled": "X",
    "failed": "ERROR",
    "interrupted": "ERROR",
}
FAILED = " failed "  # in the backend's words about a runtime of networks that is used no more
NAMES_SHARE = 0.4  # of a line of the Face panel that the slider's name takes: enough for "Lower Down" in a sidebar as Blender opens it
STATE_SHARE = 0.62  # of the first line of Setup: enough for "Starting (12 s)" in a sidebar as Blender opens it
NAMED = ("tongue", "cheek", "nose")  # parts that share a group with another part


def draw_setup(layout: bpy.types.UILayout, context: bpy.types.Context) -> None:
    runtime = session()
    backend, state, python = runtime.backend, runtime.backend.state, backend_python()
    row = layout.split(factor=STATE_SHARE)
    row.label(text=f"{iface_(WORDS[state])}{backend.progress() if state == 'starting' else ''}", icon=LIGHTS[state])
    if state not in ("stopped", "lost"):
        row.operator("mimaface.stop", text="Cancel" if state == "installing" else "Stop")
    elif python is not None:
        row.operator("mimaface.start", text="Start")
    if state == "installing":
        wrapped(layout, upper(backend.progress()), "SORTTIME")
    for activity in runtime.requests.activities:
        row = layout.row(align=True)
        wrapped(row, activity.sentence(), "SORTTIME", BUTTON)
        row.operator("mimaface.cancel_request", text="", icon="X").number = activity.number
    text = backend.problem or runtime.last_error
    none = not text and state in ("stopped", "lost") and python is None
    if none:
        text = iface_(NONE_INSTALLED)
    if text:
        box = layout.box()
        wrapped(box, text, "ERROR", BOX)
        if none or (backend.problem and backend.doubtful):
            box.operator("mimaface.install", icon="IMPORT")
            if context.area is None or context.area.type != "PREFERENCES":
                box.operator("preferences.addon_show", text="Open Preferences", icon="PREFERENCES").module = PACKAGE
        box.operator("mimaface.copy_report", icon="COPYDOWN")
    if python is not None and state != "installing" and outdated(python):
        wrapped(layout, iface_("The backend was installed by another version of the add-on"), "INFO")
        layout.operator("mimaface.install", text="Update Backend", icon="FILE_REFRESH")
    if runtime.notice:
        wrapped(layout, runtime.notice, "INFO")


def upper(sentence: str) -> str:
    """Returns the sentence as it begins by itself."""
    return sentence[:1].upper() + sentence[1:]


def draw_portrait(layout: bpy.types.UILayout, context: bpy.types.Context) -> None:
    settings, item = settings_of(context.scene), portraits.current(context)
    layout.operator("mimaface.load_portrait", icon="USER")
    if faceless():
        row = layout.row()
        row.operator_context = "EXEC_DEFAULT"
        again: Any = row.operator("mimaface.load_portrait", text="Place Points", icon="CURSOR")
        again.filepath, again.template = faceless(), True
    if item is None:
        many = any(portraits.owner(other) is other for other in context.scene.objects)
        text = n_("Select one of the portrait rigs") if many else n_("Choose a photo: the head is fitted to it and a rig is built")
        wrapped(layout, iface_(text))
        return
    row = layout.row(align=True)
    if settings.pinned and settings.rig == item:
        row.prop(settings, "rig", text="")
    else:
        row.label(text=item.name, icon="ARMATURE_DATA")
    row.operator("mimaface.pin", text="", icon="PINNED" if settings.pinned else "UNPINNED", depress=settings.pinned)
    wrapped(layout, portraits.photo_name(item), "IMAGE_DATA")
    row = layout.row(align=True)
    row.operator("mimaface.add_references", icon="IMAGE_REFERENCE")
    if photo.references(item.get(photo.TAG, "")):
        row.operator("mimaface.clear_references", text="", icon="X")
    row = layout.row(align=True)
    wire = points.wire(item)
    if wire is not None:
        row.operator("mimaface.fit_to_points", icon="CHECKMARK")
        if wire.mode != "EDIT":
            row.operator("mimaface.adjust_fit", text="", icon="EDITMODE_HLT")
        row.operator("mimaface.cancel_fit", text="", icon="X")
    else:
        row.operator("mimaface.adjust_fit", icon="MESH_GRID")
        if photo.points(item.get(photo.TAG, "")):
            row.operator("mimaface.clear_points", text="", icon="X")
    row = layout.row(align=True)
    row.prop(context.window_manager, "mimaface_live", toggle=True, icon="PLAY")
    if getattr(context.window_manager, "mimaface_live", False):
        layout.prop(context.window_manager, "mimaface_wipe", slider=True)
    shown = not any(part.hide_viewport for part in portraits.part_of(item, "head"))
    row.operator("mimaface.mesh_head", icon="MESH_UVSPHERE", depress=shown)


def draw_face(layout: bpy.types.UILayout, context: bpy.types.Context) -> None:
    item = portraits.current(context)
    if item is None:
        layout.label(text="No portrait selected", icon="INFO")
        return
    wrapped(layout, iface_("{name}: pose the handles, or key these sliders").format(name=item.name))
    for names in (("reset_face", "mirror_face"), ("key_face", "save_pose")):
        row = layout.row(align=True)
        for name in names:
            row.operator(f"mimaface.{name}")
    if gazing.has(item):
        row = layout.row(align=True)
        for place, text in (("HEAD", n_("In Head")), ("WORLD", n_("In World"))):
            row.operator("mimaface.gaze", text=text, depress=gazing.place_of(item) == place).place = place
        layout.operator("mimaface.gaze", text="Look at Camera", icon="CAMERA_DATA", depress=gazing.place_of(item) == "CAMERA").place = "CAMERA"
    sliders = set(face.sliders(item))
    groups = [("Gaze", [name for name in GAZE_CHANNELS if name in sliders])]
    groups += [(title, [name for name in BLENDSHAPE_NAMES if name.startswith(starts) and name in sliders]) for title, starts in bake.GROUPS]
    for title, found in groups:
        column = layout.column(align=True)
        row = _sides(column, title.replace(" and", ","))
        row.label(text="Right")
        row.label(text="Left")
        for name in found:
            other = face.mirrored_slider(name)[0]
            if other == name or other not in found:
                _sides(column, plain(name)).prop(item, f'["{name}"]', text="", slider=True)
            elif found.index(name) < found.index(other):
                row = _sides(column, plain(name))
                for side in sorted((name, other), key=lambda side: "left" in side.lower()):
                    row.prop(item, f'["{side}"]', text="", slider=True)


def _sides(layout: bpy.types.UILayout, text: str) -> bpy.types.UILayout:
    """Returns a row with a label and two columns for the subject's right and left, as seen from the front."""
    split = layout.split(factor=NAMES_SHARE, align=True)
    split.label(text=text)
    return split.row(align=True)


def plain(name: str) -> str:
    """Returns a slider's label below the title of its group: ``mouthLowerDownLeft`` is *Lower Down*."""
    words = re.sub("([A-Z])", r" \1", name.replace("_", " ")).split()
    sides = ("Left", "Right", "left", "right") if len(words) > 2 or words[0] == "gaze" else ()
    kept = [word for word in words[1:] if word not in sides]
    kept = [words[0], *kept] if words[0] in NAMED else kept
    return " ".join(word.capitalize() for word in kept) if len(words) > 2 or words[1] not in ("Left", "Right") else "Sideways"


def draw_mocap(layout: bpy.types.UILayout, context: bpy.types.Context) -> None:
    item = portraits.current(context)
    options.draw(layout, settings_of(context.scene))
    layout.operator("mimaface.import_motion", icon="ANIM")
    layout.operator("mimaface.pose_from_photo", icon="IMAGE_DATA")
    if item is not None:
        if speech.of(speech.action_of(item)) is not None:
            layout.operator("mimaface.update_from_markers", icon="MARKER_HLT")
        layout.operator("mimaface.reduce_keys", icon="IPO_LINEAR")
        layout.prop(item, '["mocap_influence"]', text="Influence", slider=True)


def draw_generate(layout: bpy.types.UILayout, context: bpy.types.Context) -> None:
    settings, scene, item = settings_of(context.scene), context.scene, portraits.current(context)
    column = layout.column(align=True)
    column.prop(settings, "engine", text="")
    lacking = session().requests.lacking.get(settings.engine, "")
    if lacking:
        wrapped(column, iface_("Cannot be used here: {reason}").format(reason=lacking), "ERROR")
    for line in session().requests.networks.get(settings.engine, "").split("; "):
        if line:
            wrapped(column, upper(line), "ERROR" if FAILED in line else "INFO")
    if settings.engine != "proxy":  # which has no model to sample
        column.prop(settings, "quality", text="")
    column.prop(settings, "framing", text="")
    column.prop(settings, "size")
    if item is not None and portraits.photo_size(item) and not 0 < settings.size <= portraits.photo_size(item):
        text = iface_("The photo has {size} pixels, and so will the frames")
        wrapped(column, text.format(size=portraits.photo_size(item)), "INFO")
    column.prop(settings, "transparent")
    column.prop(settings, "watermark")
    if not settings.watermark:
        wrapped(column, iface_("Frames without a watermark are for intermediate work; their credentials say so"), "INFO")
    if item is not None:
        named(layout, item, "mimaface_consent", "Consent")
    column.prop(settings, "body_follows", slider=True)
    column.label(text="Only")
    column.column(align=True).prop(settings, "only")
    shot = None if item is None else film.of(item)
    if item is not None and shot is None:
        _draw_people(layout, context, item)
    if shot is not None:
        _draw_film(layout, scene, shot)
        frames = range(shot.start, shot.last + 1)
    else:
        frames = _draw_range(layout, scene)
    row = layout.row()
    row.scale_y = 1.5
    row.enabled = item is not None and not lacking
    row.operator("mimaface.generate", icon="RENDER_ANIMATION", text=iface_("Generate {count} Frames").format(count=len(frames)))


def _draw_range(layout: bpy.types.UILayout, scene: bpy.types.Scene) -> range:
    """Which frames of the scene a take has, where not all."""
    frames = bake.shot_frames(scene)
    if scene.use_preview_range or scene.frame_step > 1:
        text = n_("Frames {start} to {end} of the preview range") if scene.use_preview_range else n_("Frames {start} to {end} of the scene")
        step = iface_(", every {step}th frame").format(step=scene.frame_step) if scene.frame_step > 1 else ""
        wrapped(layout, iface_(text).format(start=frames[0], end=frames[-1]) + step, "PREVIEW_RANGE")
    return frames


def _draw_film(layout: bpy.types.UILayout, scene: bpy.types.Scene, shot: film.Film) -> None:
    """Which frames of the scene are the film's, and what is to be set first."""
    settings = settings_of(scene)
    layout.prop(settings, "absolute")
    if settings.absolute:
        text = iface_("All of the film, frames {start} to {end}: the rig's motion replaces its own")
    else:
        text = iface_("All of the film, frames {start} to {end}: the rig's motion is added to it")
    wrapped(layout, text.format(start=shot.start, end=shot.last), "FILE_MOVIE")
    rate = bake.frames_per_second(scene)
    if abs(rate - shot.rate) > film.SAME_RATE:
        text = film.different_rate(shot, rate)
        wrapped(layout, iface_("{problem}: set Frame Rate in the Output properties").format(problem=upper(text)), "ERROR")


def _draw_people(layout: bpy.types.UILayout, context: bpy.types.Context, item: bpy.types.Object) -> None:
    """Who else is animated in the same pass."""
    try:
        others = [each.name for each in portraits.people_of(context.scene, item) if each != item]
    except ValueError as error:
        wrapped(layout, str(error), "ERROR")
        return
    if others:
        wrapped(layout, iface_("Together with {names}: people of one picture").format(names=", ".join(others)), "COMMUNITY")


def draw_takes(layout: bpy.types.UILayout, context: bpy.types.Context) -> None:
    settings = settings_of(compat.sequencer_scene(context))
    layout.template_list("MIMAFACE_UL_takes", "", settings, "takes", settings, "active_take", rows=3)
    layout.operator("mimaface.find_takes", icon="VIEWZOOM")
    if not 0 <= settings.active_take < len(settings.takes):
        return
    take = settings.takes[settings.active_take]
    if take.message:
        wrapped(layout, take.message, "INFO")
    if take.state in ACTIVE and stage_of(take):
        wrapped(layout, stage_of(take), "SORTTIME")
    if take.state in ACTIVE:
        layout.operator("mimaface.cancel", icon="X")
    elif take.state != "done":
        layout.operator("mimaface.resume", icon="PLAY")
    found = strips.find_all(take.id_data, take.uuid)
    if found and not compat.sequencer_shown():
        wrapped(layout, iface_("Its strip is in the sequencer: choose Video Sequencer as the type of any editor"), "SEQUENCE")
    row = layout.row(align=True)
    row.operator("mimaface.open_take_folder", text="Folder", icon="FILE_FOLDER")
    if take.placed and not found:
        row.operator("mimaface.place_take", text="Strip", icon="ADD")
    row.operator("mimaface.remove_take", text="Remove", icon="TRASH")


def stage_of(take: Take) -> str:
    """Returns the stage of an unfinished take as text; "" while frames are rendered."""
    runtime = session()
    if runtime.backend.state == "starting":
        return f"{iface_('Starting the backend')}{runtime.backend.progress()}"
    return iface_(STAGES.get(runtime.stages.get(take.job, ""), ""))


class MIMAFACE_UL_takes(bpy.types.UIList):
    def draw_item(  # house: Blender's own parameters
        self, context: bpy.types.Context, layout: bpy.types.UILayout, data: Any, item: Any,
        icon: Any, active_data: Any, active_property: Any, index: Any,
    ) -> None:  # fmt: skip
        layout.prop(item, "name", text="", emboss=False, icon=STATES.get(item.state, "DOT"))
        row = layout.row(align=True)
        row.alignment = "RIGHT"
        row.label(text=str(item.frames) if item.state == "done" else f"{item.done}/{item.frames}")
        row.prop(item, "hidden", text="", emboss=False, icon="HIDE_ON" if item.hidden else "HIDE_OFF")


SECTIONS = (
    ("setup", "Setup", draw_setup, False), ("portrait", "Portrait", draw_portrait, False), ("face", "Face", draw_face, True),
    ("mocap", "Mocap", draw_mocap, True), ("capture", "Live Capture", capture_panel.draw, True),
    ("generate", "Generate", draw_generate, False), ("takes", "Takes", draw_takes, False),
)  # fmt: skip


def _panel(space: str, name: str, title: str, draw: Callable[[bpy.types.UILayout, bpy.types.Context], None], closed: bool) -> type:
    """Returns the panel class of a section for one editor."""

    def draw_panel(self: bpy.types.Panel, context: bpy.types.Context) -> None:
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
