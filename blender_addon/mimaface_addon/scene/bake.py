# SPDX-License-Identifier: GPL-3.0-or-later
"""Between the scene and ``MotionClip``: frames of the rig → motion, motion → curves of the rig's mocap layer."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

import bpy
import numpy as np

from ..core.words import rpt_
from ..protocol.arkit import BLENDSHAPE_NAMES
from ..protocol.errors import InvalidInput
from ..protocol.motion import MotionClip
from ..protocol.rotation import matrix_to_head_angles, quaternion_to_matrix
from . import compat, speech
from .posing import motion_of, values_of
from .rig import GAZE_CHANNELS, HEAD_CHANNELS, POSITION_CHANNELS

# (name of the group of curves, prefix of its blendshapes)
GROUPS = (
    ("Eyes", ("eye",)), ("Brows", ("brow",)), ("Jaw", ("jaw", "tongue")), ("Mouth", ("mouth",)), ("Cheeks and Nose", ("cheek", "nose")),
)  # fmt: skip
MOUTH = ("Jaw", "Mouth")  # the groups that speech moves
TIMECODE = re.compile(r"\d{1,2}:\d{2}:\d{2}[:;.]\d")  # the start of a timecode


@dataclass(frozen=True)
class Imported:
    """What an import wrote: keys per channel, channels, the last frame, and how many visemes are marked."""

    keys: int
    channels: int
    last: int
    visemes: int = 0


def frames_per_second(scene: bpy.types.Scene) -> float:
    return scene.render.fps / scene.render.fps_base


def shot_frames(scene: bpy.types.Scene) -> range:
    """Returns the frames of *Generate*: the scene's range, or the preview range while it is on, every ``frame_step``-th."""
    if scene.use_preview_range:
        return range(scene.frame_preview_start, scene.frame_preview_end + 1, scene.frame_step)
    return range(scene.frame_start, scene.frame_end + 1, scene.frame_step)


def scene_to_motion(context: bpy.types.Context, rig: bpy.types.Object, frames: range) -> MotionClip:
    """Returns the rig's motion on ``frames``, relative to the portrait (neutral "rest"). Raises :class:`InvalidInput` if the rig cannot move.

    A scene of its own evaluates the rig: what the artist has posed without a key stays as it is, nothing else is computed,
    and a rig whose collection is excluded or hidden moves, too.
    """
    if rig.mode == "EDIT":
        problem = rpt_("{name} is in Edit Mode, where it does not move").format(name=rig.name)
        raise InvalidInput(problem, rpt_("press Tab to leave it, then generate"))
    if rig.data.pose_position == "REST":
        problem = rpt_("{name} shows its rest position only").format(name=rig.name)
        raise InvalidInput(problem, rpt_("switch it to Pose Position in the armature's properties, then generate"))
    rate = frames_per_second(context.scene) / frames.step
    with alone(context.scene, rig) as stage:
        values = []
        for frame in frames:
            stage.frame_set(frame)
            values.append(values_of(rig.evaluated_get(stage.view_layers[0].depsgraph)))
    return motion_of(np.array(values), rate)


@contextlib.contextmanager
def alone(scene: bpy.types.Scene, rig: bpy.types.Object) -> Iterator[bpy.types.Scene]:
    """Returns a temporary scene at ``scene``'s rate that contains only the rig, visible. No window shows it, so it changes no value."""
    stage = bpy.data.scenes.new("MIMAFace bake")
    for name in ("fps", "fps_base", "frame_map_old", "frame_map_new"):
        setattr(stage.render, name, getattr(scene.render, name))
    hidden = rig.hide_viewport
    if hidden:
        rig.hide_viewport = False
    try:
        stage.collection.objects.link(rig)
        yield stage
    finally:
        bpy.data.scenes.remove(stage)
        if hidden:
            rig.hide_viewport = True


def layer_of(clip: MotionClip) -> list[tuple[str, str, np.ndarray]]:
    """Yields (group of curves, property of the mocap layer, values (T,)) of a relative motion."""
    angles = np.unwrap(matrix_to_head_angles(quaternion_to_matrix(clip.head_quat)), axis=0)
    layer = [("Mocap Head", item, values) for item, values in zip(HEAD_CHANNELS + POSITION_CHANNELS, (*angles.T, *clip.head_pos.T))]
    layer += [("Mocap Gaze", f"mocap_{item}", values) for item, values in zip(GAZE_CHANNELS, clip.gaze.reshape(len(clip), 4).T)]
    for group, starts in GROUPS:
        layer += [
            (f"Mocap {group}", f"mocap_{item}", clip.blendshapes[:, index])
            for index, item in enumerate(BLENDSHAPE_NAMES)
            if item.startswith(starts)
        ]
    return layer


