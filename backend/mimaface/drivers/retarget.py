"""Retargeting: neutral frame, left/right swap, flips, gains and smoothing, so that a take fits another face."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mimaface.face.smoothing import one_euro
from mimaface.protocol.arkit import ACTION_INDEX, ACTION_NAMES, mirror_name
from mimaface.protocol.errors import InvalidInput
from mimaface.protocol.motion import OPTIONAL, MotionClip
from mimaface.protocol.rotation import (
    continuous_quaternions,
    head_angles_to_matrix,
    matrix_to_head_angles,
    matrix_to_quaternion,
    quaternion_to_matrix,
)

Array = NDArray[Any]
FLIPS = ("head_yaw", "head_pitch", "head_roll", "gaze_yaw", "gaze_pitch")
GAINS = ("head", "gaze", *ACTION_NAMES)


@dataclass(frozen=True)
class RetargetSettings:
    """neutral: "" keeps the file's own, else "rest", "auto" or a frame index; gains by action name, "head" or "gaze"; flip: names
    of FLIPS; swap: exchange left and right; smoothing: 0 (none) to 1 (heavy)."""

    neutral: str | int = ""
    gains: dict[str, float] = field(default_factory=dict)
    flip: tuple[str, ...] = ()
    swap: bool = False
    smoothing: float = 0.0

    def __post_init__(self) -> None:
        unknown = [name for name in self.gains if name not in GAINS] + [name for name in self.flip if name not in FLIPS]
        if unknown:
            raise InvalidInput(
                f"retargeting knows no channel {unknown[0]!r}", f"gains: an action, head or gaze; flips: {', '.join(FLIPS)}"
            )
        if any(not 0 <= gain <= 10 for gain in self.gains.values()):
            raise InvalidInput("a gain is out of range", "use 0 to 10")
        if not 0 <= self.smoothing <= 1:
            raise InvalidInput(f"smoothing {self.smoothing} is out of range", "use 0 to 1")
        index = type(self.neutral) is int and self.neutral >= 0
        if not index and self.neutral not in ("", "rest", "auto"):
            raise InvalidInput(f"neutral {self.neutral!r} is unknown", "use rest, auto or a frame index")

    @classmethod
    def from_wire(cls, values: dict[str, Any]) -> RetargetSettings:
        """Build from message fields; unknown ones are ignored, wrong types raise :class:`InvalidInput`."""
        known = {item.name: values[item.name] for item in fields(cls) if item.name in values}
        try:
            if "flip" in known:
                known["flip"] = tuple(str(name) for name in known["flip"])
            if "gains" in known:
                known["gains"] = {str(name): float(gain) for name, gain in known["gains"].items()}
            known["smoothing"] = float(known.get("smoothing", 0.0))
            known["swap"] = bool(known.get("swap", False))
            return cls(**known)
        except (TypeError, ValueError, AttributeError) as error:
            raise InvalidInput(f"the retargeting options cannot be read ({error})") from error

    def to_wire(self) -> dict[str, Any]:
        return {**asdict(self), "flip": list(self.flip)}


def retarget(clip: MotionClip, settings: RetargetSettings) -> MotionClip:
    """Apply ``settings`` in this order: swap, flip, gains, smoothing; the neutral is noted, not subtracted."""
    actions, quaternion, gaze, place = clip.actions.copy(), clip.head_quat.copy(), clip.gaze.copy(), clip.head_pos.copy()
    if settings.swap:
        actions = actions[:, [ACTION_INDEX[mirror_name(name)] for name in ACTION_NAMES]]
        quaternion *= [1, 1, -1, -1]  # mirrored in x: yaw and roll change sign
        gaze = gaze[:, ::-1] * np.array([-1, 1], np.float32)
        place = place * [-1, 1, 1]
    signs = np.array([-1.0 if name in settings.flip else 1.0 for name in ("head_yaw", "head_pitch", "head_roll")])
    if (signs < 0).any():
        angles = matrix_to_head_angles(quaternion_to_matrix(quaternion))
        quaternion = matrix_to_quaternion(head_angles_to_matrix(angles * signs))
    for name, component in (("gaze_yaw", 0), ("gaze_pitch", 1)):
        if name in settings.flip:
            gaze[..., component] *= -1
    for name, gain in settings.gains.items():
        if name == "head":
            quaternion = scale_rotation(quaternion, gain)
        elif name == "gaze":
            gaze = gaze * np.float32(gain)
        else:
            actions[:, ACTION_INDEX[name]] *= gain
    if settings.smoothing > 0:
        cutoff = 8.0 * (1 - settings.smoothing) + 0.4
        actions = one_euro(actions, clip.time, cutoff, 1.0)
        gaze = one_euro(gaze, clip.time, cutoff, 2.0)
        quaternion = one_euro(continuous_quaternions(quaternion), clip.time, cutoff, 2.0)
        quaternion /= np.linalg.norm(quaternion, axis=1, keepdims=True)
        if np.isfinite(place).all():
            place = one_euro(place, clip.time, cutoff, 8.0)
    meta = dict(clip.meta)
    if type(settings.neutral) is int and settings.neutral >= len(clip):
        raise InvalidInput(f"neutral frame {settings.neutral} is not in the take of {len(clip)} frames")
    if settings.neutral != "":
        known = np.isfinite(place).all(1)
        if settings.neutral == "rest" and meta["neutral"] != "rest" and known.any():
            place = place - place[np.argmax(known)]  # a recorded position has no rest: its first is taken for it
        meta["neutral"] = settings.neutral
    meta["edits"] = [*clip.meta.get("edits", []), settings.to_wire()]
    native = dict.fromkeys(OPTIONAL) if settings != RetargetSettings(settings.neutral) else {}  # no longer what was recorded
    return clip.but(actions=actions, head_quat=quaternion, gaze=gaze, head_pos=place, meta=meta, **native)


def scale_rotation(quaternion: Array, gain: float) -> Array:
    """Multiply the angles of rotations (T, 4) by ``gain`` about their own axes."""
    upright = np.where(quaternion[:, :1] < 0, -quaternion, quaternion)
    sine = np.linalg.norm(upright[:, 1:], axis=1, keepdims=True)
    half = np.arctan2(sine, upright[:, :1]) * gain
    axis = upright[:, 1:] / np.maximum(sine, 1e-12)
    return np.concatenate([np.cos(half), np.sin(half) * axis], axis=1)
