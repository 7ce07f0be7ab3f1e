# SPDX-License-Identifier: GPL-3.0-or-later
"""The Live Capture panel: the input, the state of its stream, and the buttons that record it."""

from __future__ import annotations

from typing import Any

import bpy
from bpy.app.translations import pgettext_iface as iface_

from ..core.capture import SOURCES, Source
from ..core.words import n_
from ..protocol.captures import captures_folder
from ..scene import compat
from ..scene.settings import settings_of
from .capture import capture
from .texts import BOX, BUTTON, wrapped

LIGHTS: dict[str, Any] = {"tracking": "CHECKMARK", "lost": "ERROR", "silent": "ERROR", "waiting": "SORTTIME"}
WORDS = {
    "tracking": n_("a face is tracked"), "lost": n_("no face: check that the sender sees one"), "silent": n_("nothing comes any more"),
    "waiting": n_("nothing has come yet"),
}  # fmt: skip
HEARD = WORDS | {"tracking": n_("it is heard"), "lost": n_("nothing is heard")}  # of a microphone


def draw(layout: bpy.types.UILayout, context: bpy.types.Context) -> None:
    if capture.problem:
        wrapped(layout.box(), capture.problem, "ERROR", BOX)
    if capture.on:
        _draw_heard(layout)
    else:
        _draw_choice(layout, context)
        folder = captures_folder()
        if folder.is_dir():
            layout.operator("mimaface.import_motion", text="Kept Takes", icon="FILE_FOLDER").filepath = f"{folder}/"


def _draw_choice(layout: bpy.types.UILayout, context: bpy.types.Context) -> None:
    settings = settings_of(context.scene)
    source = next(item for item in SOURCES if item.kind == settings.stream_kind)
    column = layout.column(align=True)
    column.prop(settings, "stream_kind", text="")
    column.label(text=_named(source))
    column.prop(settings, "stream_host", text="")
    if source.port >= 0:
        column.prop(settings, "stream_port")
    elif source.is_camera and not settings.stream_host.strip():
        column.prop(settings, "stream_port", text="Number")
    wrapped(layout, iface_(source.setting), "INFO")
    layout.operator("mimaface.listen", icon="REC")


def _named(source: Source) -> str:
    """What the address of an input is."""
    if source.is_microphone:
        return n_("Name (empty: the usual one)")
    if source.is_camera:
        return n_("Name (empty: by number)")
    return n_("Address of the Phone") if source.phone else n_("Own Address (empty: all)")


def _draw_heard(layout: bpy.types.UILayout) -> None:
    row = layout.row(align=True)
    words = HEARD if capture.mouth_only else WORDS
    wrapped(row, f"{capture.name}, {capture.where}: {iface_(words[capture.light])}", LIGHTS[capture.light], BUTTON)
    if capture.take is None:
        row.operator("mimaface.stop_listening", text="", icon="X")
    if capture.told.get("note"):
        wrapped(layout, capture.told["note"], "ERROR")
    senders = capture.told.get("senders", [])
    column = layout.column(align=True)
    column.enabled = capture.take is None
    for index, sender in enumerate(senders if len(senders) > 1 else ()):
        icon: Any = "RADIOBUT_OFF" if index else "RADIOBUT_ON"
        column.operator("mimaface.choose_sender", text=sender, translate=False, icon=icon, depress=not index).sender = sender
    if capture.clip is not None:
        layout.label(text=f"{capture.told['rate']:.0f} /s, {1000 * capture.delay:.0f} ms")
        column = layout.column(align=True)
        for name, share in capture.levels():
            compat.level(column, name, share)
    if not capture.mouth_only:  # whose neutral is silence
        layout.operator("mimaface.set_neutral", icon="USER")
    if capture.take is not None:
        samples = max(capture.told.get("recorded", 0), 0)
        text = iface_("Recording from frame {start} on: {count} samples")
        wrapped(layout, text.format(start=capture.take.start, count=samples), "REC")
        layout.operator("mimaface.stop_recording", icon="SNAP_FACE")
    else:
        row = layout.row(align=True)
        row.operator("mimaface.record", icon="REC").punch_in = capture.mouth_only
        if not capture.mouth_only:  # which replaces no more than its frames of the mouth
            row.operator("mimaface.record", text="Punch In", icon="NLA").punch_in = True
