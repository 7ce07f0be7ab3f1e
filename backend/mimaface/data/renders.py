"""What every training sample holds beside its pictures, whether it is synthetic or recorded: plain renders, boxes."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mimaface.face.head import Head
from mimaface.face.normals import hairless_triangles
from mimaface.face.pose import FacePose
from mimaface.geometry.camera import Camera
from mimaface.geometry.rasterise import rasterise, vertex_normals

from .studio import Light

Array = NDArray[Any]


def render_albedo(identity: Array, pose: FacePose, camera: Camera, light: Light) -> Array:
    """The paper's I_R: the head of ``identity`` in the model's own colours under plain light, over black (H, W, 3) uint8."""
    head = Head.load()
    triangles = hairless_triangles()
    posed = head.posed(identity, pose.actions, pose.gaze) @ pose.rotation.T + pose.translation
    normals = vertex_normals(posed, triangles)
    grey = light.sky.mean() * (0.5 + 0.5 * normals[:, 1:2]) + light.ground.mean() * (0.5 - 0.5 * normals[:, 1:2])
    grey = grey + np.clip(normals @ light.key, 0, None)[:, None] * light.key_colour.mean()
    raster = rasterise(camera.project(posed), triangles, camera.height, camera.width)
    colour = raster.interpolate(triangles, (head.albedo * np.clip(grey, 0, 1.5) ** (1 / 2.2)).astype(np.float32))
    return np.asarray((np.clip(colour, 0, 1) * 255).round().astype(np.uint8))


def head_box(vertices: Array, camera: Camera) -> Array:
    """left, top, right, bottom (4,) pixels around the skin of the head above the neck, within the picture."""
    head = Head.load()
    skin = head.region("face", "scalp", "ears")
    points = camera.project(vertices[: len(head.vertices)][skin])[:, :2]
    return np.asarray(
        np.clip(np.concatenate([np.floor(points.min(0)), np.ceil(points.max(0))]), 0, [camera.width, camera.height] * 2)
    )
