"""Pinhole camera of a picture; docs/CONVENTIONS.md defines the axes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from mimaface.protocol.arrays import Array

FOCAL_PER_SIDE = 1.6  # default focal length, a portrait lens: 58 mm on a 36 mm wide sensor


@dataclass(frozen=True)
class Camera:
    """focal length and centre (u, v) in pixels of a picture of width × height pixels."""

    focal: float
    centre: tuple[float, float]
    width: int
    height: int

    @classmethod
    def for_image(cls, width: int, height: int) -> Camera:
        """Returns the default camera of a photograph: focal length 1.6 × the longer side, centred."""
        return cls(FOCAL_PER_SIDE * max(width, height), (width / 2, height / 2), width, height)

    def project(self, points: ArrayLike) -> Array:
        """Camera-frame points (…, 3) in metres → u, v in pixels and depth in metres (…, 3)."""
        x, y, z = np.moveaxis(np.asarray(points), -1, 0)
        scale = self.focal / -z
        return np.stack([self.centre[0] + scale * x, self.centre[1] - scale * y, -z], axis=-1)

    def unproject(self, points: ArrayLike, depth: ArrayLike) -> Array:
        """Pixels u, v (…, 2) and their depth (…) in metres → camera-frame points (…, 3) in metres."""
        u, v = np.moveaxis(np.asarray(points), -1, 0)
        z = np.broadcast_to(depth, u.shape)
        return np.stack([(u - self.centre[0]) * z / self.focal, (self.centre[1] - v) * z / self.focal, -z], axis=-1)

    def window(self, left: float, top: float, scale: float, width: int, height: int) -> Camera:
        """Returns the camera of a crop with corner (left, top), enlarged by ``scale`` to width × height pixels."""
        centre = (self.centre[0] - left) * scale, (self.centre[1] - top) * scale
        return Camera(self.focal * scale, centre, width, height)


def to_camera(rotation: Array, translation: Array) -> Array:
    """(3,) unit vector, head frame, to the camera from a head at ``translation`` (3,) metres that is turned by ``rotation`` (3, 3)."""
    return np.asarray(-translation @ rotation / np.linalg.norm(translation))
