# SPDX-License-Identifier: GPL-3.0-or-later
"""Live: the photograph moves under the artist's hand, in its own place in the 3D view.

Handlers read the pose that Blender has just evaluated and hand it on; a timer looks for pictures; a draw handler puts the newest one over the
photograph's plane. No datablock is touched, so there are no undo steps; nothing here waits.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections import deque
from typing import Any

import blf
import bpy
import gpu
import numpy as np
from bpy_extras.view3d_utils import location_3d_to_region_2d
from gpu_extras.batch import batch_for_shader
from mathutils import Vector

from .. import sending
from ..core.previews import PROJECTED, UNANSWERED, Picture, Pose, Previews
from ..protocol.client import Client
from ..scene import compat, points, portraits, posing
from ..scene.settings import settings_of
from ..session import running, session
from .capture import driven

log = logging.getLogger(__name__)
QUICK, IDLE = 0.01, 0.05  # seconds between looks for a picture: while one is awaited, and else
SIZES = (256, 384, 512, 768, 1024)  # pixels of the longer side: few, for each is a session in the backend
MOVING = 512  # pixels of the longer side at most while the hand moves; more is sharper and later
IN_FRONT = 0.002  # of the photograph's height: how far before it the picture is drawn
LINE = (1.0, 1.0, 1.0, 1.0)  # of the wipe's edge
BADGE = 12.0  # points


class Live:
    """What is shown and what was asked for last. Holds no reference into Blender's data."""

    def __init__(self) -> None:
        self.previews = Previews()
        self.picture: Picture | None = None  # the one that is shown
        self.texture: Any = None  # of it; made when it is drawn
        self.dirty = True  # a pose may have changed that nobody has looked at
        self.seen = 384  # pixels of the photograph's longer side on the screen
        self.rig = ""  # whose pose was asked for last
        self.values = np.zeros(0)  # of the pose that was asked for last
        self.key: tuple[object, ...] = ()  # what else it was asked with
        self.mistake = ""  # the last one of the add-on's own that is in the log
        self.healed: set[str] = set()  # portraits that were given to the backend again
        self.main_thread_seconds: deque[float] = deque(maxlen=10_000)  # that following a pose and drawing a new picture took

    def forget(self) -> None:
        """Another file, or switched off: nothing is shown or awaited."""
        self.previews.forget()
        self.picture = self.texture = None
        self.values, self.key, self.dirty = np.zeros(0), (), True
        self.healed.clear()


live = Live()


def switched_on() -> bool:
    return bool(getattr(bpy.context.window_manager, "mimaface_live", False))


def ready_client() -> Client | None:
    """The connection to the backend, when there is one that answers."""
    runtime = running()
    return runtime.backend.client if runtime is not None and runtime.backend.state == "ready" else None


def follow(depsgraph: bpy.types.Depsgraph) -> None:
    """Ask for the pose of the portrait that is worked on, if it is another one than before."""
    live.dirty = False
    rig = portraits.current(bpy.context)
    portrait = "" if rig is None else rig.get("mimaface_portrait", "")
    if rig is None or not portrait or rig.mode == "EDIT":
        return
    runtime = session()
    started, before = time.perf_counter(), live.values if rig.name == live.rig else np.zeros(0)
    posed = rig.evaluated_get(depsgraph)
    if "out_jawOpen" not in posed:
        return
    live.rig, live.values = rig.name, posing.values_of(posed).round(5)
    same = np.array_equal(live.values, before)
    if runtime.backend.state == "stopped" and not runtime.backend.began and len(before) and not same:
        runtime.ensure_backend()  # it starts with the first movement, not with a file that has a portrait
    client = ready_client()
    if client is None:
        live.key = ()
        return
    settings = settings_of(bpy.context.scene)
    engine, body = settings.engine, settings.body_follows
    fine = next((size for size in SIZES if size >= live.seen), SIZES[-1])
    key = portrait, PROJECTED if engine in runtime.requests.lacking else engine, fine, body, id(client)
    if key == live.key and same:
        return
    live.key = key
    pose = Pose(portrait, posing.motion_of(live.values[None]), min(fine, MOVING), str(key[1]), fine, time.monotonic(), body_follows=body)
    live.previews.show(client, pose)
    live.main_thread_seconds.append(time.perf_counter() - started)


