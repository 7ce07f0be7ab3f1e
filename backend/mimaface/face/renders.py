"""Renders of the posed head without a photograph: the paper's I_R, in the head model's own colours under plain light, and its normals."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mimaface.geometry.camera import Camera
from mimaface.geometry.rasterise import rasterise, vertex_normals
from mimaface.protocol.arrays import Array

from .head import Head
from .pose import FacePose


@dataclass(frozen=True, eq=False)
class Light:
    """Directions (3,) point to the lamps; colours (3,) are linear; sky and ground light what faces up and down."""

    key: Array
    key_colour: Array
    rim: Array
    rim_colour: Array
    sky: Array
    ground: Array
    softness: float


PLAIN_LIGHT = Light(
    key=np.array([0.0, 0.35, 0.94]),
    key_colour=np.full(3, 0.55),
    rim=np.array([0.0, 0.0, -1.0]),
    rim_colour=np.zeros(3),
    sky=np.full(3, 0.5),
    ground=np.full(3, 0.3),
    softness=0.2,
)


def render_albedo(identity: Array, pose: FacePose, camera: Camera, light: Light) -> Array:
    """The paper's I_R: the head of ``identity`` in the model's own colours under plain light, over black (H, W, 3) uint8."""
    head = Head.load()
    triangles = head.drawn_triangles()
    posed = head.posed(identity, pose.blendshapes, pose.gaze) @ pose.rotation.T + pose.translation
    normals = vertex_normals(posed, triangles)
    grey = light.sky.mean() * (0.5 + 0.5 * normals[:, 1:2]) + light.ground.mean() * (0.5 - 0.5 * normals[:, 1:2])
    grey = grey + np.clip(normals @ light.key, 0, None)[:, None] * light.key_colour.mean()
    raster = rasterise(camera.project(posed), triangles, camera.height, camera.width)
    colour = raster.interpolate(triangles, (head.albedo * np.clip(grey, 0, 1.5) ** (1 / 2.2)).astype(np.float32))
    return np.asarray((np.clip(colour, 0, 1) * 255).round().astype(np.uint8))


def render_normals(vertices: Array, camera: Camera) -> Array:
    """Normals of the head's skin, eyes and mouth as colours, 127.5 (n + 1), over black: (H, W, 3) uint8 of a ``camera``'s picture.

    vertices: (V, 3) metres, camera frame: x right, y up, z towards the viewer.
    """
    triangles = Head.load().drawn_triangles()
    normals = vertex_normals(vertices, triangles)
    raster = rasterise(camera.project(vertices), triangles, camera.height, camera.width)
    colours = raster.interpolate(triangles, (127.5 * (normals + 1)).astype(np.float32))
    return np.asarray(np.clip(colours, 0, 255).round().astype(np.uint8))
