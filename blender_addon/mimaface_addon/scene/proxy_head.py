# SPDX-License-Identifier: GPL-3.0-or-later
"""The proxy head: the fitted head with the photo projected onto it, 52 shape keys and turning eyeballs, live without backend."""

from __future__ import annotations

from typing import Any, cast

import bpy
import numpy as np

from ..protocol.arkit import BLENDSHAPE_NAMES
from ..protocol.blendshapes import PARTING, PRESSED
from .gazing import HEAD
from .rig import EYES, PART, to_blender

SKIN = (0.5, 0.32, 0.24, 1.0)  # linear RGB and alpha of the head in views without textures


def create(
    collection: bpy.types.Collection, rig: bpy.types.Object, mesh: dict[str, np.ndarray], image: bpy.types.Image
) -> list[bpy.types.Object]:
    """Build head and eyes in ``collection`` from the arrays of ``portrait.fit``, parented to the rig's head bone; return all three."""
    material = _material(image)
    vertices, triangles = to_blender(mesh["vertices"]), mesh["triangles"]
    eye_of = mesh["eye_vertices"][triangles[:, 0]]
    head = _mesh_object(collection, f"{rig.name} Head", vertices, triangles[eye_of == 0], mesh["uv"], material)
    _ride(head, rig)
    _add_blendshapes(head, rig, mesh, np.unique(triangles[eye_of == 0]))
    made = [head]
    for label, eye in enumerate(EYES, 1):
        centre = to_blender(mesh["eye_centres"][label - 1])
        ball = _mesh_object(collection, f"{rig.name} Eye {eye}", vertices - centre, triangles[eye_of == label], mesh["uv"], material)
        made.append(ball)
        _ride(ball, rig)
        ball.location = centre.tolist()
        _turn(ball, rig, eye, mesh["source_gaze"][label - 1])
    return made


def _material(image: bpy.types.Image) -> bpy.types.Material:
    """Returns an unlit material of the photograph; Solid view shows the texture if enabled, else its mean colour."""
    material = bpy.data.materials.new(f"{image.name} projected")
    material.use_nodes = True
    nodes, links = material.node_tree.nodes, material.node_tree.links
    nodes.clear()
    texture, emission, output = (
        nodes.new(kind) for kind in ("ShaderNodeTexImage", "ShaderNodeEmission", "ShaderNodeOutputMaterial")
    )
    cast(bpy.types.ShaderNodeTexImage, texture).image = image
    links.new(texture.outputs["Color"], emission.inputs["Color"])
    links.new(emission.outputs["Emission"], output.inputs["Surface"])
    nodes.active = texture
    material.diffuse_color = cast(Any, SKIN)
    return material


def _mesh_object(
    collection: bpy.types.Collection,
    name: str,
    vertices: np.ndarray,
    triangles: np.ndarray,
    uv: np.ndarray,
    material: bpy.types.Material,
) -> bpy.types.Object:
    used, local = np.unique(triangles, return_inverse=True)
    local = local.reshape(-1, 3)
    data = bpy.data.meshes.new(name)
    data.from_pydata(vertices[used].tolist(), [], local.tolist())
    layer = data.uv_layers.new(name="photo")
    layer.data.foreach_set("uv", np.ascontiguousarray(uv[used][local].reshape(-1, 2), np.float32).ravel())
    data.polygons.foreach_set("use_smooth", np.ones(len(local), bool))
    data.materials.append(material)
    item = bpy.data.objects.new(name, data)
    collection.objects.link(item)
    item.hide_select = True
    item[PART] = "head"
    return item


def _ride(item: bpy.types.Object, rig: bpy.types.Object) -> None:
    """Parent an object to the head bone without moving it in the rest pose."""
    item.parent = rig
    item.parent_type = "BONE"
    item.parent_bone = HEAD
    bone = rig.data.bones[HEAD]
    tail = bone.matrix_local.copy()
    tail.translation = bone.tail_local
    item.matrix_parent_inverse = tail.inverted()


def _add_blendshapes(head: bpy.types.Object, rig: bpy.types.Object, mesh: dict[str, np.ndarray], used: np.ndarray) -> None:
    """Add a shape key per blendshape, driven by the rig's sum plus the portrait's own expression."""
    head.shape_key_add(name="neutral", from_mix=False)
    base = to_blender(mesh["vertices"])[used]
    moves = to_blender(mesh["actions"].astype(np.float32))[:, used]
    for index, blendshape in enumerate(BLENDSHAPE_NAMES):
        key = head.shape_key_add(name=blendshape, from_mix=False)
        key.data.foreach_set("co", np.ascontiguousarray(base + moves[index], np.float32).ravel())
        driver = key.driver_add("value").driver
        driver.type = "SCRIPTED"
        variable = driver.variables.new()
        variable.name = "a"
        variable.targets[0].id = rig
        variable.targets[0].data_path = f'["out_{blendshape}"]'
        driver.expression = f"min(max(a+{float(mesh['source_actions'][index]):.4f},0),1)"
    _close_no_further(head, float(mesh["source_actions"][BLENDSHAPE_NAMES.index("mouthClose")]))


def _close_no_further(head: bpy.types.Object, own: float) -> None:
    """Limit the shape key ``mouthClose`` to lip contact, as in frames, plus the portrait's ``own`` mouthClose."""
    keys = head.data.shape_keys
    curve = next(curve for curve in keys.animation_data.drivers if curve.data_path == 'key_blocks["mouthClose"].value')
    terms = ""
    for index, (blendshape, share) in enumerate(PARTING.items()):
        variable = curve.driver.variables.new()
        variable.name = "bcdefghi"[index]
        target = variable.targets[0]
        target.id_type, target.id, target.data_path = "KEY", keys, f'key_blocks["{blendshape}"].value'
        terms += f"+{share:g}*{variable.name}"
    curve.driver.expression = f"min({curve.driver.expression},{PRESSED + own:.4f}{terms})"


def _turn(ball: bpy.types.Object, rig: bpy.types.Object, eye: str, source: np.ndarray) -> None:
    """Add drivers that rotate an eyeball by the rig's gaze plus the portrait's own (yaw, pitch): about Blender's z, then x."""
    ball.rotation_mode = "XYZ"
    for axis, index, sign, own in (("yaw", 2, 1, source[0]), ("pitch", 0, -1, source[1])):
        driver = ball.driver_add("rotation_euler", index).driver
        driver.type = "SCRIPTED"
        variable = driver.variables.new()
        variable.name = "a"
        variable.targets[0].id = rig
        variable.targets[0].data_path = f'["out_gaze_{eye}_{axis}"]'
        driver.expression = f"{sign}*(a+{float(own):.4f})"