def tick() -> float:
    """What is due now; returns when to look again."""
    if not switched_on():
        if live.picture is not None or live.previews.busy:
            live.forget()
            redraw()
        return IDLE
    client = ready_client()
    if client is not None and (not live.key or live.key[-1] != id(client)):
        live.dirty = True  # there is somebody to ask now
    if live.dirty and portraits.current(bpy.context) is not None:
        follow(bpy.context.evaluated_depsgraph_get())
    live.previews.rest()
    if live.previews.code == sending.UNKNOWN and live.key and live.key[0] not in live.healed:
        _heal(str(live.key[0]))
    picture = live.previews.take()
    if picture is not None:
        live.picture, live.texture = picture, None
        redraw()
    return QUICK if live.previews.busy else IDLE


def _heal(portrait: str) -> None:
    """The backend does not have the photograph: it is given it again, once."""
    live.healed.add(portrait)

    def sent() -> None:
        live.key, live.dirty = (), True

    sending.send_photo(session(), portrait, sent, session().fail)


def redraw() -> None:
    for window in bpy.context.window_manager.windows:
        for area in window.screen.areas:
            if area.type in ("VIEW_3D", "IMAGE_EDITOR"):
                area.tag_redraw()


def badge() -> str:
    """Which picture is shown, and how long it took from the hand to the eye; or why there is none."""
    backend, waited = session().backend, live.previews.waited
    if backend.state == "stopped" and not backend.began:
        return ""
    if backend.state == "starting":
        return "Live: the backend starts"
    if backend.state != "ready":
        return "Live: the backend is not running; press Start"
    if waited > UNANSWERED:
        return f"Live: waiting for the backend ({waited:.0f} s)"
    if live.previews.problem:
        return f"Live: {live.previews.problem}"
    if live.picture is None:
        return ""
    name = "Projected" if live.picture.engine == PROJECTED else "Generated"
    return f"{name} · {1000 * live.picture.delay:.0f} ms"


def _shown() -> bpy.types.Object | None:
    """The plane of the photograph that the picture belongs to, where this view shows it; points are placed on the photograph itself."""
    rig = portraits.current(bpy.context) if switched_on() else None
    if rig is None or points.wire(rig) is not None or (live.picture is not None and rig.get("mimaface_portrait") != live.picture.portrait):
        return None
    return next((part for part in portraits.part_of(rig, "photo") if part.visible_get()), None)


def texture_of(picture: Picture) -> Any:
    """The texture of the picture that is shown."""
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
    shader = compat.image_shader()
    forward = (photo.matrix_world.to_3x3() @ Vector((0, 0, 1))).normalized() * (corners[3] - corners[0]).length * IN_FRONT
    wipe = float(getattr(bpy.context.window_manager, "mimaface_wipe", 0.0))
    low, high = (corners[side].lerp(corners[other], wipe) + forward for side, other in ((0, 1), (3, 2)))
    places = [place[:] for place in (low, corners[1] + forward, corners[2] + forward, high)]
    inside = ((wipe, 0), (1, 0), (1, 1), (wipe, 1))
    batch = batch_for_shader(shader, "TRIS", {"pos": places, "texCoord": inside}, indices=((0, 1, 2), (2, 3, 0)))
    gpu.state.depth_test_set("LESS_EQUAL")
    gpu.state.depth_mask_set(True)
    shader.bind()
    shader.uniform_sampler("image", texture)
    batch.draw(shader)
    if 0 < wipe < 1:
        edge = compat.colour_shader()
        edge.bind()
        edge.uniform_float("color", LINE)
        batch_for_shader(edge, "LINES", {"pos": [low[:], high[:]]}).draw(edge)
    gpu.state.depth_mask_set(False)
    gpu.state.depth_test_set("NONE")
    if new:
        live.main_thread_seconds.append(time.perf_counter() - started)


def _measure(corners: list[Any]) -> None:
    """How large the photograph is seen: that many pixels are worth making."""
    region, view = bpy.context.region, bpy.context.region_data
    points = [location_3d_to_region_2d(region, view, corner) for corner in corners]
    if any(point is None for point in points):
        return
    seen = int(max((points[1] - points[0]).length, (points[3] - points[0]).length))
    if next((size for size in SIZES if size >= seen), SIZES[-1]) != next((size for size in SIZES if size >= live.seen), SIZES[-1]):
        live.dirty = True
    live.seen = seen


def _draw_badge() -> None:
    photo = _shown()
    text = badge() if photo is not None else ""
    corner = portraits.corners(photo)[3] if photo is not None and text else None
    place = corner and location_3d_to_region_2d(bpy.context.region, bpy.context.region_data, corner)
    if place is not None:
        write(text, place[0], place[1])


