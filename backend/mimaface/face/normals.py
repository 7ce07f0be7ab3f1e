"""A normal map of the posed head."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mimaface.geometry.camera import Camera
from mimaface.geometry.rasterise import rasterise, vertex_normals

from .head import Head

Array = NDArray[Any]


def render_normals(vertices: Array, camera: Camera) -> Array:
    """Normals of the head's skin, eyes and mouth as colours, 127.5 (n + 1), over black: (H, W, 3) uint8 of a ``camera``'s picture.

    vertices: (V, 3) metres, camera frame: x right, y up, z towards the viewer.
    """
    triangles = Head.load().drawn_triangles()
    normals = vertex_normals(vertices, triangles)
    raster = rasterise(camera.project(vertices), triangles, camera.height, camera.width)
    colours = raster.interpolate(triangles, (127.5 * (normals + 1)).astype(np.float32))
    return np.asarray(np.clip(colours, 0, 255).round().astype(np.uint8))
