"""Head poses in the camera frame and in the reconstruction network's frame, and the crop that connects them (spec 1.8).

The network's crop aligns eye centres, nose and mouth corners with a template: that similarity absorbs nearly all of the position,
roll and size of the face, and the network's rotation and translation are the remainder. An :class:`Apparent` pose is independent
of both: the face in the canvas, seen along its own line of sight, whatever the camera.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from mimaface.face.fit import FittedFace, LandmarkModel
from mimaface.face.pose import FacePose
from mimaface.geometry.camera import Camera
from mimaface.geometry.similarity import Similarity
from mimaface.protocol.arrays import Array

from .align import LEFT_EYE, MOUTH, NOSE, RIGHT_EYE, applied, face_affine, inverted
from .bfm import CAMERA_Z, CENTRE, FOCAL, row_rotation
from .transfer import GazeAdapter, Transfer


@dataclass(frozen=True, eq=False)
class Apparent:
    """A pose relative to the line of sight.

      rotation (…, 3, 3)    BFM axes → line of sight (x right, y up, z to the viewer)
      position (…, 2)       the BFM's origin in canvas pixels, v down
      scale (…)             canvas pixels per unit of the BFM at that depth
    """

    rotation: Array
    position: Array
    scale: Array


def to_apparent(rotation: ArrayLike, translation: ArrayLike, camera: Camera, canvas: ArrayLike, placed: Similarity) -> Apparent:
    """Converts a head → camera rotation (…, 3, 3) and translation (…, 3) in metres, in the picture of ``camera``.

    canvas (2, 3): similarity from the picture's pixels to the canvas's; placed: the similarity from the BFM to the head.
    """
    turn, matrix = np.asarray(rotation, np.float64), np.asarray(canvas, np.float64)
    origin = turn @ placed.offset + np.asarray(translation)
    pixels = camera.project(origin)
    size, angle = _size_and_angle(matrix)
    apparent = about_z(-angle) @ toward_viewer(origin) @ turn @ placed.rotation
    return Apparent(
        apparent, applied(matrix, pixels[..., None, :2])[..., 0, :], camera.focal / pixels[..., 2] * placed.scale * size
    )


def to_network(pose: Apparent, crop: ArrayLike) -> tuple[Array, Array]:
    """Returns the angles x, y, z (…, 3) in radians and translation (…, 3) that the network predicts for a pose; crop (…, 2, 3):
    canvas → 256².
    """
    matrix = np.asarray(crop, np.float64)
    size, angle = _size_and_angle(matrix)
    scale = pose.scale * size
    u, v = np.moveaxis(applied(matrix, pose.position[..., None, :])[..., 0, :], -1, 0)
    translation = np.stack([(u - CENTRE) / scale, (CENTRE - v) / scale, CAMERA_Z - FOCAL / scale], axis=-1)
    view = toward_viewer(translation - [0.0, 0.0, CAMERA_Z])
    return angles_of(np.swapaxes(view, -1, -2) @ about_z(-angle) @ pose.rotation), translation


def from_network(angles: ArrayLike, translation: ArrayLike, crop: ArrayLike) -> Apparent:
    """Inverse of :func:`to_network`."""
    matrix, place = np.asarray(crop, np.float64), np.asarray(translation, np.float64)
    size, angle = _size_and_angle(matrix)
    scale = FOCAL / (CAMERA_Z - place[..., 2])
    inside = np.stack([CENTRE + scale * place[..., 0], CENTRE - scale * place[..., 1]], axis=-1)
    turn = np.swapaxes(row_rotation(angles), -1, -2)
    rotation = about_z(angle) @ toward_viewer(place - [0.0, 0.0, CAMERA_Z]) @ turn
    return Apparent(rotation, applied(inverted(matrix), inside[..., None, :])[..., 0, :], scale / size)


def angles_of(rotation: ArrayLike) -> Array:
    """R = Rz · Ry · Rx on columns (…, 3, 3) → x, y, z (…, 3) in radians, y in [−π/2, π/2]: + down, left, tilt to the subject's
    right.
    """
    m = np.asarray(rotation, np.float64)
    x, y = np.arctan2(m[..., 2, 1], m[..., 2, 2]), np.arcsin(np.clip(-m[..., 2, 0], -1.0, 1.0))
    return np.stack([x, y, np.arctan2(m[..., 1, 0], m[..., 0, 0])], axis=-1)


def about_z(angle: ArrayLike) -> Array:
    """Returns the rotation (…, 3, 3) about the viewing axis, + counter-clockwise for the viewer."""
    c, s = np.cos(np.asarray(angle, np.float64)), np.sin(np.asarray(angle, np.float64))
    zero, one = np.zeros_like(c), np.ones_like(c)
    return np.stack([np.stack(row, axis=-1) for row in ([c, -s, zero], [s, c, zero], [zero, zero, one])], axis=-2)


def toward_viewer(points: ArrayLike) -> Array:
    """Returns the smallest rotation (…, 3, 3) of the direction of camera-frame points (…, 3) onto the viewing axis −z."""
    p = np.asarray(points, np.float64)
    x, y, z = np.moveaxis(p / np.linalg.norm(p, axis=-1, keepdims=True), -1, 0)
    zero, one = np.zeros_like(x), np.ones_like(x)
    cross = np.stack([np.stack(row, axis=-1) for row in ([zero, zero, x], [zero, zero, y], [-x, -y, zero])], axis=-2)
    eye = np.stack([np.stack(row, axis=-1) for row in ([one, zero, zero], [zero, one, zero], [zero, zero, one])], axis=-2)
    return np.asarray(eye + cross + cross @ cross / (1 - z)[..., None, None])


def _size_and_angle(similarity: Array) -> tuple[Array, Array]:
    """Returns scale (…) and angle (…) in radians, + clockwise on the screen, of similarities (…, 2, 3) of v-down pixels."""
    a, b = similarity[..., 0, 0], similarity[..., 1, 0]
    return np.hypot(a, b), np.arctan2(b, a)


@dataclass(frozen=True, eq=False)
class SourceFace:
    """The network's prediction for the portrait: expression (64,), rotation (3,), translation (3,), gaze (4,), and its crop.

    canvas (2, 3): photograph → canvas; five (5, 2): the crop's five points in canvas pixels.
    """

    expression: Array
    rotation: Array
    translation: Array
    gaze: Array
    canvas: Array
    five: Array

    @property
    def crop(self) -> Array:
        """(2, 3): canvas → the network's 256 × 256."""
        return face_affine(self.five)


