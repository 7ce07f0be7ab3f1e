# SPDX-License-Identifier: GPL-3.0-or-later
"""Portraits in a scene: which one is meant, and a new one with its rig, head and photo in a collection of its own."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any, cast

import bpy
import numpy as np
from mathutils import Vector

from . import proxy_head, rig
from .settings import settings_of

PHOTO_SIZE = 0.4  # metres of the longer side of the reference photo, about one and a half heads
PHOTO_PLACE = (0.4, 0.0, 0.0)  # metres from the rig to the photo: beside the head, not behind it
LOW, HIGH = (-0.2, -0.6, -0.35), (0.65, 0.2, 0.25)  # metres: what rig, head, gaze target and photo take up about the rig's origin
CLEARANCE = 0.15  # metres between what is there and a new portrait


def owner(item: bpy.types.Object | None) -> bpy.types.Object | None:
    """The rig that an object is, or belongs to: of its head, its photo, or anything parented to it."""
    while item is not None and not rig.is_rig(item):
        item = item.parent
    return item


def current(context: bpy.types.Context) -> bpy.types.Object | None:
    """The rig that panels and operators are about.

    It is the one pinned in the panel, else that of the active or selected objects, else the last one made, else the only one.
    """
    scene, settings = context.scene, settings_of(context.scene)
    last = settings.rig if rig.is_rig(settings.rig) and in_scene(settings.rig, scene) else None
    if settings.pinned and last is not None:
        return last
    for item in (context.view_layer.objects.active, *context.view_layer.objects.selected):
        found = owner(item)
        if found is not None:
            return found
    if last is not None:
        return last
    rigs = [item for item in scene.objects if item.type == "ARMATURE" and rig.is_rig(item)]
    return rigs[0] if len(rigs) == 1 else None


def in_scene(item: bpy.types.Object, scene: bpy.types.Scene) -> bool:
    found: bpy.types.Object | None = scene.objects.get(item.name)
    return found is not None and (found == item or any(item == other for other in scene.objects))  # linked ones may share a name


def photo_name(item: bpy.types.Object) -> str:
    """The file name of the photo that a rig was made for."""
    return bpy.path.basename(item.get("mimaface_photo_path", "")) or bpy.path.display_name(item.name.removesuffix(" rig"))


def photo_size(item: bpy.types.Object) -> int:
    """Pixels of the longer side of the photo; 0 when the rig was made by a version that did not note it."""
    return int(max(item.get("mimaface_photo_size", (0, 0))))


def build(context: bpy.types.Context, scene: bpy.types.Scene, path: str, reply: dict[str, Any], mesh: dict[str, np.ndarray]) -> bpy.types.Object:
    """The portrait of the photo at ``path`` from the fields and arrays of ``portrait.fit.reply``; it becomes the selected one."""
    active = context.view_layer.objects.active
    if active is not None and active.mode != "OBJECT":
        bpy.ops.object.mode_set(mode="OBJECT")
    name = Path(path).stem
    collection = bpy.data.collections.new(f"{name} portrait")
    context.scene.collection.children.link(collection)  # bones are made in the scene that is shown
    image = _upright(Path(path).name, path, mesh["picture"])
    place = free_place(scene)
    item = rig.create(context, collection, f"{name} rig", mesh["eye_centres"])
    item.location = place
    proxy_head.create(collection, item, mesh, image)
    photo = bpy.data.objects.new(f"{name} photo", None)
    photo.empty_display_type, photo.empty_display_size = "IMAGE", PHOTO_SIZE
    photo.data = cast(Any, image)  # of an empty
    photo.rotation_euler, photo.location, photo.parent = (np.pi / 2, 0, 0), PHOTO_PLACE, item
    photo[rig.PART] = "photo"
    collection.objects.link(photo)
    item["mimaface_portrait"], item["mimaface_photo_path"] = reply["portrait"], path
    item["mimaface_photo_size"], item[rig.IDENTITY] = (reply["width"], reply["height"]), uuid.uuid4().hex
    for part in item.children:
        part[rig.IDENTITY] = item[rig.IDENTITY]
    if scene != context.scene:  # another one is shown since the photo was chosen
        context.scene.collection.children.unlink(collection)
        scene.collection.children.link(collection)
    settings = settings_of(scene)
    settings.portrait, settings.portrait_id, settings.rig = path, reply["portrait"], item
    settings.pinned = False
    return item


def _upright(name: str, path: str, picture: np.ndarray) -> bpy.types.Image:
    """The photo as the backend sees it, packed: upright, in sRGB, of any kind of file; Blender reads neither tag nor profile."""
    content = picture.tobytes()
    image = bpy.data.images.new(name, 8, 8)
    image.pack(data=content, data_len=len(content))
    image.source, image.filepath_raw = "FILE", path
    return image


def free_place(scene: bpy.types.Scene) -> Vector:
    """The 3D cursor, or the next place to its right where nothing that is seen stands."""
    place = scene.cursor.location.copy()
    boxes = [box for box in map(_box, scene.objects) if box is not None]
    blocked = True
    while blocked:
        low, high = place + Vector(LOW), place + Vector(HIGH)
        meets = [box for box in boxes if all(box[0][i] < high[i] and box[1][i] > low[i] for i in range(3))]
        blocked = bool(meets)
        if blocked:
            place.x = max(box[1].x for box in meets) + CLEARANCE - LOW[0]
    return place


def _box(item: bpy.types.Object) -> tuple[Vector, Vector] | None:
    """Lowest and highest corner of what an object fills, or None when it fills nothing."""
    if rig.is_rig(item):
        return item.location + Vector(LOW), item.location + Vector(HIGH)
    if item.type not in ("MESH", "CURVE", "SURFACE", "META", "FONT", "CURVES", "POINTCLOUD", "VOLUME", "ARMATURE") or rig.PART in item:
        return None
    corners = [item.matrix_world @ Vector(corner) for corner in item.bound_box]
    low, high = (Vector([pick(corner[axis] for corner in corners) for axis in range(3)]) for pick in (min, max))
    return low, high


def show(item: bpy.types.Object) -> None:
    """Frame the portrait in every 3D view of its scene, with the photo on the head in Solid view; without windows nothing."""
    for window in bpy.context.window_manager.windows:
        if window.scene not in item.users_scene:
            continue
        for area in window.screen.areas:
            if area.type != "VIEW_3D":
                continue
            shading = cast(bpy.types.SpaceView3D, area.spaces.active).shading
            if shading.type == "SOLID" and shading.color_type == "MATERIAL":
                shading.color_type = "TEXTURE"
            region = next(region for region in area.regions if region.type == "WINDOW")
            with bpy.context.temp_override(window=window, area=area, region=region):
                bpy.ops.view3d.view_selected()
