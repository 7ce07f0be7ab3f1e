"""Retargeting of a take to another face: channel exchange, left/right swap, flips, gains, smoothing and the neutral frame."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from typing import Any

import numpy as np

from mimaface.geometry.smoothing import one_euro
from mimaface.protocol.arkit import BLENDSHAPE_INDEX, BLENDSHAPE_NAMES, mirror_name
from mimaface.protocol.arrays import Array
from mimaface.protocol.errors import InvalidInput
from mimaface.protocol.motion import OPTIONAL, MotionClip
from mimaface.protocol.rotation import (
    continuous_quaternions,
    head_angles_to_matrix,
    matrix_to_head_angles,
    matrix_to_quaternion,
    quaternion_to_matrix,
)
from mimaface.protocol.texts import shown

HEAD, GAZE = ("head_yaw", "head_pitch", "head_roll"), ("gaze_yaw", "gaze_pitch")
PAIRED = tuple(name for name in BLENDSHAPE_NAMES if mirror_name(name) != name)
FLIPS = (*HEAD, *GAZE, *PAIRED)
GAINS = ("head", "position", "gaze", *BLENDSHAPE_NAMES)
RESTING_FORMATS = ("picture", "sound", "phones")  # formats whose neutral is rest by definition: no frame of them is a better one
EXCHANGEABLE = (HEAD, GAZE, BLENDSHAPE_NAMES)  # groups of channels that can be exchanged with each other


@dataclass(frozen=True)
class RetargetSettings:
    """Settings of :func:`retarget`.

      neutral    "" keeps the file's own, else "rest", "auto" or a frame index
      gains      factors 0 to 10 by blendshape name, "head" (rotation and position), "position" (applied in addition) or "gaze"
      flip       angles whose sign is reversed, or blendshapes exchanged with the other side's
      swap       exchange left and right
      smoothing  0 (none) to 1 (heavy)
      exchange   pairs "name=name" of channels recorded in each other's place
    """

    neutral: str | int = ""
    gains: dict[str, float] = field(default_factory=dict)
    flip: tuple[str, ...] = ()
    swap: bool = False
    smoothing: float = 0.0
    exchange: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        unknown = [name for name in self.gains if name not in GAINS] + [name for name in self.flip if name not in FLIPS]
        if unknown:
            raise InvalidInput(
                f"unknown retargeting channel {shown(unknown[0], 40)!r}",
                f"gains: a blendshape, head, position or gaze; flips: {', '.join(HEAD + GAZE)}, or a blendshape of one side",
            )
        for pair in self.exchange:
            first, _, second = pair.partition("=")
            if not any(first in group and second in group for group in EXCHANGEABLE):
                raise InvalidInput(
                    f"the channels {shown(pair, 60)!r} cannot be exchanged",
                    "give two blendshapes, two angles of the head or two of the gaze, such as head_yaw=head_roll",
                )
        if any(not 0 <= gain <= 10 for gain in self.gains.values()):
            raise InvalidInput("a gain is out of range", "use 0 to 10")
        if not 0 <= self.smoothing <= 1:
            raise InvalidInput(f"smoothing {self.smoothing} is out of range", "use 0 to 1")
        index = type(self.neutral) is int and self.neutral >= 0
        if not index and self.neutral not in ("", "rest", "auto"):
            raise InvalidInput(f"neutral {shown(repr(self.neutral), 40)} is unknown", "use rest, auto or a frame index")

    @property
    def neutral_frame(self) -> int | None:
        """The neutral where it is a frame that the user has picked, else None."""
        return None if isinstance(self.neutral, str) else self.neutral

    @classmethod
    def from_wire(cls, values: dict[str, Any]) -> RetargetSettings:
        """Builds settings from message fields. Unknown fields are ignored; wrong types raise :class:`InvalidInput`."""
        known = {item.name: values[item.name] for item in fields(cls) if item.name in values}
        try:
            if "flip" in known:
                known["flip"] = tuple(str(name) for name in known["flip"])
            if "exchange" in known:
                known["exchange"] = tuple(str(pair) for pair in known["exchange"])
            if "gains" in known:
                known["gains"] = {str(name): float(gain) for name, gain in known["gains"].items()}
            known["smoothing"] = float(known.get("smoothing", 0.0))
            known["swap"] = bool(known.get("swap", False))
            return cls(**known)
        except (TypeError, ValueError, AttributeError) as error:
            raise InvalidInput(f"the retargeting options cannot be read ({error})") from error

    def to_wire(self) -> dict[str, Any]:
        return {**asdict(self), "flip": list(self.flip), "exchange": list(self.exchange)}


def retarget(clip: MotionClip, settings: RetargetSettings) -> MotionClip:
    """Applies ``settings`` in this order: exchange, swap, flip, gains, smoothing. The neutral is recorded in ``meta``, not
    subtracted.
    """
    blendshapes, quaternion, gaze, place = clip.blendshapes.copy(), clip.head_quat.copy(), clip.gaze.copy(), clip.head_pos.copy()
    blendshapes, quaternion, gaze = _exchanged(blendshapes, quaternion, gaze, settings.exchange)
    if settings.swap:
        blendshapes = blendshapes[:, [BLENDSHAPE_INDEX[mirror_name(name)] for name in BLENDSHAPE_NAMES]]
        quaternion *= [1, 1, -1, -1]  # mirrored in x: yaw and roll change sign
        gaze = gaze[:, ::-1] * np.array([-1, 1], np.float32)
        place = place * [-1, 1, 1]
    signs = np.array([-1.0 if name in settings.flip else 1.0 for name in HEAD])
    if (signs < 0).any():
        angles = matrix_to_head_angles(quaternion_to_matrix(quaternion))
        quaternion = matrix_to_quaternion(head_angles_to_matrix(angles * signs))
    for component, name in enumerate(GAZE):
        if name in settings.flip:
            gaze[..., component] *= -1
    for name in {min(name, mirror_name(name)) for name in settings.flip if name in PAIRED}:
        pair = [BLENDSHAPE_INDEX[name], BLENDSHAPE_INDEX[mirror_name(name)]]
        blendshapes[:, pair] = blendshapes[:, pair[::-1]]
    for name, gain in settings.gains.items():
        if name == "head":
            quaternion = scale_rotation(quaternion, gain)
        elif name == "gaze":
            gaze = gaze * np.float32(gain)
        elif name != "position":
            blendshapes[:, BLENDSHAPE_INDEX[name]] *= gain
    if settings.smoothing > 0:
        cutoff = 8.0 * (1 - settings.smoothing) + 0.4
        blendshapes = one_euro(blendshapes, clip.time, cutoff, 1.0)
        gaze = one_euro(gaze, clip.time, cutoff, 2.0)
        quaternion = one_euro(continuous_quaternions(quaternion), clip.time, cutoff, 2.0)
        quaternion /= np.linalg.norm(quaternion, axis=1, keepdims=True)
        if np.isfinite(place).all():
            place = one_euro(place, clip.time, cutoff, 8.0)
    meta = dict(clip.meta)
    if type(settings.neutral) is int and settings.neutral >= len(clip):
        raise InvalidInput(f"neutral frame {settings.neutral} is not in the take of {len(clip)} frames", f"use rest, auto or 0 to {len(clip) - 1}")
    known = np.flatnonzero(np.isfinite(place).all(axis=1))
    recorded = meta["neutral"] != "rest"  # a recorded position has no rest: the first known one stands for it
    if settings.neutral == "rest" and recorded and len(known):
        place, recorded = place - place[known[0]], False
    moved = settings.gains.get("head", 1.0) * settings.gains.get("position", 1.0)
    if moved != 1 and len(known):
        start = place[known[0]] if recorded else np.zeros(3)
        place = start + (place - start) * moved
    if settings.neutral != "" and not (settings.neutral == "auto" and meta.get("format") in RESTING_FORMATS):
        meta["neutral"] = settings.neutral
    meta["edits"] = [*clip.meta.get("edits", []), settings.to_wire()]
    # edited channels are no longer the recording's own
    native = dict.fromkeys(OPTIONAL) if settings != RetargetSettings(settings.neutral) else {}
    return clip.but(blendshapes=blendshapes, head_quat=quaternion, gaze=gaze, head_pos=place, meta=meta, **native)


def _exchanged(blendshapes: Array, quaternion: Array, gaze: Array, pairs: tuple[str, ...]) -> tuple[Array, Array, Array]:
    for first, second in (pair.split("=") for pair in pairs):
        if first in HEAD:
            angles = matrix_to_head_angles(quaternion_to_matrix(quaternion))
            angles[:, [HEAD.index(first), HEAD.index(second)]] = angles[:, [HEAD.index(second), HEAD.index(first)]]
            quaternion = matrix_to_quaternion(head_angles_to_matrix(angles))
        elif first in GAZE:
            gaze[..., [GAZE.index(first), GAZE.index(second)]] = gaze[..., [GAZE.index(second), GAZE.index(first)]]
        else:
            places = [BLENDSHAPE_INDEX[first], BLENDSHAPE_INDEX[second]]
            blendshapes[:, places] = blendshapes[:, places[::-1]]
    return blendshapes, quaternion, gaze


def scale_rotation(quaternion: Array, gain: float) -> Array:
    """Multiplies the angles of rotations (T, 4) about their own axes by ``gain``."""
    upright = np.where(quaternion[:, :1] < 0, -quaternion, quaternion)
    sine = np.linalg.norm(upright[:, 1:], axis=1, keepdims=True)
    half = np.arctan2(sine, upright[:, :1]) * gain
    axis = upright[:, 1:] / np.maximum(sine, 1e-12)
    return np.concatenate([np.cos(half), np.sin(half) * axis], axis=1)
