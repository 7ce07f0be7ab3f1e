# SPDX-License-Identifier: GPL-3.0-or-later
"""Live in the 3D view: draws the newest picture over the photograph's plane, with badge and wipe; drawing functions of all editors."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, cast

import blf
import bpy
import gpu
from bpy.app.translations import pgettext_iface as iface_
from bpy_extras.view3d_utils import location_3d_to_region_2d
from gpu_extras.batch import batch_for_shader
from mathutils import Vector

from ..core.previews import PROJECTED, UNANSWERED, Picture
from ..core.words import n_
from ..protocol.people import apart
from ..scene import compat, film, points, portraits
from ..session import session
from .live import guarded, live, switched_on

IN_FRONT = 0.002  # share of the photograph's height by which the picture is drawn in front of it
LINE = (1.0, 1.0, 1.0, 1.0)  # RGBA of the wipe's edge
NAMES = {PROJECTED: n_("Projected"), "demo": n_("Generated"), "released": n_("Released")}  # of engines, as the panel offers them
BADGE = 12.0  # points, size of the badge's text
BARS = ("HEADER", "TOOL_HEADER", "TOOLS", "FOOTER", "ASSET_SHELF", "ASSET_SHELF_HEADER")  # regions that overlap the drawing
_drawing: list[Any] = []


def badge() -> str:
    """Returns the badge's text: the shown picture's renderer and delay, or why there is no picture."""
    backend, waited = session().backend, live.previews.waited
    if backend.state == "stopped" and not backend.began:
        return ""
    if backend.state == "starting":
        return iface_("Live: the backend starts")
    if backend.state == "installing":
        return iface_("Live: the backend is being installed")
    if backend.state != "ready":
        return iface_("Live: the backend is not running; press Start")
    if waited > UNANSWERED:
        return iface_("Live: waiting for the backend ({seconds:.0f} s)").format(seconds=waited)
    if live.previews.problem:
        return iface_("Live: {problem}").format(problem=live.previews.problem)
    if live.picture is None:
        return ""
    return f"{iface_(NAMES[live.picture.engine])} · {1000 * live.picture.delay:.0f} ms"


def _shown() -> bpy.types.Object | None:
    """Returns the photograph's plane if this view shows it and no points are being placed on it, else None."""
    rig = portraits.current(bpy.context) if switched_on() else None
    if rig is None or points.wire(rig) is not None or (live.picture is not None and film.source(rig) not in apart(live.picture.portrait)):
        return None
    local = cast(bpy.types.SpaceView3D, bpy.context.space_data).local_view is not None
    return next((part for part in portraits.part_of(rig, "photo") if part.visible_get() or (local and _alone(rig, part))), None)


def _alone(rig: bpy.types.Object, photo: bpy.types.Object) -> bool:
    """Whether a local view has the rig, whose photograph, which cannot be selected, is not in it though it is not hidden."""
    return rig.visible_get() and not photo.hide_get() and not photo.hide_viewport


def texture_of(picture: Picture) -> Any:
    """Returns the texture of the shown picture."""
    if live.texture is None:
        height, width = picture.pixels.shape[:2]
        pixels: Any = picture.pixels.ravel()
        live.texture = gpu.types.GPUTexture((width, height), format="RGBA32F", data=gpu.types.Buffer("FLOAT", height * width * 4, pixels))
    return live.texture


def _draw_picture() -> None:
    photo = _shown()
    if photo is None:
        return
    corners = portraits.corners(photo)
    _measure(corners)
    if live.picture is None:
        return
    started, new = time.perf_counter(), live.texture is None
    texture = texture_of(live.picture)
    forward = (photo.matrix_world.to_3x3() @ Vector((0, 0, 1))).normalized() * (corners[3] - corners[0]).length * IN_FRONT
    gpu.state.depth_test_set("LESS_EQUAL")
    gpu.state.depth_mask_set(True)
    draw_between([corner + forward for corner in corners], texture)
    gpu.state.depth_mask_set(False)
    gpu.state.depth_test_set("NONE")
    if new:
        live.main_thread_seconds.append(time.perf_counter() - started)


def draw_between(corners: Sequence[Vector], texture: Any) -> None:
    """Draw the picture between these corners (x, y, z), counter-clockwise from the lower left, on its side of the wipe."""
    wipe = float(getattr(bpy.context.window_manager, "mimaface_wipe", 0.0))
    low, high = corners[0].lerp(corners[1], wipe)[:], corners[3].lerp(corners[2], wipe)[:]
    places, inside = (low, corners[1][:], corners[2][:], high), ((wipe, 0), (1, 0), (1, 1), (wipe, 1))
    shader = compat.image_shader()
    batch = batch_for_shader(shader, "TRIS", {"pos": places, "texCoord": inside}, indices=((0, 1, 2), (2, 3, 0)))
    shader.bind()
    shader.uniform_sampler("image", texture)
    batch.draw(shader)
    if 0 < wipe < 1:
        edge = compat.colour_shader()
        edge.bind()
        edge.uniform_float("color", LINE)
        batch_for_shader(edge, "LINES", {"pos": [low, high]}).draw(edge)


def _measure(corners: list[Any]) -> None:
    """Note the size on the screen of the photograph with these corners."""
    region, view = bpy.context.region, bpy.context.region_data
    points = [location_3d_to_region_2d(region, view, corner) for corner in corners]
    if any(point is None for point in points):
        return
    seen(int(max((points[1] - points[0]).length, (points[3] - points[0]).length)))


def seen(size: int) -> None:
    """Note the pixels of the photograph's longer side in the region being drawn."""
    before = live.fine
    live.sizes[bpy.context.region.as_pointer()] = size
    live.dirty = live.dirty or live.fine != before


def _draw_badge() -> None:
    photo = _shown()
    text = badge() if photo is not None else ""
    corner = portraits.corners(photo)[3] if photo is not None and text else None
    place = corner and location_3d_to_region_2d(bpy.context.region, bpy.context.region_data, corner)
    if place is not None:
        write(text, place[0], place[1])


def write(text: str, x: float, y: float) -> None:
    """Draw the badge above a picture whose upper left corner is at these pixels of the region; below, where the editor's bars take the space."""
    size, region = BADGE * bpy.context.preferences.system.ui_scale, bpy.context.region
    bars = [bar for bar in bpy.context.area.regions if bar.type in BARS and bar.width > 1 and bar.height > 1]
    top = min([region.y + region.height, *(bar.y for bar in bars if bar.alignment == "TOP")]) - region.y
    bottom = max([region.y, *(bar.y + bar.height for bar in bars if bar.alignment == "BOTTOM")]) - region.y
    left = max([region.x, *(bar.x + bar.width for bar in bars if bar.alignment == "LEFT")]) - region.x
    blf.size(0, size)
    blf.enable(0, blf.SHADOW)
    blf.shadow(0, 3, 0, 0, 0, 1)
    blf.color(0, 1, 1, 1, 1)
    blf.position(0, max(x, left + 4), (y if y + 2 * size < top else bottom) + size / 2, 0)
    blf.draw(0, text)
    blf.disable(0, blf.SHADOW)


def register() -> None:
    for draw, when in ((_draw_picture, "POST_VIEW"), (_draw_badge, "POST_PIXEL")):
        _drawing.append(bpy.types.SpaceView3D.draw_handler_add(guarded(draw), (), "WINDOW", when))


def unregister() -> None:
    while _drawing:
        bpy.types.SpaceView3D.draw_handler_remove(_drawing.pop(), "WINDOW")
