# SPDX-License-Identifier: GPL-3.0-or-later
"""Adjusting the fit by hand: points over the photograph that the artist drags, and the head fitted to them."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import bpy
import numpy as np

from ...core.activity import Activity
from ...core.words import n_, rpt_
from ...protocol.codec import Message
from ...scene import compat, photo, points, portraits, rig
from ...session import session
from .base import Operator, Refused, writable_rig


def fit_again(item: bpy.types.Object, label: str, changed: dict[str, Any], adjust: bool = False) -> None:
    """Have the head of a rig fitted with other fields of ``portrait.fit`` than before; then, or with ``adjust``, show its points.

    The points stay as they are when it cannot be done. Raises :class:`Refused` when the photograph is gone.
    """
    before, key, runtime = item[photo.TAG], item[rig.IDENTITY], session()
    content = photo.find(before)
    if content is None:
        sentence = rpt_("the photo {name} is not where it was: put it beside the .blend, then try again")
        raise Refused(sentence.format(name=portraits.photo_name(item)))
    paths: list[str] = changed.get("references", [])
    fields, file = photo.given(before) | changed, runtime.file_number

    def done(message: Message) -> None:
        found = next((other for other in bpy.data.objects if other.get(rig.IDENTITY) == key and rig.is_rig(other)), None)
        if file != runtime.file_number or found is None:
            runtime.fail(rpt_("the portrait whose head was to be fitted is no longer open: open it, then try again"))
            return
        with np.load(io.BytesIO(message.parts[0]), allow_pickle=False) as archive:
            mesh = {name: archive[name] for name in archive.files}
        with runtime.threads_held(), compat.in_scene(found.users_scene[0]):
            _take_over(bpy.context, found, message.fields, mesh, adjust)
        kept = {name: message.fields["points"][name] for name in message.fields.get("placed", [])}
        photo.remember(found, message.fields["portrait"], fields["references"] if message.fields.get("references") else [], kept)
        used = [rpt_("{count} reference photos are used").format(count=message.fields.get("references", 0))] if paths else []
        runtime.notice = "; ".join([*used, *message.fields.get("warnings", [])])
        runtime.steps.push(label, "portrait_loaded")

    if paths:
        to = rpt_("{count} reference photos").format(count=len(paths)) if len(paths) > 1 else Path(paths[0]).name
    else:
        to = rpt_("{count} points").format(count=len(fields["points"])) if fields["points"] else photo.name(before)
    activity = Activity(n_("Fitting the head to {name}"), to)
    runtime.ask("portrait.fit", fields, [content], done, runtime.fail, activity)


def _take_over(context: bpy.types.Context, item: bpy.types.Object, reply: dict[str, Any], mesh: dict[str, np.ndarray], adjust: bool) -> None:
    if reply["portrait"] != item[photo.TAG]:
        points.end(context, item)
        if item.override_library is None and portraits.part_of(item, "photo"):
            portraits.refit(context, item, reply, mesh)
        else:  # its handles belong to another file, or have no photograph to lie on
            portraits.rename(item, reply["portrait"])
    points.note(item, reply)
    if adjust:
        points.begin(context, item)
    else:
        points.end(context, item)


def adjustable_rig(context: bpy.types.Context) -> bpy.types.Object:
    """Returns the current rig if its head can be fitted again in this file. Raises :class:`Refused`."""
    item = writable_rig(context)
    if item.override_library is not None:
        raise Refused(rpt_("the handles of {name} belong to another file: open that file and adjust the fit there").format(name=item.name))
    if not portraits.part_of(item, "photo") or "mimaface_photo_size" not in item:
        raise Refused(rpt_("{name} has no photograph to place points on: add the portrait again").format(name=item.name))
    return item


class MIMAFACE_OT_adjust_fit(Operator):
    """Show the points of the face on the photograph: drag those that are wrong, then press Fit to Points"""

    bl_idname = "mimaface.adjust_fit"
    bl_label = "Adjust Fit"
    bl_options = {"REGISTER", "UNDO"}

    def work(self, context: bpy.types.Context) -> None:
        item = adjustable_rig(context)
        if points.wire(item) is None and not points.fitted(item):
            fit_again(item, self.bl_label, {}, adjust=True)  # fitted by an earlier version, without points
        else:
            points.begin(context, item)


class MIMAFACE_OT_fit_to_points(Operator):
    """Fit the head to the points that were moved, and keep them with the portrait"""

    bl_idname = "mimaface.fit_to_points"
    bl_label = "Fit to Points"
    bl_options = {"REGISTER", "UNDO"}

    def work(self, context: bpy.types.Context) -> None:
        item = adjustable_rig(context)
        if points.wire(item) is None:
            raise Refused(rpt_("no points are shown: press Adjust Fit first, and drag those that are wrong"))
        try:
            placed = points.read(item)
        except ValueError as error:
            raise Refused(str(error)) from error
        if placed == photo.points(item[photo.TAG]):
            points.end(context, item)
            session().notice = rpt_("no point was moved: the head stays as it was")
        else:
            fit_again(item, self.bl_label, {"points": placed})


class MIMAFACE_OT_cancel_fit(Operator):
    """Hide the points; the head stays as it was"""

    bl_idname = "mimaface.cancel_fit"
    bl_label = "Cancel Adjusting"
    bl_options = {"REGISTER", "UNDO"}

    def work(self, context: bpy.types.Context) -> None:
        points.end(context, adjustable_rig(context))


class MIMAFACE_OT_clear_points(Operator):
    """Fit the head to the detected points alone again"""

    bl_idname = "mimaface.clear_points"
    bl_label = "Remove Placed Points"
    bl_options = {"REGISTER", "UNDO"}

    def work(self, context: bpy.types.Context) -> None:
        fit_again(adjustable_rig(context), self.bl_label, {"points": {}})


CLASSES = (MIMAFACE_OT_adjust_fit, MIMAFACE_OT_fit_to_points, MIMAFACE_OT_cancel_fit, MIMAFACE_OT_clear_points)
