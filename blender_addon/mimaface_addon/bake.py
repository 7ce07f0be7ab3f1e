# SPDX-License-Identifier: GPL-3.0-or-later
"""Between the scene and ``MotionClip``: frames of the rig → motion, motion → curves of the rig's mocap layer."""

from __future__ import annotations

import bpy
import numpy as np

from . import compat
from .protocol.arkit import ACTION_NAMES
from .protocol.motion import MotionClip
from .protocol.rotation import (
    matrix_to_head_angles,
    matrix_to_quaternion,
    quaternion_conjugate,
    quaternion_multiply,
    quaternion_to_matrix,
)
from .rig import EYES, GAZE_CHANNELS, HEAD_CHANNELS, head_offset, head_rotation


def frames_per_second(scene: bpy.types.Scene) -> float:
    return scene.render.fps / scene.render.fps_base


def scene_to_motion(context: bpy.types.Context, rig: bpy.types.Object, start: int, end: int) -> MotionClip:
    """Evaluate the rig on every frame from ``start`` to ``end``; the motion is relative to the portrait ("rest")."""
    scene = context.scene
    before = scene.frame_current, scene.frame_subframe
    count = end - start + 1
    actions, rotations = np.zeros((count, len(ACTION_NAMES))), np.zeros((count, 3, 3))
    places, gaze = np.zeros((count, 3)), np.zeros((count, 2, 2))
    for index in range(count):
        scene.frame_set(start + index)
        posed = rig.evaluated_get(context.evaluated_depsgraph_get())
        actions[index] = [posed[f"out_{action}"] for action in ACTION_NAMES]
        rotations[index], places[index] = head_rotation(posed), head_offset(posed)
        gaze[index] = [[posed[f"out_gaze_{eye}_{axis}"] for axis in ("yaw", "pitch")] for eye in EYES]
    scene.frame_set(before[0], subframe=before[1])
    clip = MotionClip.at_rest(np.arange(count) / frames_per_second(scene), source="blender", fps=frames_per_second(scene))
    return clip.but(actions=actions, head_quat=matrix_to_quaternion(rotations), head_pos=places, gaze=gaze)


def motion_to_curves(context: bpy.types.Context, rig: bpy.types.Object, motion: MotionClip, name: str, start: int) -> int:
    """Key the mocap layer from frame ``start`` on, beside the artist's own keys; returns the last frame.

    Curves of an earlier import are replaced. The motion is taken relative to its neutral frame.
    """
    scene = context.scene
    rate = frames_per_second(scene)
    count = int(np.floor(motion.duration * rate + 1e-6)) + 1
    clip = motion.resampled(motion.time[0] + np.arange(count) / rate)
    turned, actions, gaze = clip.head_quat, clip.actions, clip.gaze
    neutral = _neutral(motion)
    if neutral is not None:
        turned = quaternion_multiply(turned, quaternion_conjugate(motion.head_quat[neutral]))
        actions, gaze = actions - motion.actions[neutral], gaze - motion.gaze[neutral]
    angles = np.unwrap(matrix_to_head_angles(quaternion_to_matrix(turned)), axis=0)
    action = compat.ensure_action(rig, name)
    frames = start + np.arange(count)
    curves = {f"mocap_{item}": actions[:, index] for index, item in enumerate(ACTION_NAMES)}
    curves |= dict(zip(HEAD_CHANNELS, angles.T))
    curves |= {f"mocap_{item}": values for item, values in zip(GAZE_CHANNELS, gaze.reshape(count, 4).T)}
    for item, values in curves.items():
        curve = compat.empty_fcurve(rig, action, f'["{item}"]')
        curve.keyframe_points.add(count)
        curve.keyframe_points.foreach_set("co", np.stack([frames, values], axis=1).astype(np.float32).ravel())
        curve.keyframe_points.foreach_set("interpolation", np.ones(count, np.int32))  # 1: linear
        curve.update()
    return int(frames[-1])


def _neutral(clip: MotionClip) -> int | None:
    neutral = clip.meta.get("neutral", "rest")
    if neutral == "rest":
        return None
    if isinstance(neutral, int):
        return min(max(neutral, 0), len(clip) - 1)
    return int(np.argmin(np.abs(clip.actions).sum(1) + np.where(clip.valid[:, 0], 0.0, 1e6)))
