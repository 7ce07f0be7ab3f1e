# SPDX-License-Identifier: GPL-3.0-or-later
"""Blender's callbacks of the session: a timer, and handlers of opening, saving, undo and redo."""

from __future__ import annotations

import contextlib
import logging
from pathlib import Path

import bpy

from .core.words import rpt_
from .scene import saving, undo
from .scene.takes import all_takes
from .session import close, running, session

log = logging.getLogger(__name__)
INTERVAL = 0.05  # seconds between pumps. Higher: panels and frames lag; lower: more load of Blender's main thread


def _tick() -> float:
    global _enabled
    try:
        if _enabled:
            _enabled = False
            if all_takes() or saving.has_own():
                session().reconcile_due = session().opened = True
        if running() is not None or all_takes():
            session().pump()
    except Exception:  # Blender removes a timer that raises
        log.exception("an error occurred in the add-on")
        session().fail(rpt_("an error occurred in the add-on: please use Copy Report"))
    return INTERVAL


_enabled = False  # whether the add-on was just switched on, so that the open file's takes must be compared with the disk
_carried: list[undo.Carried] = []
_folders: dict[str, Path] = {}


@bpy.app.handlers.persistent
def _opened(*_: object) -> None:
    if running() is not None or all_takes() or saving.has_own():
        session().file_opened()


@bpy.app.handlers.persistent
def _before_step(*_: object) -> None:
    global _carried
    _carried = undo.read()


@bpy.app.handlers.persistent
def _after_step(*_: object) -> None:
    global _carried
    carried, _carried = _carried, []
    undo.put_back(carried, running().removed if running() is not None else set())


@bpy.app.handlers.persistent
def _before_saving(*arguments: object) -> None:
    global _folders
    target = next((text for text in arguments if isinstance(text, str)), bpy.data.filepath)
    if all_takes():
        session().writer.settle()
        _folders = saving.before_saving(session(), target)


@bpy.app.handlers.persistent
def _after_saving(*_: object) -> None:
    global _folders
    folders, _folders = _folders, {}
    if folders:
        saving.after_saving(folders)


HANDLERS = {
    "load_post": _opened, "undo_pre": _before_step, "redo_pre": _before_step, "undo_post": _after_step, "redo_post": _after_step,
    "save_pre": _before_saving, "save_post": _after_saving, "save_post_fail": _after_saving,
}  # fmt: skip


def register() -> None:
    global _enabled
    _enabled = True
    for name, handler in HANDLERS.items():
        if hasattr(bpy.app.handlers, name):  # save_post_fail exists since 3.5
            getattr(bpy.app.handlers, name).append(handler)
    bpy.app.timers.register(_tick, first_interval=INTERVAL, persistent=True)


def unregister() -> None:
    for name, handler in HANDLERS.items():
        with contextlib.suppress(ValueError, AttributeError):
            getattr(bpy.app.handlers, name).remove(handler)
    with contextlib.suppress(ValueError):
        bpy.app.timers.unregister(_tick)
    close()
