# SPDX-License-Identifier: GPL-3.0-or-later
"""Live in the image editor: where the photograph is open, the picture is drawn over it, with the same badge and wipe."""

from __future__ import annotations

from typing import Any

import bpy
from gpu_extras.batch import batch_for_shader

from ..scene import compat, portraits
from .live import badge, guarded, live, switched_on, texture_of, write

_drawing: list[Any] = []


def _draw() -> None:
    rig = portraits.current(bpy.context) if switched_on() else None
    image = getattr(bpy.context.space_data, "image", None)
    if rig is None or image is None or all(part.data != image for part in portraits.part_of(rig, "photo")):
        return
    view: Any = bpy.context.region.view2d
    left, low = view.view_to_region(0, 0, clip=False)
    right, high = view.view_to_region(1, 1, clip=False)
    write(badge(), left, high)
    if live.picture is None or live.picture.portrait != rig.get("mimaface_portrait"):
        return
    wipe = float(getattr(bpy.context.window_manager, "mimaface_wipe", 0.0))
    edge = left + wipe * (right - left)
    shader, inside = compat.image_shader(), ((wipe, 0), (1, 0), (1, 1), (wipe, 1))
    places = ((edge, low), (right, low), (right, high), (edge, high))
    shader.bind()
    shader.uniform_sampler("image", texture_of(live.picture))
    batch_for_shader(shader, "TRIS", {"pos": places, "texCoord": inside}, indices=((0, 1, 2), (2, 3, 0))).draw(shader)


def register() -> None:
    _drawing.append(bpy.types.SpaceImageEditor.draw_handler_add(guarded(_draw), (), "WINDOW", "POST_PIXEL"))


def unregister() -> None:
    while _drawing:
        bpy.types.SpaceImageEditor.draw_handler_remove(_drawing.pop(), "WINDOW")
