# SPDX-License-Identifier: GPL-3.0-or-later
"""Live: draws a preview of the current pose over the photograph in the 3D view.

Handlers read the pose that Blender has evaluated and request its picture; a timer collects pictures; draw handlers (``live_view.py``,
``live_editors.py``) draw the newest one. No datablock is changed, so there are no undo steps, and nothing blocks.
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
from ..core.words import rpt_
from ..protocol.client import Client
from ..protocol.people import together
from ..scene import film, photo, portraits, posing
from ..scene.settings import settings_of
from ..session import running, session
from .capture import driven

log = logging.getLogger(__name__)
QUICK, IDLE = 0.01, 0.05  # seconds between checks for a picture: with an open request, and without. Higher: pictures show later
SIZES = (256, 384, 512, 768, 1024)  # pixels, longer side: few sizes, because each is a session in the backend
UNSEEN = 384  # pixels, longer side, while no editor shows the photograph. Higher: more work for nothing
LOOK = 0.5  # seconds between searches for other people of the picture. Higher: they are noticed later; lower: slow in large scenes
MOVING = 512  # pixels, longest side while the hand moves. Higher: sharper, later
SHOWING = {"VIEW_3D": "WINDOW", "IMAGE_EDITOR": "WINDOW", "SEQUENCE_EDITOR": "PREVIEW"}  # editor → region that shows Live


class Live:
    """The shown picture and the last request. Stores no reference to Blender's data."""

    def __init__(self) -> None:
        self.previews = Previews()
        self.picture: Picture | None = None  # the shown picture
        self.texture: Any = None  # its texture, created when it is drawn
        self.dirty = True  # whether the pose may have changed since it was read
        self.sizes: dict[int, int] = {}  # region → pixels of the photograph's longer side on the screen
        self.rig = ""  # name of the rig of the last request
        self.values = np.zeros(0)  # pose of the last request
        self.frame = float("nan")  # frame of the last request
        self.by_hand = False  # whether the pose has changed since the frame was entered
        self.key: tuple[object, ...] = ()  # portrait, settings and sizes of the last request
        self.people_of, self.people, self.looked = "", list[str](), 0.0  # rig of the last search, other rigs found, monotonic seconds of it
        self.logged = ""  # repr of the last logged error of the add-on
        self.healed: set[str] = set()  # portraits that were sent to the backend again
        self.main_thread_seconds: deque[float] = deque(maxlen=10_000)  # durations of reading a pose or drawing a new picture

    def forget(self) -> None:
        """Discard pictures and requests, after another file was opened or Live was switched off."""
        self.previews.forget()
        self.picture = self.texture = None
        self.values, self.key, self.dirty, self.by_hand = np.zeros(0), (), True, False
        self.healed.clear()
        self.sizes.clear()

    @property
    def fine(self) -> int:
        """Returns the pixels of the longer side that the editors show."""
        largest = max(self.sizes.values(), default=UNSEEN)
        return next((size for size in SIZES if size >= largest), SIZES[-1])


live = Live()


def switched_on() -> bool:
    return bool(getattr(bpy.context.window_manager, "mimaface_live", False))


def ready_client() -> Client | None:
    """Returns the client of a ready backend, else None."""
    runtime = running()
    return runtime.backend.client if runtime is not None and runtime.backend.state == "ready" else None


def follow(depsgraph: bpy.types.Depsgraph) -> None:
    """Request the pose of the current portrait if it differs from the last request."""
    live.dirty = False
    rig = portraits.current(bpy.context)
    if rig is None or not rig.get("mimaface_portrait", "") or rig.mode == "EDIT":
        return
    runtime = session()
    started, before = time.perf_counter(), live.values if rig.name == live.rig else np.zeros(0)
    shot = film.of(rig)
    posed = [person.evaluated_get(depsgraph) for person in (together_with(rig) if shot is None else [rig])]
    if any("out_jawOpen" not in person for person in posed):
        return
    portrait = together(film.source(person) for person in posed)
    live.rig, live.values = rig.name, np.stack([posing.values_of(person) for person in posed]).round(5)
    same = np.array_equal(live.values, before)
    frame = bpy.context.scene.frame_current_final
    moved = not same or (shot is not None and frame != live.frame)
    live.frame, live.by_hand = frame, frame == live.frame and (live.by_hand or (len(before) > 0 and not same))
    if runtime.backend.state == "stopped" and not runtime.backend.began and len(before) and moved:
        runtime.ensure_backend()  # it starts with the first movement, also of a film, not with a file that has a portrait
    client = ready_client()
    if client is None:
        live.key = ()
        return
    settings = settings_of(bpy.context.scene)
    engine, body = PROJECTED if len(posed) > 1 or shot is not None else settings.engine, settings.body_follows
    number = 0 if shot is None else shot.shown(bpy.context.scene.frame_current)
    fine, only = live.fine, ",".join(sorted(settings.only))
    absolute = shot is not None and settings.absolute
    key = portrait, PROJECTED if engine in runtime.requests.lacking else engine, fine, body, only, absolute, number, id(client)
    if key == live.key and same:
        return
    live.key = key
    motions = [film.acted(posing.motion_of(live.values[[index]]), absolute) for index in range(len(posed))]
    moving, now = min(fine, MOVING), time.monotonic()
    pose = Pose(portrait, motions, moving, str(key[1]), fine, now, body_follows=body, only=only, absolute=absolute, frame=number)
    live.previews.show(client, pose)
    live.main_thread_seconds.append(time.perf_counter() - started)


def together_with(rig: bpy.types.Object) -> list[bpy.types.Object]:
    """Returns ``rig`` and the visible rigs of the other people in its picture; ``rig`` alone where one of these faces has two rigs."""
    objects, now = bpy.context.scene.objects, time.monotonic()
    if live.people_of != rig.name or now - live.looked > LOOK:
        try:
            people = portraits.people_of(bpy.context.scene, rig)
        except ValueError:
            people = [rig]
        live.people_of, live.looked, live.people = rig.name, now, [each.name for each in people if each != rig]
    others = [objects[name] for name in live.people if name in objects]
    return sorted([rig, *others], key=lambda each: photo.face(each["mimaface_portrait"]))


def tick() -> float:
    """Do the due work; return the seconds until the next call."""
    if not switched_on():
        if live.picture is not None or live.previews.busy:
            live.forget()
            redraw()
        return IDLE
    client = ready_client()
    if client is not None and (not live.key or live.key[-1] != id(client)):
        live.dirty = True  # the backend can answer now
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
    """Send the photograph again, once, to a backend that lacks it."""
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
    """Show an error in the badge and log it once: Blender would remove a timer that raises, and print a draw handler's error at every redraw."""

    def safe(*arguments: Any) -> Any:
        try:
            return act(*arguments)
        except Exception as error:
            live.previews.problem = rpt_("an error occurred in the add-on ({error}): please report it with Blender's log").format(error=error)
            if repr(error) != live.logged:
                live.logged = repr(error)
                log.exception("an error occurred in Live")
            return IDLE

    return safe


@bpy.app.handlers.persistent
def _moved(scene: bpy.types.Scene, depsgraph: bpy.types.Depsgraph | None = None) -> None:
    """React to a changed frame or scene: read the pose at once where that is allowed, else at the next timer."""
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
