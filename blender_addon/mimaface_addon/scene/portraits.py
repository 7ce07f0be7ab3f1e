# SPDX-License-Identifier: GPL-3.0-or-later
"""Portraits in a scene: finds the current one, and creates new ones with rig, photograph and head in a collection."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any, cast

import bpy
import numpy as np
from mathutils import Matrix, Quaternion, Vector

from ..core.words import rpt_
from . import photo, placement, proxy_head, rig
from .settings import settings_of

DEPTH = 0.4  # metres in front of and behind the photograph that stay free for handles. Higher: portraits need more space
CLEARANCE = 0.15  # metres between existing objects and a new portrait. Higher: farther apart
FRONT = Quaternion((1, 0, 0), np.pi / 2)  # rotation of a front view
MARGIN = 1.15  # size of a view relative to the photograph. Higher: more space around it


def owner(item: bpy.types.Object | None) -> bpy.types.Object | None:
    """Returns the rig that an object is or belongs to, as its head, its photo, or an object parented to them; else None."""
    while item is not None and not rig.is_rig(item):
        item = item.parent
    return item


def current(context: bpy.types.Context) -> bpy.types.Object | None:
    """Returns the rig that panels and operators use.

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


def consent(item: bpy.types.Object) -> str:
    """Returns the answer about the consent of the person in a rig's photo, in the backend's words; "" without an answer."""
    answer: str = item.mimaface_consent  # type: ignore[attr-defined]  # registered by this add-on
    return answer.removeprefix("not-stated")


def consent_of(people: list[bpy.types.Object]) -> str:
    """:func:`consent` of all people of a picture: "" where one of them was not asked."""
    answers = {consent(item) for item in people}
    return next(iter(answers)) if len(answers) == 1 else "" if "" in answers else "given"


def photo_size(item: bpy.types.Object) -> int:
    """Returns the pixels of the photo's longer side; 0 for rigs of versions that did not store it."""
    return int(max(item.get("mimaface_photo_size", (0, 0))))


def people_of(scene: bpy.types.Scene, item: bpy.types.Object) -> list[bpy.types.Object]:
    """The rigs of a picture's people that are animated together, by the number of their face: ``item``, and those of other faces of its
    picture that are visible in the scene. Raises :class:`ValueError` with a sentence where one of these faces has two rigs."""
    portrait = str(item.get("mimaface_portrait", ""))
    picture, own = portrait.partition("-")[0], photo.face(portrait)
    found = {own: item}
    for other in scene.objects if picture else ():
        identity = str(other.get("mimaface_portrait", "")) if rig.is_rig(other) else ""
        face = photo.face(identity)
        if identity.partition("-")[0] != picture or face == own or not other.visible_get():
            continue
        if face in found:
            sentence = rpt_("{name} and {other} animate the same face of one picture: hide one of them")
            raise ValueError(sentence.format(name=found[face].name, other=other.name))
        found[face] = other
    return [found[face] for face in sorted(found)]


def _standing(scene: bpy.types.Scene, portrait: str) -> bpy.types.Object | None:
    """Returns the photograph that another face of the same picture has in the scene, if any."""
    for other in scene.objects:
        known = str(other.get("mimaface_portrait", "")) if rig.is_rig(other) else ""
        if known.partition("-")[0] == portrait.partition("-")[0] and photo.face(known) != photo.face(portrait):
            return next(iter(part_of(other, "photo")), None)
    return None


