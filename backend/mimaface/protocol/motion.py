"""``MotionClip``: output of all importers, source and result of rig baking, input of ``animate``."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from .arkit import BLENDSHAPE_NAMES
from .arrays import Array
from .errors import InvalidInput, InvalidMotion
from .files import writable, write_whole
from .motion_files import FIRST_NAMES, LARGEST_FILE, MAX_FRAMES, SCHEMA_VERSION, pack, unpack
from .rotation import (
    continuous_quaternions,
    head_angles_to_matrix,
    matrix_to_head_angles,
    matrix_to_quaternion,
    quaternion_conjugate,
    quaternion_multiply,
    quaternion_to_matrix,
    slerp,
    tilt_of,
    turned_frame,
)
from .texts import shown, shown_list

# Seconds, and multiples of the median step, that a step must exceed to be a hole with missing frames. Raised: short losses are
# not reported.
HOLE, HOLE_STEPS = 0.1, 2.5
# Seconds. Holes up to this length are interpolated, like a lost face; across longer ones the last frame is held until this much
# is left. Raised: the face drifts for longer without cause; lowered: it freezes, then jumps. A head turns in 0.5 to 1 s.
BRIDGE = 2.0
REQUIRED = ("time", "blendshapes", "head_quat", "head_pos", "gaze", "valid", "confidence")
OPTIONAL = ("landmarks", "expression_bfm", "gaze_d3dfr")
SLOWEST, FASTEST = 1.0, 960.0  # frames per second at which a motion can be resampled
# Share of a frame interval within which frames are reused instead of resampled, also for the last frame. Container clocks round
# to 0.03 of a frame. Raised: frames are shown earlier or later than recorded.
SAME_MOMENT = 0.05
# Deviation of the head from its median that counts as much as one full blendshape (a shut eye, an open jaw); twice the deviation
# counts fourfold. Raised: the calmest face wins, wherever the head is. A glance aside is 20° and more, a talking head sways by
# less than 8°.
HEAD_DEVIATION = np.deg2rad(8.0)  # radians of the head's rotation
GAZE_DEVIATION = np.deg2rad(8.0)  # radians, mean of both eyes; saccades are 10° and more
POSITION_DEVIATION = 0.04  # metres; leaning is 0.05 and more


def _bounded_meta(meta: dict[str, Any]) -> dict[str, Any]:
    """Returns ``meta`` with texts of bounded length and number that every encoding can send."""
    fit = {shown(key, 60): shown(value) if isinstance(value, str) else value for key, value in meta.items()}
    if "warnings" in fit:
        fit["warnings"] = shown_list(fit["warnings"] if isinstance(fit["warnings"], list) else [fit["warnings"]])
    return fit


def way_across(since: Array, span: Array) -> Array:
    """Returns the interpolation weight (N,) of the later frame, ``since`` seconds after the earlier one in an interval of
    ``span`` seconds.

    Linear across ``BRIDGE`` seconds and less; otherwise 0 until ``BRIDGE`` seconds are left.
    """
    across = np.where(span > 0, np.minimum(span, BRIDGE), 1.0)
    return np.asarray(np.where(span > 0, np.clip(1 - (span - since) / across, 0.0, 1.0), 0.0))


@dataclass(frozen=True, eq=False)
class MotionClip:
    """Motion of one face over T frames. Raises :class:`InvalidMotion` for inconsistent arrays.

      time (T,) float64               seconds from the start, strictly increasing (real timestamps)
      blendshapes (T, 52) float32     ARKit blendshapes in the order of ``BLENDSHAPE_NAMES``; nominal 0–1, not clamped
      head_quat (T, 4) float64        w, x, y, z; head → camera; neighbours have the same sign
      head_pos (T, 3) float64         metres, camera frame; NaN where unknown
      gaze (T, 2, 2) float32          radians, [subject's left eye, right eye] × [yaw, pitch], head frame
      valid (T, 3) bool               whether face, head, gaze were observed
      confidence (T, 3) float32       0–1, same columns
      landmarks (T, 478, 3), expression_bfm (T, 64), gaze_d3dfr (T, 4): native values of a source, or None
      meta                            JSON: source, fps, timecode, neutral ("rest", "auto" or a frame index), edits
    """

    time: Array
    blendshapes: Array
    head_quat: Array
    head_pos: Array
    gaze: Array
    valid: Array
    confidence: Array
    landmarks: Array | None = None
    expression_bfm: Array | None = None
    gaze_d3dfr: Array | None = None
    meta: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        def put(name: str, dtype: type, shape: tuple[int, ...]) -> Array:
            try:
                value: Array = np.ascontiguousarray(getattr(self, name), dtype=dtype)
            except (TypeError, ValueError) as error:
                raise InvalidMotion(f"motion: {name} does not hold numbers ({error})") from error
            if value.shape != shape:
                raise InvalidMotion(f"motion: {name} has shape {value.shape}, expected {shape}")
            object.__setattr__(self, name, value)
            return value

        frames = len(np.atleast_1d(self.time))
        if not 1 <= frames <= MAX_FRAMES:
            raise InvalidMotion(
                f"motion has {frames} frames; between 1 and {MAX_FRAMES} can be used", "record or select a longer take"
            )
        time = put("time", np.float64, (frames,))
        blendshapes = put("blendshapes", np.float32, (frames, len(BLENDSHAPE_NAMES)))
        quaternion = put("head_quat", np.float64, (frames, 4))
        position = put("head_pos", np.float64, (frames, 3))
        gaze = put("gaze", np.float32, (frames, 2, 2))
        put("valid", np.bool_, (frames, 3))
        put("confidence", np.float32, (frames, 3))
        for name, tail in zip(OPTIONAL, ((478, 3), (64,), (4,))):
            if getattr(self, name) is not None:
                put(name, np.float32, (frames, *tail))
        known = np.where(np.isnan(position), 0.0, position)
        numbers = ("time", time), ("blendshapes", blendshapes), ("head_quat", quaternion), ("head_pos", known), ("gaze", gaze)
        for name, value in numbers:
            wrong = ~np.isfinite(value).reshape(frames, -1).all(axis=1)
            if wrong.any():
                raise InvalidMotion(f"motion frame {int(np.argmax(wrong))}: {name} is not a finite number")
        if frames > 1 and not (np.diff(time) > 0).all():
            late = int(np.argmax(np.diff(time) <= 0)) + 1
            raise InvalidMotion(f"motion frame {late}: time {time[late]:.4f} s is not after the frame before it")
        norms = np.linalg.norm(quaternion, axis=1)
        if (np.abs(norms - 1) > 1e-2).any():
            raise InvalidMotion(f"motion frame {int(np.argmax(np.abs(norms - 1)))}: head_quat is not a unit quaternion")
        exact = np.abs(norms - 1) < 1e-9  # unchanged, so that a file keeps its bits
        object.__setattr__(self, "head_quat", continuous_quaternions(quaternion / np.where(exact, 1.0, norms)[:, None]))
        object.__setattr__(self, "meta", {"neutral": "rest", **_bounded_meta(self.meta), "schema": SCHEMA_VERSION})

    def __len__(self) -> int:
        return len(self.time)

    @property
    def duration(self) -> float:
        """Seconds from the first to the last frame."""
        return float(self.time[-1] - self.time[0])

    @classmethod
    def at_rest(cls, time: Array, **meta: Any) -> MotionClip:
        """Returns a clip with zero pose and zero blendshapes at the given seconds (T,); set arrays with :meth:`but`."""
        frames = len(time)
        return cls(
            time=time,
            blendshapes=np.zeros((frames, len(BLENDSHAPE_NAMES))),
            head_quat=np.tile([1.0, 0.0, 0.0, 0.0], (frames, 1)),
            head_pos=np.full((frames, 3), np.nan),
            gaze=np.zeros((frames, 2, 2)),
            valid=np.ones((frames, 3), bool),
            confidence=np.ones((frames, 3)),
            meta=meta,
        )

    @property
    def actions(self) -> Array:
        """``blendshapes`` under its name before schema 2, for users' scripts."""
        return self.blendshapes

    def but(self, **changes: Any) -> MotionClip:
        """Returns a validated copy with some arrays or ``meta`` replaced; ``blendshapes`` also by its earlier name
        ``actions``."""
        return replace(self, **{FIRST_NAMES.get(name, name): value for name, value in changes.items()})

    def neutral_frame(self) -> int | None:
        """Returns the frame of ``meta["neutral"]``, None for "rest"; "auto" selects the calmest frame with the head near its
        median pose.

        Raises :class:`InvalidMotion` for a frame outside the clip.
        """
        neutral = self.meta["neutral"]
        if neutral == "rest":
            return None
        if neutral == "auto":
            return int(np.argmin(self.unrest()))
        if type(neutral) is int and 0 <= neutral < len(self):
            return neutral
        raise InvalidMotion(
            f"the neutral frame {str(neutral)[:20]} is not in the clip of {len(self)} frames",
            f"use rest, auto or 0 to {len(self) - 1}",
        )

    def unrest(self) -> Array:
        """(T,) how far each frame is from calm: the strength of its blendshapes, and how far head and gaze are from the take's medians,
        inf for frames without a face."""
        seen = self.valid[:, 0] if self.valid[:, 0].any() else np.ones(len(self), bool)
        result = np.abs(self.blendshapes).sum(1).astype(np.float64)
        turned = seen & self.valid[:, 1] if (seen & self.valid[:, 1]).any() else seen
        angles = matrix_to_head_angles(quaternion_to_matrix(self.head_quat))
        usual = matrix_to_quaternion(head_angles_to_matrix(np.median(angles[turned], axis=0)))
        result += np.square(2 * np.arccos(np.minimum(np.abs(self.head_quat @ usual), 1.0)) / HEAD_DEVIATION)
        looking = seen & self.valid[:, 2] if (seen & self.valid[:, 2]).any() else seen
        aside = np.linalg.norm(self.gaze.mean(1) - np.median(self.gaze[looking].mean(1), axis=0), axis=1)
        result += np.square(aside / GAZE_DEVIATION)
        known = np.isfinite(self.head_pos).all(1)
        if (seen & known).any():
            leant = np.linalg.norm(self.head_pos - np.median(self.head_pos[seen & known], axis=0), axis=1)
            result += np.where(known, np.square(leant / POSITION_DEVIATION), 0.0)
        return np.where(seen, result, np.inf)

    def relative(self) -> MotionClip:
        """Returns the motion relative to its neutral, with neutral "rest": the difference that is added to a portrait's own pose.

        head_quat is R_motion · R_neutral⁻¹ and head_pos the difference, both in the levelled frame of the neutral, so that a
        tilted head shakes about its own axis; blendshapes and gaze are differences. Unknown positions become 0. Native values of
        a source are absolute and are dropped.
        """
        frame = self.neutral_frame()
        turned, blendshapes, gaze, moved = self.head_quat, self.blendshapes, self.gaze, self.head_pos
        if frame is not None:
            level = quaternion_conjugate(tilt_of(turned[frame]))
            turned = turned_frame(level, quaternion_multiply(turned, quaternion_conjugate(turned[frame])))
            blendshapes, gaze = blendshapes - blendshapes[frame], gaze - gaze[frame]
            known: Array = np.flatnonzero(np.isfinite(moved).all(axis=1))
            if len(known):
                moved = (moved - moved[known[np.argmin(np.abs(known - frame))]]) @ quaternion_to_matrix(level).T
        position_known = np.isfinite(moved).all(axis=1, keepdims=True)
        return self.but(
            head_quat=turned, blendshapes=blendshapes, gaze=gaze, head_pos=np.where(position_known, moved, 0.0),
            meta={**self.meta, "neutral": "rest"}, **dict.fromkeys(OPTIONAL),
        )  # fmt: skip

    def at_rate(self, rate: float) -> MotionClip:
        """Resamples to ``rate`` frames per second from the first to the last frame; the neutral remains the same moment.

        Raises :class:`InvalidInput` for a rate out of range and :class:`InvalidMotion` for too many frames.
        """
        if not SLOWEST <= rate <= FASTEST:
            raise InvalidInput(f"{rate} frames per second is out of range", f"use {SLOWEST:g} to {FASTEST:g}")
        if not self.duration * rate < MAX_FRAMES:
            raise InvalidMotion(
                f"{self.duration:.6g} seconds at {rate:g} frames per second are more than {MAX_FRAMES} frames",
                "check the times of the motion, or use a shorter take",
            )
        wanted = self.time[0] + np.arange(int(np.floor(self.duration * rate + SAME_MOMENT)) + 1) / rate
        if len(wanted) == len(self) and np.abs(wanted - self.time).max() * rate <= SAME_MOMENT:
            return self.but(time=wanted)
        frame = self.neutral_frame()
        clip = self.but(meta={**self.meta, "neutral": "rest" if frame is None else frame})
        return clip.resampled(np.minimum(wanted, self.time[-1])).but(time=wanted)

    def holes(self) -> Array:
        """Returns the indices (K,) of the frames before each hole."""
        steps = np.diff(self.time)
        usual = np.median(steps) if len(steps) else 0.0
        return np.flatnonzero(steps > max(HOLE, HOLE_STEPS * usual))

    def resampled(self, time: Array) -> MotionClip:
        """Resamples to other seconds (N,): slerp for the head, linear otherwise; across holes by :func:`way_across`.

        Frames outside the clip hold its ends. They and those inside holes become invalid.
        """
        wanted = np.asarray(time, np.float64)
        right = np.clip(np.searchsorted(self.time, wanted), 0, len(self) - 1)
        left = np.where(self.time[right] > wanted, np.maximum(right - 1, 0), right)
        right = np.where(self.time[left] < wanted, right, left)
        inside = (wanted >= self.time[0] - 1e-9) & (wanted <= self.time[-1] + 1e-9)
        gap = (left != right) & np.isin(left, self.holes())
        fraction = way_across(wanted - self.time[left], self.time[right] - self.time[left])

        def linear(values: Array) -> Array:
            weight = fraction.reshape(-1, *([1] * (values.ndim - 1)))
            mixed = values[left] * (1 - weight) + values[right] * weight
            only = np.where(weight < 0.5, values[left], values[right])
            return np.where(np.isfinite(mixed), mixed, only)

        seen = self.valid[left] & self.valid[right] & (inside & ~gap)[:, None]
        meta = dict(self.meta)
        if type(meta["neutral"]) is int and 0 <= meta["neutral"] < len(self):  # the same moment among the new frames
            meta["neutral"] = int(np.argmin(np.abs(wanted - self.time[meta["neutral"]])))
        extra: dict[str, Any] = {name: linear(value) for name in OPTIONAL if (value := getattr(self, name)) is not None}
        return replace(
            self,
            time=wanted,
            blendshapes=linear(self.blendshapes),
            head_quat=slerp(self.head_quat[left], self.head_quat[right], fraction),
            head_pos=linear(self.head_pos),
            gaze=linear(self.gaze),
            valid=seen,
            confidence=linear(self.confidence),
            meta=meta,
            **extra,
        )

    def to_bytes(self) -> bytes:
        """Returns the content of a ``.motion.npz`` file; deterministic."""
        return pack({name: getattr(self, name) for name in REQUIRED + OPTIONAL if getattr(self, name) is not None}, self.meta)

    @classmethod
    def from_bytes(cls, content: bytes, name: str = "motion") -> MotionClip:
        """Reads the content of a ``.motion.npz`` file. Raises :class:`InvalidMotion` that contains ``name``."""
        arrays, meta = unpack(content, name)
        missing = [key for key in REQUIRED if key not in arrays]
        if missing:
            raise InvalidMotion(f"{name}: not a motion file: {', '.join(missing)} missing")
        return cls(**arrays, meta=meta)

    def save(self, path: Path | str) -> None:
        """Writes ``.motion.npz`` atomically. Raises :class:`NotWritable` and :class:`DiskFull`."""
        target = Path(path)
        with writable(target):
            write_whole(target, self.to_bytes())

    @classmethod
    def load(cls, path: Path | str) -> MotionClip:
        """Reads a ``.motion.npz`` file. Raises :class:`InvalidMotion`."""
        source = Path(path)
        try:
            if not source.is_file():
                raise InvalidMotion(f"cannot read {source}: {'not a file' if source.exists() else 'no such file'}", "check the path")
            size = source.stat().st_size
            if not size:  # also rejects system files, some of which block on reading
                raise InvalidMotion(f"{source.name}: the file is empty", "export the motion again, or choose another file")
            if size > LARGEST_FILE:
                raise InvalidMotion(f"{source.name} is too large for a motion of {MAX_FRAMES} frames", "use a shorter take")
            content = source.read_bytes()
        except OSError as error:
            raise InvalidMotion(f"cannot read {source}: {error.strerror}", "check the path") from error
        return cls.from_bytes(content, source.name)
