# SPDX-License-Identifier: GPL-3.0-or-later
"""Keeps head, eyes and photo with their rig: they are deleted with it, and a copied rig gets copies of them."""

from __future__ import annotations

import contextlib
import uuid

import bpy

from .rig import IDENTITY, PART, is_rig
from .settings import settings_of

LATER = 0.1  # seconds after which parts are created or removed, when no operator runs. Higher: they lag more
_last: tuple[int, str, int] | None = None  # at the last check: objects in the file, scene, objects in its view layer


def tidy() -> None:
    """Remove parts without a rig, and give copied rigs their own parts. Linked and overridden objects stay unchanged."""
    ours = [item for item in bpy.data.objects if item.library is None and item.override_library is None]
    for scene in bpy.data.scenes:
        if settings_of(scene).rig is not None and not settings_of(scene).rig.users_collection:
            settings_of(scene).rig = None
    used = {item[IDENTITY] for item in bpy.data.objects if is_rig(item) and IDENTITY in item and item.users_collection}
    gone = [item for item in ours if PART in item and item.get(IDENTITY, "") not in used | {""}]
    rigs: dict[str, bpy.types.Object] = {}
    for item in sorted((item for item in ours if is_rig(item) and IDENTITY in item), key=lambda item: not _parts(item)):
        original = rigs.setdefault(item[IDENTITY], item)
        if original != item and item.users_collection:
            item[IDENTITY] = uuid.uuid4().hex
            _own_parts(original, item)
    for item in gone:
        bpy.data.objects.remove(item)


def _parts(rig: bpy.types.Object) -> list[bpy.types.Object]:
    return [item for item in rig.children if PART in item]


def _own_parts(original: bpy.types.Object, rig: bpy.types.Object) -> None:
    """Copy the original's parts unless they were copied with it, and retarget drivers of rig and parts to the copy."""
    if not _parts(rig):
        for part in _parts(original):
            copy = part.copy()
            if part.type == "MESH":
                copy.data = part.data.copy()
            copy.name = part.name.replace(original.name, rig.name)
            copy.parent = rig
            rig.users_collection[0].objects.link(copy)
    for item in (rig, *_parts(rig)):
        item[IDENTITY] = rig[IDENTITY]
        keys = item.data.shape_keys if item.type == "MESH" else None
        for owner in (item, keys):
            for curve in owner.animation_data.drivers if owner is not None and owner.animation_data else ():
                for variable in curve.driver.variables:
                    for target in variable.targets:
                        if target.id == original:
                            target.id = rig


@bpy.app.handlers.persistent
def _changed(scene: bpy.types.Scene, *_: object) -> None:
    """Check parts only if the number of objects has changed, so that playback is not slowed."""
    global _last
    now = len(bpy.data.objects), scene.name, len(scene.view_layers[0].objects)
    if now == _last:
        return
    _last = now
    if bpy.app.background:
        tidy()
    elif not bpy.app.timers.is_registered(_later):
        bpy.app.timers.register(_later, first_interval=LATER)


def _later() -> float | None:
    windows = bpy.context.window_manager.windows
    if any(operator.bl_idname.startswith("TRANSFORM_OT") for window in windows for operator in getattr(window, "modal_operators", ())):
        return LATER  # a copy is still being placed by an operator
    tidy()
    return None


def register() -> None:
    bpy.app.handlers.depsgraph_update_post.append(_changed)


def unregister() -> None:
    with contextlib.suppress(ValueError):
        bpy.app.handlers.depsgraph_update_post.remove(_changed)
    if bpy.app.timers.is_registered(_later):
        bpy.app.timers.unregister(_later)
