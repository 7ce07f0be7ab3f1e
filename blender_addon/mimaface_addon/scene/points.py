# SPDX-License-Identifier: GPL-3.0-or-later
"""The points of a portrait's fit as a wire over its photograph: its corners are dragged as those of any mesh, undo and all.

A corner knows its point by a number that goes with it; where it lies is read in the plane of the photograph.
"""

from __future__ import annotations

import json
from typing import Any, cast

import bmesh
import bpy
import numpy as np
from mathutils import Vector

from ..core.words import rpt_
from ..protocol.points import CONTOURS, NAMES
from . import photo, portraits, rig

KIND = "points"  # kind of a rig's part
FITTED = "mimaface_fitted"  # property of a rig: id and points of its portrait's fit
NUMBER = "mimaface_point"  # attribute of a vertex: its index in NAMES, from 1; 0 for an added vertex
HIDDEN = "mimaface_hidden"  # property of a wire: the rig was visible, and is shown again when the wire is removed
MOVED = 0.25  # pixels from its fitted position at which a point counts as placed. Higher: small moves are lost
BEFORE = 0.004  # share of the photograph's height by which the wire lies in front of it


def note(item: bpy.types.Object, fields: dict[str, Any]) -> None:
    """Store the points of ``portrait.fit.reply`` on a rig."""
    item[FITTED] = json.dumps({"portrait": fields["portrait"], "points": fields.get("points", {})})


def fitted(item: bpy.types.Object) -> dict[str, list[float]]:
    """Returns the fitted points of a rig's portrait, name → pixels; {} for one that was fitted by an earlier version."""
    kept = json.loads(item.get(FITTED, "{}"))
    found: dict[str, list[float]] = kept.get("points", {}) if kept.get("portrait") == item[photo.TAG] else {}
    return found


def wire(item: bpy.types.Object) -> bpy.types.Object | None:
    """Returns the wire of a rig while its fit is adjusted, else None."""
    return next(iter(portraits.part_of(item, KIND)), None)


def begin(context: bpy.types.Context, item: bpy.types.Object) -> bpy.types.Object:
    """Show the points of a rig over its photograph, in Edit Mode; an existing wire stays unchanged."""
    made = wire(item) or _make(item)
    active = context.view_layer.objects.active
    if active is not None and active.mode != "OBJECT":
        bpy.ops.object.mode_set(mode="OBJECT")
    for other in list(context.view_layer.objects.selected):
        other.select_set(False)
    context.view_layer.objects.active = made
    made.select_set(True)
    if item.visible_get():
        item.hide_set(True)  # its handles would cover the points
        made[HIDDEN] = True
    context.view_layer.update()
    low, high = made.bound_box[0], made.bound_box[6]
    ends = (made.matrix_world @ Vector((*place[:2], 0)) for place in (low, high))
    portraits.look_at(item, *ends)
    bpy.ops.object.mode_set(mode="EDIT")
    bpy.ops.mesh.select_mode(type="VERT")
    bpy.ops.mesh.select_all(action="DESELECT")
    return made


def end(context: bpy.types.Context, item: bpy.types.Object) -> None:
    """Remove the wire and return to posing the rig."""
    made = wire(item)
    if made is not None:
        if made.mode != "OBJECT":
            bpy.ops.object.mode_set(mode="OBJECT")
        mesh = cast(bpy.types.Mesh, made.data)
        if HIDDEN in made:
            item.hide_set(False)
        bpy.data.objects.remove(made)
        bpy.data.meshes.remove(mesh)
        corners = portraits.corners(portraits.part_of(item, "photo")[0])
        portraits.look_at(item, corners[0], corners[2])
    if item.visible_get():
        context.view_layer.objects.active = item
        item.select_set(True)
        bpy.ops.object.mode_set(mode="POSE")


def read(item: bpy.types.Object) -> dict[str, list[float]]:
    """Returns the moved and the earlier placed points, name → pixels; deleted vertices are left out.

    Raises :class:`ValueError` with a sentence when a point is there twice.
    """
    made = wire(item)
    if made is None:
        return {}
    found: dict[str, list[float]] = {}
    for number, flat in _corners(made):
        if not 0 < number <= len(NAMES):
            continue
        place = flat / _size(item) * [1, -1] + 0.5
        name = NAMES[number - 1]
        if name in found:
            sentence = rpt_("the point “{name}” is there twice: delete one of them, or press Cancel and begin again")
            raise ValueError(sentence.format(name=name))
        found[name] = (place * _pixels(item)).tolist()
    before, placed = fitted(item), photo.points(item[photo.TAG])
    moved = {name for name, place in found.items() if np.abs(np.subtract(place, before.get(name, (-9, -9)))).max() > MOVED}
    return {name: [round(value, 2) for value in found[name]] if name in moved else placed[name] for name in found if name in moved or name in placed}


def _corners(made: bpy.types.Object) -> list[tuple[int, np.ndarray]]:
    """Yields number and position (2,), in metres of the plane, of every vertex of a wire, in Edit Mode or not."""
    mesh = cast(bpy.types.Mesh, made.data)
    if made.mode != "EDIT":
        numbers = cast(Any, mesh.attributes[NUMBER]).data
        return [(numbers[corner.index].value, np.array(corner.co[:2])) for corner in mesh.vertices]
    edited = bmesh.from_edit_mesh(mesh)
    layer = edited.verts.layers.int[NUMBER]
    return [(corner[layer], np.array(corner.co[:2])) for corner in edited.verts]


def _make(item: bpy.types.Object) -> bpy.types.Object:
    """Returns a wire through all points of the fit, in the plane of the photograph."""
    places, plane = fitted(item), portraits.part_of(item, "photo")[0]
    names = [name for name in NAMES if name in places]
    flat = (np.array([places[name] for name in names]) / _pixels(item) - 0.5) * [1, -1] * _size(item)
    edges = [(names.index(a), names.index(b)) for chain in CONTOURS for a, b in zip(chain, chain[1:]) if a in places and b in places]
    mesh = bpy.data.meshes.new(f"{item.name} points")
    mesh.from_pydata(np.concatenate([flat, np.full((len(flat), 1), BEFORE * _size(item)[1])], axis=1).tolist(), edges, [])
    numbers = mesh.attributes.new(NUMBER, "INT", "POINT")
    cast(Any, numbers).data.foreach_set("value", np.array([NAMES.index(name) + 1 for name in names], np.int32))
    made = bpy.data.objects.new(mesh.name, mesh)
    made.parent, made.location, made.rotation_euler = item, plane.location, plane.rotation_euler
    made[rig.PART], made[rig.IDENTITY] = KIND, item[rig.IDENTITY]
    made.show_in_front, made.hide_render = True, True
    made.lock_location = made.lock_rotation = made.lock_scale = cast(Any, (True, True, True))
    item.users_collection[0].objects.link(made)
    return made


def _pixels(item: bpy.types.Object) -> np.ndarray:
    return np.array(item["mimaface_photo_size"], float)


def _size(item: bpy.types.Object) -> np.ndarray:
    """Returns width and height of the photograph's plane, metres, local."""
    plane = portraits.part_of(item, "photo")[0]
    return np.asarray(plane.empty_display_size * _pixels(item) / _pixels(item).max())