def build(context: bpy.types.Context, scene: bpy.types.Scene, path: str, reply: dict[str, Any], mesh: dict[str, np.ndarray]) -> bpy.types.Object:
    """Create and select the portrait of the photo at ``path`` from the fields and arrays of ``portrait.fit.reply``."""
    active = context.view_layer.objects.active
    if active is not None and active.mode != "OBJECT":
        bpy.ops.object.mode_set(mode="OBJECT")
    name = Path(path).stem
    collection = bpy.data.collections.new(f"{name} portrait")
    context.scene.collection.children.link(collection)  # bones are made in the scene that is shown
    image = _upright(Path(path).name, path, mesh["picture"])
    found = placement.place(mesh, reply["width"], reply["height"])
    item = rig.create(context, collection, f"{name} rig", found.bones, found.moves)
    size = placement.HEIGHT * reply["width"] / reply["height"], placement.HEIGHT
    standing = _standing(scene, reply["portrait"])
    stand = free_place(scene, size[0])
    item.scale = (found.scale, found.scale, found.scale)
    item.location = stand + Vector((-found.centre[0] * found.scale, 0, size[1] / 2 - found.centre[1] * found.scale))
    for part in proxy_head.create(collection, item, mesh, image):
        part.hide_viewport = part.hide_render = True  # so that it is not evaluated until it is shown
    plane = bpy.data.objects.new(f"{name} photo", None)
    plane.empty_display_type, plane.empty_display_size = "IMAGE", max(found.photo)
    plane.data = cast(Any, image)  # of an empty
    plane.rotation_euler, plane.location = (np.pi / 2, 0, 0), (found.centre[0], 0, found.centre[1])
    plane.parent, plane.hide_select, plane[rig.PART] = item, True, "photo"
    collection.objects.link(plane)
    if standing is not None:  # of another face of this picture: both stand as one
        share = Matrix.Scale(standing.empty_display_size / plane.empty_display_size, 4)
        item.matrix_world = standing.matrix_world @ share @ plane.matrix_basis.inverted()
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
    if scene == context.scene:
        bpy.ops.object.mode_set(mode="POSE")
    return item


def refit(context: bpy.types.Context, item: bpy.types.Object, reply: dict[str, Any], mesh: dict[str, np.ndarray]) -> None:
    """Update a rig whose head was fitted again: move its handles to their places on this face, and replace its mesh head.

    The photograph stays where it stands, and keys stay as they are: they tell how far handles are from their places.
    """
    found, photo = placement.place(mesh, reply["width"], reply["height"]), part_of(item, "photo")[0]
    context.view_layer.update()
    stood, before = photo.matrix_world.to_translation(), photo.empty_display_size
    photo.empty_display_size, photo.location = max(found.photo), (found.centre[0], 0, found.centre[1])
    item.scale *= before / photo.empty_display_size
    context.view_layer.update()
    away = stood - photo.matrix_world.to_translation()
    item.location += (item.parent.matrix_world @ item.matrix_parent_inverse).to_3x3().inverted() @ away if item.parent else away
    rig.move_handles(context, item, found.bones)
    old = part_of(item, "head")
    hidden, meshes = [part.hide_viewport for part in old], [cast(bpy.types.Mesh, part.data) for part in old]
    for part in old:
        bpy.data.objects.remove(part)
    for data in meshes:
        bpy.data.meshes.remove(data)
    for part in proxy_head.create(item.users_collection[0], item, mesh, cast(Any, photo.data)):
        part.hide_viewport = part.hide_render = all(hidden)
        part[rig.IDENTITY] = item[rig.IDENTITY]
    rename(item, reply["portrait"])


def rename(item: bpy.types.Object, portrait: str) -> None:
    """Set the new id of a rig's portrait."""
    before, item["mimaface_portrait"] = item["mimaface_portrait"], portrait
    for scene in item.users_scene:
        if settings_of(scene).portrait_id == before:
            settings_of(scene).portrait_id = portrait


def _upright(name: str, path: str, picture: np.ndarray) -> bpy.types.Image:
    """Returns the photo, upright and in sRGB, packed: Blender reads neither its orientation tag nor its colour profile."""
    content = picture.tobytes()
    image = bpy.data.images.new(name, 8, 8)
    image.pack(data=content, data_len=len(content))
    image.source, image.filepath_raw = "FILE", path
    return image


