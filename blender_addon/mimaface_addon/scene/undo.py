# SPDX-License-Identifier: GPL-3.0-or-later
"""Takes are kept through every undo and redo, because they belong to the project; and undo steps of finished imports are pushed.

Just before Blender goes to another state the takes of the present one are read, and just after they are put back. Strips are
Blender's: those that the other state holds stay as they are there. Only a strip that this state does not know yet is made again.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

import bpy

from . import compat, strips
from .settings import settings_of
from .takes import FIELDS, take_folder


@dataclass
class Carried:
    """The takes of one scene: values of FIELDS in order, the active number, and the channel of every existing strip."""

    key: tuple[int, str]
    takes: list[dict[str, Any]] = field(default_factory=list)
    active: int = 0
    channels: dict[str, int] = field(default_factory=dict)


def read() -> list[Carried]:
    """Returns the takes of all scenes."""
    found = []
    for scene in bpy.data.scenes:
        settings = settings_of(scene)
        takes = [{name: getattr(take, name) for name in FIELDS} for take in settings.takes]
        channels = {identity: parts[0].channel for identity, parts in strips.tagged(scene).items()} if takes else {}
        found.append(Carried(compat.scene_key(scene), takes, settings.active_take, channels))
    return found


def put_back(carried: list[Carried], removed: set[str]) -> None:
    """Set the takes of all scenes to ``carried``, and delete strips of takes in ``removed``."""
    for scene in bpy.data.scenes:
        before = {take.uuid: take.placed for take in settings_of(scene).takes}
        own = _of_scene(carried, scene, before)
        if own is None:
            continue  # the step has restored the scene with its takes
        _put_takes(scene, own)
        _put_strips(scene, own, before, removed)


def _of_scene(carried: list[Carried], scene: bpy.types.Scene, before: dict[str, bool]) -> Carried | None:
    key = compat.scene_key(scene)
    same = next((item for item in carried if item.key == key), None)
    if same is not None:
        return same
    # renamed, in a Blender that identifies scenes by name only
    return next((item for item in carried if any(values["uuid"] in before for values in item.takes)), None)


def _put_takes(scene: bpy.types.Scene, own: Carried) -> None:
    takes = settings_of(scene).takes
    if [take.uuid for take in takes] != [values["uuid"] for values in own.takes]:
        takes.clear()
        for _ in own.takes:
            takes.add()
    for take, values in zip(takes, own.takes):
        for name, value in values.items():
            if getattr(take, name) != value:
                setattr(take, name, value)
    if settings_of(scene).active_take != own.active:
        settings_of(scene).active_take = own.active


def _put_strips(scene: bpy.types.Scene, own: Carried, before: dict[str, bool], removed: set[str]) -> None:
    present = strips.tagged(scene) if own.takes or removed else {}
    for identity in removed & present.keys():
        strips.remove(scene, present.pop(identity))
    for take in settings_of(scene).takes:
        if take.uuid in present:
            strips.follow(present[take.uuid], take_folder(take))
            take.placed = True
        elif take.uuid in own.channels and not before.get(take.uuid, False):
            strips.place(scene, take, take_folder(take), own.channels[take.uuid])


class Steps:
    """Undo steps to push: each after its result exists, and never during an operator of the artist.

    An operator with a redo panel has a step of its own from Blender, before its result is there. ``finishing`` names the operator of
    the same label that is grouped with it: its step takes the place of that one.
    """

    def __init__(self, threads_held: Callable[[], AbstractContextManager[None]]) -> None:
        self._due: list[tuple[str, str]] = []
        self._threads_held = threads_held  # pauses other threads while an operator runs in an overridden context

    def push(self, name: str, finishing: str = "") -> None:
        self._due.append((name, finishing))
        self.pump()

    def pump(self) -> None:
        """Push the due steps unless a modal operator runs."""
        if not self._due or compat.editing():
            return
        due, self._due = dict.fromkeys(self._due), []
        windows = bpy.context.window_manager.windows
        for name, finishing in due:
            if windows and bpy.context.window is None:
                with self._threads_held(), bpy.context.temp_override(window=windows[0]):
                    _push(name, finishing)
            else:
                _push(name, finishing)


def _push(name: str, finishing: str) -> None:
    if finishing and not bpy.app.background:  # there Blender has made no step, and a grouped one ends it
        operators: Any = bpy.ops
        getattr(operators.mimaface, finishing)("EXEC_DEFAULT", True)
    else:
        bpy.ops.ed.undo_push(message=name)
