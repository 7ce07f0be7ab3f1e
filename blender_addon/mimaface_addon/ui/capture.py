# SPDX-License-Identifier: GPL-3.0-or-later
"""Live Capture: a timer requests the newest sample of the backend's stream and sets the portrait's mocap layer to it."""

from __future__ import annotations

import contextlib
import logging
import time

import bpy

from ..core.capture import Capture
from ..core.words import rpt_
from ..scene import compat, portraits
from ..scene.driving import Driven
from ..session import running

log = logging.getLogger(__name__)
EVERY = 1 / 120  # seconds between looks for a sample: twice as often as phones send. Lowered: a picture a little sooner, and a busier interface
SHOWN = 0.1  # seconds between repaints of the panel. Lowered: bars that move more smoothly, and a busier interface
capture, driven = Capture(), Driven()
_painted = 0.0


def look() -> None:
    """Apply the newest sample to the current portrait."""
    global _painted
    runtime = running()
    ready = runtime is not None and runtime.backend.state == "ready"
    clip = capture.look(runtime.backend.client if runtime is not None and ready else None)
    rig = portraits.current(bpy.context)
    if rig is None or not capture.on:
        driven.release()
    elif clip is not None:
        driven.drive(rig, clip, capture.mouth_only)
    if time.monotonic() - _painted > SHOWN or not capture.on:
        _painted = time.monotonic()
        compat.redraw_panels()


def _tick() -> float | None:
    """The timer; returns None without a stream, so that Blender removes it."""
    try:
        look()
    except Exception as error:
        log.exception("an error occurred in Live Capture")
        sentence = rpt_("an error occurred in the add-on ({error}): press Listen again; if it occurs again, report it with Blender's log")
        stop(sentence.format(error=error))
    return EVERY if capture.on else None


def listen() -> None:
    """Start the timer, after the stream was opened."""
    if not bpy.app.timers.is_registered(_tick):
        bpy.app.timers.register(_tick, persistent=True)


def stop(problem: str = "") -> None:
    """Close the stream and restore the mocap layer."""
    capture.end(problem)
    driven.release()
    compat.redraw_panels()


@bpy.app.handlers.persistent
def _opening(*_: object) -> None:
    stop()


@bpy.app.handlers.persistent
def _stepped(*_: object) -> None:
    driven.stepped()


@bpy.app.handlers.persistent
def _saving(*_: object) -> None:
    driven.release()  # the next sample moves it again


@bpy.app.handlers.persistent
def _frame_changed(*_: object) -> None:
    """Curves of an earlier take have moved the layer."""
    rig = portraits.current(bpy.context) if driven.key is not None and capture.clip is not None else None
    if rig is not None and capture.clip is not None and not bpy.app.is_job_running("RENDER"):
        driven.drive(rig, capture.clip, capture.mouth_only)


HANDLERS = {
    "load_pre": _opening, "load_post": _stepped, "undo_post": _stepped, "redo_post": _stepped, "save_pre": _saving,
    "frame_change_post": _frame_changed,
}  # fmt: skip


def register() -> None:
    for name, handler in HANDLERS.items():
        getattr(bpy.app.handlers, name).append(handler)


def unregister() -> None:
    stop()
    with contextlib.suppress(ValueError):
        bpy.app.timers.unregister(_tick)
    for name, handler in HANDLERS.items():
        with contextlib.suppress(ValueError):
            getattr(bpy.app.handlers, name).remove(handler)