def motion_to_curves(
    scene: bpy.types.Scene, rig: bpy.types.Object, motion: MotionClip, name: str, start: int, punch_in: bool = False
) -> Imported:
    """Key the mocap layer from frame ``start`` on, in the rig's action or a new one; the artist's own keys stay.

    Curves of an earlier import are replaced; with ``punch_in`` only from the first to the last frame of this motion. The motion is
    taken relative to its neutral frame, at the scene's rate.
    """
    rate = frames_per_second(scene)
    clip = motion.at_rate(rate).relative()
    layer, action = layer_of(clip), compat.ensure_action(rig, name)
    made = _key_layer(rig, action, layer, start, punch_in)
    _mark(action, str(motion.meta.get("timecode", "")), range(start, made.last + 1), punch_in)
    return made if punch_in else replace(made, visemes=speech.put(action, clip, start, rate))


def pose_to_curves(scene: bpy.types.Scene, rig: bpy.types.Object, motion: MotionClip, name: str, frame: int) -> Imported:
    """Key the first pose of a motion on the mocap layer at ``frame``; all other keys stay."""
    layer = layer_of(motion.at_rate(frames_per_second(scene)).relative())
    compat.ensure_action(rig, name)
    for group, item, values in layer:
        rig[item] = float(values[0])
        rig.keyframe_insert(f'["{item}"]', frame=frame, group=group)
    rig.update_tag()
    return Imported(1, len(layer), frame)


def mouth_to_curves(scene: bpy.types.Scene, rig: bpy.types.Object, motion: MotionClip, start: int) -> Imported:
    """Key the mouth of the mocap layer from frame ``start`` on, as :func:`motion_to_curves` does; all other keys stay, also before and after it."""
    clip = motion.at_rate(frames_per_second(scene)).relative()
    return _key_layer(rig, compat.ensure_action(rig, rig.name), mouth_of(layer_of(clip)), start, amid=True)


def mouth_of(layer: list[tuple[str, str, np.ndarray]]) -> list[tuple[str, str, np.ndarray]]:
    """Returns the channels, of those of :func:`layer_of`, that move the mouth."""
    return [channel for channel in layer if channel[0].removeprefix("Mocap ") in MOUTH]


def _key_layer(
    rig: bpy.types.Object, action: bpy.types.Action, layer: list[tuple[str, str, np.ndarray]], start: int, amid: bool
) -> Imported:
    """Replace the keys of channels, those of :func:`layer_of`; with ``amid`` keys before and after the motion stay."""
    before = compat.fcurves_of(rig) if amid else {}
    for group, item, values in layer:
        path = f'["{item}"]'
        keys = np.stack([start + np.arange(len(values)), values], axis=1)
        if path in before:
            keys = _around(before[path], keys)
        key_curve(compat.empty_fcurve(rig, action, path, group), keys)
    count = len(layer[0][2])
    return Imported(count, len(layer), start + count - 1)


def _mark(action: bpy.types.Action, timecode: str, frames: range, punch_in: bool) -> None:
    """Add a marker with the take's first timecode to the action, and delete those of replaced takes."""
    for marker in list(action.pose_markers):
        if TIMECODE.match(marker.name) and (not punch_in or marker.frame in frames):
            action.pose_markers.remove(marker)
    if TIMECODE.match(timecode):
        action.pose_markers.new(timecode).frame = frames[0]


def key_curve(curve: bpy.types.FCurve, keys: np.ndarray) -> None:
    """Set the keys (N, 2) of frame and value of an empty curve, with linear interpolation."""
    curve.keyframe_points.add(len(keys))
    curve.keyframe_points.foreach_set("co", keys.astype(np.float32).ravel())
    curve.keyframe_points.foreach_set("interpolation", np.ones(len(keys), np.int32))  # 1: linear
    curve.update()


def keys_of(curve: bpy.types.FCurve) -> np.ndarray:
    """Returns the keys (N, 2) of a curve: frame and value."""
    found = np.zeros(2 * len(curve.keyframe_points), np.float32)
    curve.keyframe_points.foreach_get("co", found)
    return found.reshape(-1, 2).astype(float)


def _around(curve: bpy.types.FCurve, keys: np.ndarray) -> np.ndarray:
    """Returns ``keys`` (N, 2) merged into a curve, which is unchanged up to the frame before them and from the frame after them on."""
    old, first, last = keys_of(curve), keys[0, 0], keys[-1, 0]
    parts = [keys]
    if (old[:, 0] < first).any():
        parts = [old[old[:, 0] < first - 1], np.array([[first - 1, curve.evaluate(first - 1)]]), *parts]
    if (old[:, 0] > last).any():
        parts = [*parts, np.array([[last + 1, curve.evaluate(last + 1)]]), old[old[:, 0] > last + 1]]
    return np.concatenate(parts)