def part_of(item: bpy.types.Object, kind: str) -> list[bpy.types.Object]:
    """Returns the parts of a rig of one kind: "photo", or "head" with its eyes."""
    return [part for part in item.children if part.get(rig.PART) == kind]


def free_place(scene: bpy.types.Scene, width: float) -> Vector:
    """Returns the location for a photograph of ``width`` metres: the 3D cursor, or the next free location to its right."""
    bpy.context.view_layer.update()  # updates the matrices of new objects
    place = scene.cursor.location.copy()
    low, high = Vector((-width / 2, -DEPTH, 0)), Vector((width / 2, DEPTH, placement.HEIGHT))
    boxes = [box for box in map(_box, scene.objects) if box is not None]
    blocked = True
    while blocked:
        meets = [box for box in boxes if all(box[0][i] < place[i] + high[i] and box[1][i] > place[i] + low[i] for i in range(3))]
        blocked = bool(meets)
        if blocked:
            place.x = max(box[1].x for box in meets) + CLEARANCE - low.x
    return place


def _box(item: bpy.types.Object) -> tuple[Vector, Vector] | None:
    """Returns the lowest and highest corner of an object's bounding box, or None without one."""
    if item.get(rig.PART) == "photo":
        points = corners(item)
        low, high = points[0] - Vector((0, DEPTH, 0)), points[2] + Vector((0, DEPTH, 0))
        return low, high
    if item.type not in ("MESH", "CURVE", "SURFACE", "META", "FONT", "CURVES", "POINTCLOUD", "VOLUME", "ARMATURE"):
        return None
    if rig.PART in item or rig.is_rig(item):
        return None
    points = [item.matrix_world @ Vector(corner) for corner in item.bound_box]
    low, high = (Vector([pick(point[axis] for point in points) for axis in range(3)]) for pick in (min, max))
    return low, high


def corners(photo: bpy.types.Object) -> list[Vector]:
    """Returns the photograph's corners in the world: lower left, lower right, upper right, upper left."""
    width, height = cast(Any, photo.data).size
    x, y = (photo.empty_display_size / 2 * side / max(width, height, 1) for side in (width, height))
    return [photo.matrix_world @ Vector((a * x, b * y, 0)) for a, b in ((-1, -1), (1, -1), (1, 1), (-1, 1))]


def look_at(item: bpy.types.Object, low: Vector, high: Vector) -> None:
    """Fit the area between two corners of the photograph's plane into every 3D view of the scene that faces it."""
    for window in bpy.context.window_manager.windows:
        for area in window.screen.areas if window.scene in item.users_scene else ():
            view = cast(bpy.types.SpaceView3D, area.spaces.active).region_3d if area.type == "VIEW_3D" else None
            if view is not None and view.view_perspective != "CAMERA":
                view.view_location, view.view_distance = (low + high) / 2, (high - low).length * MARGIN


def show(item: bpy.types.Object) -> None:
    """Turn every 3D view of the scene to the front of the photograph, and choose the tool that drags handles; without windows nothing.

    The add-on's threads are to be held meanwhile: see :mod:`..protocol.pause`.
    """
    photo = next(iter(part_of(item, "photo")), None)
    if photo is None:
        return
    bpy.context.view_layer.update()
    points = corners(photo)
    for window in bpy.context.window_manager.windows:
        if window.scene not in item.users_scene:
            continue
        for area in window.screen.areas:
            if area.type == "VIEW_3D":
                view = cast(bpy.types.SpaceView3D, area.spaces.active).region_3d
                view.view_perspective, view.view_rotation = "ORTHO", FRONT
                view.view_location = (points[0] + points[2]) / 2
                with bpy.context.temp_override(window=window, area=area):
                    bpy.ops.wm.tool_set_by_id(name="builtin.select", space_type="VIEW_3D")
                view.view_distance = max((points[1] - points[0]).length, (points[3] - points[0]).length) * MARGIN
