"""Bounding boxes of heads in pictures."""

from __future__ import annotations

import numpy as np

from mimaface.face.head import Head
from mimaface.geometry.camera import Camera
from mimaface.protocol.arrays import Array


def head_box(vertices: Array, camera: Camera) -> Array:
    """Returns left, top, right, bottom (4,) in pixels of the head's skin above the neck, clamped to the picture."""
    head = Head.load()
    skin = head.region("face", "scalp", "ears")
    points = camera.project(vertices[: len(head.vertices)][skin])[:, :2]
    return np.asarray(
        np.clip(np.concatenate([np.floor(points.min(0)), np.ceil(points.max(0))]), 0, [camera.width, camera.height] * 2)
    )
