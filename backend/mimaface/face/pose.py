"""Poses of the head in every frame, from a ``MotionClip`` and the portrait's own pose; and the frame of a motion that shows the portrait's.

Motion relative to that frame gives the portrait back there, so a film that moves one of its own frames gives itself back. It is the idea of
``find_best_frame`` in the demonstration of Siarohin et al., First Order Motion Model for Image Animation, NeurIPS 2019, with a limit: landmarks
also tell people apart, and the pose and expression of another person's frame is never equal enough. There the calmest frame stays neutral, so
a portrait that smiles goes on smiling under a calm take, and one that looks aside goes on looking aside.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mimaface.protocol.arkit import blendshapes_of, regions_of
from mimaface.protocol.arrays import Array
from mimaface.protocol.blendshapes import closed_no_further
from mimaface.protocol.motion import OPTIONAL, MotionClip
from mimaface.protocol.rotation import (
    matrix_to_head_angles,
    matrix_to_quaternion,
    quaternion_conjugate,
    quaternion_multiply,
    quaternion_to_matrix,
    tilt_of,
    turned_frame,
)

from .fit import FittedFace


@dataclass(frozen=True, eq=False)
class FacePose:
    """blendshapes (52,) in [0, 1]; rotation (3, 3) head → camera; translation (3,) metres; gaze (2, 2) radians."""

    blendshapes: Array
    rotation: Array
    translation: Array
    gaze: Array


def poses_for(fit: FittedFace, motion: MotionClip, absolute: bool = False, only: str = "") -> list[FacePose]:
    """The pose of every frame.

    Relative (default): the motion away from its neutral is added to the portrait's own pose, expression and gaze; a clip that
    stays at its neutral gives back the portrait. Rotation and position act in the portrait's levelled frame, so that a shake of a
    lying head is a shake: R = L · ΔR · L⁻¹ · R_source, with ΔR of :meth:`MotionClip.relative` and L the portrait's tilt.
    Absolute: as recorded; the position is kept from the portrait where the motion has none. In both, mouthClose closes lips until
    they meet, and no further. ``only``: regions as :class:`mimaface.protocol.settings.RenderSettings` has them; the rest is the portrait's.
    """
    if absolute:
        rotation = quaternion_to_matrix(motion.head_quat)
        known: Array = np.asarray(np.isfinite(motion.head_pos).all(1))
        places = np.where(known[:, None], motion.head_pos, fit.translation)
        blendshapes, gaze = motion.blendshapes, motion.gaze
    else:
        away = motion.relative()
        source = matrix_to_quaternion(fit.rotation)
        tilt = tilt_of(source)
        turned = turned_frame(tilt, away.head_quat)
        rotation = quaternion_to_matrix(quaternion_multiply(turned, source))
        still = np.flatnonzero(np.abs(turned[:, 0]) >= 1 - 1e-12)
        rotation[still] = fit.rotation
        places = fit.translation + away.head_pos @ quaternion_to_matrix(tilt).T
        blendshapes, gaze = fit.blendshapes + away.blendshapes, fit.gaze + away.gaze
    blendshapes, gaze, regions = np.clip(blendshapes, 0.0, 1.0), np.clip(gaze, -1.0, 1.0), regions_of(only)
    if only:
        blendshapes = np.where(blendshapes_of(*regions), blendshapes, fit.blendshapes)
    if "gaze" not in regions:
        gaze = np.broadcast_to(fit.gaze, gaze.shape)
    if "head" not in regions:
        rotation, places = np.broadcast_to(fit.rotation, rotation.shape), np.broadcast_to(fit.translation, places.shape)
    blendshapes = closed_no_further(blendshapes, fit.blendshapes)
    return [FacePose(*values) for values in zip(blendshapes, rotation, places, gaze)]


def away_from(fit: FittedFace, motion: MotionClip) -> MotionClip:
    """Returns absolute motion as motion away from the portrait, with neutral "rest": :func:`poses_for` gives the same poses of it."""
    source = matrix_to_quaternion(fit.rotation)
    tilt = tilt_of(source)
    turned = turned_frame(quaternion_conjugate(tilt), quaternion_multiply(motion.head_quat, quaternion_conjugate(source)))
    known = np.isfinite(motion.head_pos).all(axis=1, keepdims=True)
    places = np.where(known, (motion.head_pos - fit.translation) @ quaternion_to_matrix(tilt), 0.0)
    return motion.but(
        blendshapes=motion.blendshapes - fit.blendshapes, head_quat=turned, head_pos=places, gaze=motion.gaze - fit.gaze,
        meta={**motion.meta, "neutral": "rest"}, **dict.fromkeys(OPTIONAL),
    )  # fmt: skip


def motion_signals(poses: list[FacePose], fit: FittedFace) -> dict[str, Array]:
    """The motion signals of F poses in the motion space ``anny``, name → (F, n) float32.

    rotation: yaw, pitch, roll in radians; translation: metres in the camera frame, away from the portrait's; expression: the 52
    blendshapes; gaze: left yaw, left pitch, right yaw, right pitch in radians.
    """
    signals = {
        "rotation": np.stack([matrix_to_head_angles(pose.rotation) for pose in poses]),
        "translation": np.stack([pose.translation - fit.translation for pose in poses]),
        "expression": np.stack([pose.blendshapes for pose in poses]),
        "gaze": np.stack([pose.gaze.reshape(4) for pose in poses]),
    }
    return {name: value.astype(np.float32) for name, value in signals.items()}


FACE = 468  # landmarks of the surface; the others are irises
# Root mean square distance of landmarks, in root mean square radii of the face, up to which a frame shows the portrait. The same person in the
# same pose has up to 0.03, and 3.5° of turning change 0.05; of 48 portraits and takes of different people one had 0.036, the others 0.048
# and more. Raised: other people's smiles become neutral; lowered: frames that were compressed are not found.
ALIKE = 0.04
EQUALLY = 0.01  # the same, by which a frame may be less alike than the likest one. Raised: a calmer frame, whose expression differs more


def neutral_for(face: Array, motion: MotionClip) -> int | None:
    """Returns the frame of a motion that shows the landmarks ``face`` (478, 3) of a portrait; None where none does, or only numbers are known.

    First the frame that shows them where they are, as in the film that the portrait was taken of; else, of those that show them equally well
    at any place and size, the calmest.
    """
    if motion.landmarks is None:
        return None
    seen = motion.valid[:, 0]
    shown, wanted = _flat(motion.landmarks), _flat(face)
    there = np.where(seen, _distance(shown / _radius(wanted), wanted / _radius(wanted)), np.inf)
    if there.min() <= ALIKE:
        return int(there.argmin())
    anywhere = np.where(seen, _distance(_placed(shown), _placed(wanted)), np.inf)
    if anywhere.min() > ALIKE:
        return None
    return int(np.where(anywhere <= min(anywhere.min() + EQUALLY, ALIKE), motion.unrest(), np.inf).argmin())


def _flat(points: Array) -> Array:
    return np.asarray(points[..., :2], np.float64)


def _radius(flat: Array) -> Array:
    """(..., 1, 1) root mean square distance of the surface's landmarks (..., 478, 2) from their middle."""
    surface = flat[..., :FACE, :]
    away = np.square(surface - surface.mean(-2, keepdims=True)).sum((-2, -1), keepdims=True)
    return np.asarray(np.maximum(np.sqrt(away / FACE), 1e-9))


def _distance(first: Array, second: Array) -> Array:
    return np.asarray(np.sqrt(np.square(first - second).sum(-1).mean(-1)))


def _placed(flat: Array) -> Array:
    """Landmarks (..., 478, 2) about the middle of the face, with a radius of 1."""
    return np.asarray((flat - flat[..., :FACE, :].mean(-2, keepdims=True)) / _radius(flat))
