# SPDX-License-Identifier: GPL-3.0-or-later
"""Live in the image editor, over the open photograph, and in the sequencer's preview, at the position of a take.

Over strips at the current frame Live is drawn only while the pose is being moved.
"""

from __future__ import annotations

import math
from typing import Any

import bpy
from mathutils import Matrix, Vector

from ..protocol.people import apart
from ..scene import compat, film, portraits, strips
from .capture import driven
from .live import guarded, live, switched_on
from .live_view import badge, draw_between, seen, texture_of, write

SAME_SHAPE = 0.01  # relative difference of aspect ratios up to which a strip shows the whole photograph, because pixels are rounded
_drawing: list[tuple[Any, Any, str]] = []


def _draw_in_image_editor() -> None:
    rig = portraits.current(bpy.context) if switched_on() else None
    image = getattr(bpy.context.space_data, "image", None)
    if rig is not None and image is not None and any(part.data == image for part in portraits.part_of(rig, "photo")):
        _draw(rig, [(0, 0), (1, 0), (1, 1), (0, 1)])


def _draw_in_preview() -> None:
    rig = portraits.current(bpy.context) if switched_on() else None
    scene = compat.sequencer_scene(bpy.context)
    if rig is None or scene != bpy.context.scene or getattr(bpy.context.space_data, "display_mode", "IMAGE") != "IMAGE":
        return
    shown = strips.shown_at(scene, scene.frame_current)
    if not shown or live.by_hand or driven.key is not None:
        _draw(rig, _in_frame(scene, shown))


def _in_frame(scene: bpy.types.Scene, shown: list[Any]) -> list[tuple[float, float]]:
    """Returns the photograph's corners in the preview, whose middle is 0: those of its topmost take, else of a new take."""
    render = scene.render
    height, width = live.picture.pixels.shape[:2] if live.picture is not None else (1, 1)
    stretch = render.pixel_aspect_x / render.pixel_aspect_y
    scale = min(render.resolution_x / width, render.resolution_y / height)
    where = Matrix.Diagonal((scale * width, scale * height, 1, 1))
    for strip in shown:
        made = strip.elements[0] if strips.TAG in strip and len(strip.elements) else None
        if made is not None and made.orig_height and abs(made.orig_width / made.orig_height * height / width - 1) < SAME_SHAPE:
            place = strip.transform
            turned = Matrix.Rotation(place.rotation, 4, "Z")
            size = Matrix.Diagonal((place.scale_x * made.orig_width, place.scale_y * made.orig_height, 1, 1))
            where = Matrix.Translation((place.offset_x, place.offset_y, 0)) @ turned @ size
            break
    corners = (where @ Vector((x, y, 0)) for x, y in ((-0.5, -0.5), (0.5, -0.5), (0.5, 0.5), (-0.5, 0.5)))
    return [(corner.x * stretch, corner.y) for corner in corners]


def _draw(rig: bpy.types.Object, corners: list[tuple[float, float]]) -> None:
    """Draw the picture between these corners of the view, counter-clockwise from the lower left."""
    view: Any = bpy.context.region.view2d
    places = [Vector((*view.view_to_region(*corner, clip=False), 0)) for corner in corners]
    seen(math.ceil(max((places[1] - places[0]).length, (places[3] - places[0]).length)))
    write(badge(), places[3].x, places[3].y)
    if live.picture is None or film.source(rig) not in apart(live.picture.portrait):
        return
    draw_between(places, texture_of(live.picture))


def register() -> None:
    for space, draw, region in (
        (bpy.types.SpaceImageEditor, _draw_in_image_editor, "WINDOW"), (bpy.types.SpaceSequenceEditor, _draw_in_preview, "PREVIEW"),
    ):  # fmt: skip
        _drawing.append((space, space.draw_handler_add(guarded(draw), (), region, "POST_PIXEL"), region))


def unregister() -> None:
    while _drawing:
        space, handler, region = _drawing.pop()
        space.draw_handler_remove(handler, region)