def write(text: str, x: float, y: float) -> None:
    """A line above a picture whose upper left corner is at these pixels of the region, where the region has room."""
    size = BADGE * bpy.context.preferences.system.ui_scale
    blf.size(0, size)
    blf.enable(0, blf.SHADOW)
    blf.shadow(0, 3, 0, 0, 0, 1)
    blf.color(0, 1, 1, 1, 1)
    blf.position(0, max(x, 4), min(y, bpy.context.region.height - size) + size / 2, 0)
    blf.draw(0, text)
    blf.disable(0, blf.SHADOW)


def guarded(act: Any) -> Any:
    """Blender drops a timer that raises, and prints a mistake of a draw handler at every redraw: here the badge has it, and the log once."""

    def safe(*arguments: Any) -> Any:
        try:
            return act(*arguments)
        except Exception as error:
            live.previews.problem = f"a mistake of the add-on ({error}): please report it with Blender's log"
            if repr(error) != live.mistake:
                live.mistake = repr(error)
                log.exception("Live made a mistake")
            return IDLE

    return safe


@bpy.app.handlers.persistent
def _moved(scene: bpy.types.Scene, depsgraph: bpy.types.Depsgraph | None = None) -> None:
    """Another frame, or something else in the scene: the pose is read at once where that may be done, else at the next look."""
    elsewhere = bpy.app.background or depsgraph is None or bpy.app.is_job_running("RENDER") or scene.name != bpy.context.scene.name
    if elsewhere or not switched_on():
        live.dirty = True
    else:
        guarded(follow)(depsgraph)


@bpy.app.handlers.persistent
def _frame_changed(scene: bpy.types.Scene, depsgraph: bpy.types.Depsgraph | None = None) -> None:
    if driven.key is not None:
        live.dirty = True  # a stream moves the portrait: its sample is newer than what this frame's curves have just been evaluated to
    else:
        _moved(scene, depsgraph)


@bpy.app.handlers.persistent
def _changed(scene: bpy.types.Scene, depsgraph: bpy.types.Depsgraph | None = None) -> None:
    rig = portraits.current(bpy.context)
    if rig is None or depsgraph is None:
        live.dirty = True
    elif live.dirty or rig.name != live.rig or any(update.id.original == rig for update in depsgraph.updates):
        _moved(scene, depsgraph)


@bpy.app.handlers.persistent
def _opened(*_: object) -> None:
    live.forget()


@bpy.app.handlers.persistent
def _stepped(*_: object) -> None:
    live.dirty = True


HANDLERS = {
    "depsgraph_update_post": _changed, "frame_change_post": _frame_changed, "load_pre": _opened, "undo_post": _stepped, "redo_post": _stepped,
}  # fmt: skip
_timer = guarded(tick)
_drawing: list[Any] = []


def register() -> None:
    bpy.types.WindowManager.mimaface_live = bpy.props.BoolProperty(  # type: ignore[attr-defined]
        name="Live", description="The photograph moves with the handles while you drag them", default=True
    )
    bpy.types.WindowManager.mimaface_wipe = bpy.props.FloatProperty(  # type: ignore[attr-defined]
        name="Before", description="How much of the photograph, from the left, is shown as it is beside the live picture", min=0, max=1,
        subtype="FACTOR", update=lambda self, context: redraw(),
    )  # fmt: skip
    for name, handler in HANDLERS.items():
        getattr(bpy.app.handlers, name).append(handler)
    bpy.app.timers.register(_timer, first_interval=IDLE, persistent=True)
    for draw, when in ((_draw_picture, "POST_VIEW"), (_draw_badge, "POST_PIXEL")):
        _drawing.append(bpy.types.SpaceView3D.draw_handler_add(guarded(draw), (), "WINDOW", when))


def unregister() -> None:
    while _drawing:
        bpy.types.SpaceView3D.draw_handler_remove(_drawing.pop(), "WINDOW")
    with contextlib.suppress(ValueError):
        bpy.app.timers.unregister(_timer)
    for name, handler in HANDLERS.items():
        with contextlib.suppress(ValueError):
            getattr(bpy.app.handlers, name).remove(handler)
    live.forget()
    redraw()
    del bpy.types.WindowManager.mimaface_live, bpy.types.WindowManager.mimaface_wipe  # type: ignore[attr-defined]