@dataclass(frozen=True, eq=False)
class Driving:
    """Inputs for T frames: expression (T, 64), rotation (T, 3), translation (T, 3), gaze (T, 4), crop (T, 2, 3)."""

    expression: Array
    rotation: Array
    translation: Array
    gaze: Array
    crop: Array

    def __len__(self) -> int:
        return len(self.expression)


def drive(
    source: SourceFace, fit: FittedFace, poses: Sequence[FacePose], transfer: Transfer, gaze: GazeAdapter, absolute: bool = False
) -> Driving:
    """Returns the coefficients and crop of each pose, as the network would predict them for the portrait's face.

    Relative (default): the difference between a pose and the portrait's own (``fit``) is added to the network's prediction for
    the portrait, so the portrait's own pose returns ``source``, crop included. Absolute: expression, rotation and gaze are the
    pose's own, as published; position and size remain relative to the portrait, whose identity is rendered.
    """
    rotation, translation = np.stack([pose.rotation for pose in poses]), np.stack([pose.translation for pose in poses])
    blendshapes, looks = np.stack([pose.blendshapes for pose in poses]), np.stack([pose.gaze for pose in poses])
    now = to_apparent(rotation, translation, fit.camera, source.canvas, transfer.placed)
    own = to_apparent(fit.rotation, fit.translation, fit.camera, source.canvas, transfer.placed)
    predicted = from_network(source.rotation, source.translation, source.crop)
    growth = now.scale / own.scale
    position = now.position + growth[:, None] * (predicted.position - own.position)
    turn = now.rotation if absolute else now.rotation @ own.rotation.T @ predicted.rotation

    before = five_points_of(fit, [FacePose(fit.blendshapes, fit.rotation, fit.translation, fit.gaze)], source.canvas)[0]
    five = five_points_of(fit, poses, source.canvas) + growth[:, None, None] * (source.five - before)
    crop = np.stack([face_affine(points) for points in five])
    angles, place = to_network(Apparent(turn, position, predicted.scale * growth), crop)
    if absolute:
        return Driving(transfer.expression(blendshapes), angles, place, gaze(looks), crop)
    expression = source.expression + transfer.expression(blendshapes - fit.blendshapes)
    return Driving(expression, angles, place, source.gaze + gaze(looks) - gaze(fit.gaze), crop)


def five_points_of(fit: FittedFace, poses: Sequence[FacePose], canvas: ArrayLike) -> Array:
    """Returns eye centres, nose tip and mouth corners of the fitted head in each pose, canvas pixels (T, 5, 2), image left
    first."""
    model = LandmarkModel.load()
    names = (*LEFT_EYE, *RIGHT_EYE, NOSE, *MOUTH)
    rows = [int(np.flatnonzero(model.index == name)[0]) for name in names]
    still = model.mean[rows] + np.tensordot(fit.identity, model.identity[:, rows], axes=1)
    moved = still + np.tensordot(np.stack([pose.blendshapes for pose in poses]), model.blendshapes[:, rows], axes=1)
    turns, places = np.stack([pose.rotation for pose in poses]), np.stack([pose.translation for pose in poses])
    points = fit.camera.project(moved @ np.swapaxes(turns, -1, -2) + places[:, None])[..., :2]
    a, b, c, d, nose, left, right = np.moveaxis(applied(np.asarray(canvas), points), 1, 0)
    return np.stack([(a + b) / 2, (c + d) / 2, nose, left, right], axis=1)
