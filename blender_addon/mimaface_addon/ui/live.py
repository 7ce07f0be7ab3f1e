# SPDX-License-Identifier: GPL-3.0-or-later
"""Live: the photograph moves under the artist's hand, in its own place in the 3D view.

Handlers read the pose that Blender has just evaluated and hand it on; a timer looks for pictures; draw handlers (``live_view.py``,
``live_editors.py``) put the newest one over the photograph. No datablock is touched, so there are no undo steps; nothing here waits.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections import deque
from typing import Any

import bpy
import numpy as np

from .. import sending
from ..core.previews import PROJECTED, Picture, Pose, Previews
from ..protocol.client import Client
from ..scene import portraits, posing
from ..scene.settings import settings_of
from ..session import running, session
from .capture import driven

log = logging.getLogger(__name__)
QUICK, IDLE = 0.01, 0.05  # seconds between looks for a picture: while one is awaited, and else
SIZES = (256, 384, 512, 768, 1024)  # pixels of the longer side: few, for each is a session in the backend
UNSEEN = 384  # pixels of the longer side that are made while no editor shows the photograph
MOVING = 512  # pixels of the longer side at most while the hand moves; more is sharper and later
SHOWING = {"VIEW_3D": "WINDOW", "IMAGE_EDITOR": "WINDOW", "SEQUENCE_EDITOR": "PREVIEW"}  # the regions of editors that show Live


class Live:
    """What is shown and what was asked for last. Holds no reference into Blender's data."""

    def __init__(self) -> None:
        self.previews = Previews()
        self.picture: Picture | None = None  # the one that is shown
        self.texture: Any = None  # of it; made when it is drawn
        self.dirty = True  # a pose may have changed that nobody has looked at
        self.sizes: dict[int, int] = {}  # pixels of the photograph's longer side on the screen, by the region that shows it
        self.rig = ""  # whose pose was asked for last
        self.values = np.zeros(0)  # of the pose that was asked for last
        self.frame = float("nan")  # of it
        self.by_hand = False  # the pose has changed since that frame was gone to
        self.key: tuple[object, ...] = ()  # what else it was asked with
        self.mistake = ""  # the last one of the add-on's own that is in the log
        self.healed: set[str] = set()  # portraits that were given to the backend again
        self.main_thread_seconds: deque[float] = deque(maxlen=10_000)  # that following a pose and drawing a new picture took

    def forget(self) -> None:
        """Another file, or switched off: nothing is shown or awaited."""
        self.previews.forget()
        self.picture = self.texture = None
        self.values, self.key, self.dirty, self.by_hand = np.zeros(0), (), True, False
        self.healed.clear()
        self.sizes.clear()

    @property
    def fine(self) -> int:
        """Pixels of the longer side that are worth making."""
        largest = max(self.sizes.values(), default=UNSEEN)
        return next((size for size in SIZES if size >= largest), SIZES[-1])


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
    frame = bpy.context.scene.frame_current_final
    live.frame, live.by_hand = frame, frame == live.frame and (live.by_hand or (len(before) > 0 and not same))
    if runtime.backend.state == "stopped" and not runtime.backend.began and len(before) and not same:
        runtime.ensure_backend()  # it starts with the first movement, not with a file that has a portrait
    client = ready_client()
    if client is None:
        live.key = ()
        return
    settings = settings_of(bpy.context.scene)
    engine, body = settings.engine, settings.body_follows
    fine = live.fine
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
    there = set()
    for window in bpy.context.window_manager.windows:
        for area in window.screen.areas:
            for region in area.regions if area.type in SHOWING else ():
                if region.type == SHOWING[area.type]:
                    region.tag_redraw()
                    there.add(region.as_pointer())
    live.sizes = {region: size for region, size in live.sizes.items() if region in there}


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


def unregister() -> None:
    with contextlib.suppress(ValueError):
        bpy.app.timers.unregister(_timer)
    for name, handler in HANDLERS.items():
        with contextlib.suppress(ValueError):
            getattr(bpy.app.handlers, name).remove(handler)
    live.forget()
    redraw()
    del bpy.types.WindowManager.mimaface_live, bpy.types.WindowManager.mimaface_wipe  # type: ignore[attr-defined]
