"""Follow one face through a video: identity shared by the clip, blendshapes per frame with a temporal prior, head poses aligned with
the calmest frame."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import numpy as np

from mimaface.geometry.camera import Camera
from mimaface.geometry.smoothing import one_euro
from mimaface.geometry.threads import one_thread
from mimaface.protocol.arkit import BLENDSHAPE_INDEX
from mimaface.protocol.arrays import Array
from mimaface.protocol.errors import NoFaceFound
from mimaface.protocol.motion import BRIDGE, MotionClip, way_across
from mimaface.protocol.rotation import continuous_quaternions, matrix_to_quaternion, slerp

from . import tuning
from .alignment import HeadPicture, Reference
from .fit import (
    Estimate,
    FittedFace,
    LandmarkModel,
    finish,
    fit_landmarks,
    gauss_newton_step,
    gaze_from_irises,
    initial_estimate,
    lid_opening,
    linearise,
)
from .landmarks import FaceLandmarker, Landmarks
from .pose import neutral_for

Finder = Callable[[Array], Landmarks | None]  # the face to follow in a picture (H, W, 3) uint8


class Tracker:
    """Takes frames one at a time with :meth:`add`, keeps landmarks and a small picture of the head, and solves them in :meth:`finish`."""

    def __init__(self, find: Finder | None = None) -> None:
        """``find`` returns the face to follow while none is followed; by default the largest."""
        self._landmarker = FaceLandmarker.load()
        self._find = find or (lambda image: next(iter(self._landmarker.faces(image)), None))
        self._times: list[float] = []
        self._found: list[Landmarks | None] = []
        self._pictures: list[HeadPicture | None] = []
        self._last: Landmarks | None = None
        self._size = (0, 0)

    def add(self, seconds: float, image: Array) -> bool:
        """One frame (H, W, 3) uint8 at ``seconds``; True when the face was seen. No detector run while it is followed."""
        found = None
        if self._last is not None:
            found = self._landmarker.follow(image, self._last.points)
        if found is None or found.presence < tuning.MIN_PRESENCE:
            found = self._find(image)
        self._size = (image.shape[1], image.shape[0])
        self._last = found
        self._times.append(seconds)
        self._found.append(found)
        self._pictures.append(HeadPicture.of(image, found.points) if found else None)
        return found is not None

    @property
    def faces(self) -> int:
        """How many of the frames show a face."""
        return sum(found is not None for found in self._found)

    def stage(self, done: int) -> tuple[str, int, int]:
        """What :meth:`finish` does after ``done`` steps: "following" and then "aligning", faces done in it, all faces."""
        faces = self.faces
        return ("following", done, faces) if done <= faces else ("aligning", done - faces, faces)

    @property
    def last_points(self) -> Array | None:
        """Landmarks (478, 3) of the frame that was added last, None where no face was seen in it."""
        return None if self._last is None else self._last.points

    def finish(self, name: str = "video", neutral: int | Array | None = None) -> Iterator[MotionClip | None]:
        """Solve: None after every frame, the motion last. Raises :class:`NoFaceFound` when no frame shows a face.

        Heads are aligned with the frame ``neutral``, which the motion will be relative to, or with the one that shows these landmarks
        (478, 3) of the portrait that it will move; None, and where it is not seen: the calmest.
        """
        seen = [frame for frame, found in enumerate(self._found) if found is not None]
        if not seen:
            raise NoFaceFound(
                f"{name}: no face found in any of {len(self._found)} frames", "use frames in which the whole face is visible"
            )
        with one_thread():
            estimates: dict[int, Estimate] = {}
            for frame, estimate in self._estimates(seen):
                if estimate is not None:
                    estimates[frame] = estimate
                yield None
            camera = Camera.for_image(*self._size)
            reference = self._reference(camera, estimates, neutral)
            for frame, picture in enumerate(self._pictures):
                if picture is not None and reference is not None:
                    estimates[frame] = reference.aligned(picture, camera, estimates[frame])
                    yield None
            yield self._clip(name, camera, estimates)

    def fits(self) -> Iterator[tuple[int, FittedFace]]:
        """The frames that show the face, and its fit in each, of one identity."""
        camera, seen = Camera.for_image(*self._size), [frame for frame, found in enumerate(self._found) if found is not None]
        with one_thread():
            for frame, estimate in self._estimates(seen) if seen else ():
                if estimate is not None:
                    yield frame, finish(self._points(frame), camera, estimate, self._presence(frame))

    def _estimates(self, seen: list[int]) -> Iterator[tuple[int, Estimate | None]]:
        """Yields the frames ``seen`` with their estimates, which share one identity; before them the first frame and None, once that is fitted."""
        camera = Camera.for_image(*self._size)
        identity = shared_identity([(self._points(frame), camera) for frame in evenly_spaced(seen, tuning.IDENTITY_FRAMES)])
        yield seen[0], None
        before: Estimate | None = None
        last = -1
        for frame in seen:
            step = self._times[frame] - self._times[frame - 1] if frame == last + 1 else 0.0
            estimate = next_estimate(self._points(frame), camera, identity, before if frame == last + 1 else None, step)
            before, last = estimate, frame
            yield frame, estimate

    def _reference(self, camera: Camera, estimates: dict[int, Estimate], neutral: int | Array | None) -> Reference | None:
        """The frame to align with; None where its head is not in the picture."""
        frame = neutral if type(neutral) is int and neutral in estimates else None
        if frame is None:
            clip = self._clip("", camera, estimates)
            frame = neutral_for(neutral, clip) if isinstance(neutral, np.ndarray) else None
            frame = clip.but(meta={"neutral": "auto"}).neutral_frame() if frame is None else frame
        picture = None if frame is None else self._pictures[frame]
        return None if frame is None or picture is None else Reference(picture, camera, estimates[frame])

    def _points(self, frame: int) -> Array:
        found = self._found[frame]
        assert found is not None
        return found.points

    def _clip(self, name: str, camera: Camera, estimates: dict[int, Estimate]) -> MotionClip:
        count, seen = len(self._times), np.array(sorted(estimates))
        time = np.array(self._times)
        right = np.clip(np.searchsorted(seen, np.arange(count)), 0, len(seen) - 1)
        after = seen[right]
        before = np.where(after > np.arange(count), seen[np.maximum(right - 1, 0)], after)
        share = way_across(time - time[before], time[after] - time[before])

        def fill(values: Array) -> Array:
            full = np.zeros((count, *values.shape[1:]))
            full[seen] = values
            weight = share.reshape(-1, *([1] * (values.ndim - 1)))
            return np.asarray(full[before] * (1 - weight) + full[after] * weight)

        ordered = [estimates[frame] for frame in seen]
        quaternions = np.zeros((count, 4))
        quaternions[seen] = continuous_quaternions(matrix_to_quaternion(np.stack([item.rotation for item in ordered])))
        gaze, sure = self._gaze(camera, estimates, seen)
        valid = np.zeros((count, 3), bool)
        valid[seen] = True
        valid[seen, 2] = sure
        confidence = np.zeros((count, 3))
        confidence[seen] = np.array([[self._presence(frame)] * 3 for frame in seen])
        confidence[~valid] = 0
        landmarks = fill(np.stack([self._points(frame) for frame in seen]))
        missed = int(count - len(seen))
        bridged = f"bridged where it is gone for {BRIDGE:g} s and less, otherwise held"
        warnings = [f"no face found in {missed} of {count} frames: {bridged}"] if missed else []
        return MotionClip(
            time=time - time[0], blendshapes=fill(np.stack([item.blendshapes for item in ordered])),
            head_quat=slerp(quaternions[before], quaternions[after], share),
            head_pos=fill(np.stack([item.translation for item in ordered])), gaze=fill(gaze), valid=valid,
            confidence=confidence, landmarks=landmarks,
            meta={"source": name, "format": "video", "neutral": "auto", "warnings": warnings},
        )  # fmt: skip

    def _presence(self, frame: int) -> float:
        found = self._found[frame]
        return found.presence if found is not None else 0.0

    def _gaze(self, camera: Camera, estimates: dict[int, Estimate], seen: Array) -> tuple[Array, Array]:
        """Gaze (S, 2, 2) of the seen frames, held while the eyes are closed, One-Euro filtered; and where it was seen (S,)."""
        raw = np.stack([gaze_from_irises(self._points(frame), camera, estimates[frame]) for frame in seen])
        sure = np.array([lid_opening(self._points(frame)).mean() > tuning.CLOSED_EYE for frame in seen])
        if sure.any():
            index = np.where(sure, np.arange(len(seen)), -1)
            held = np.maximum.accumulate(index)
            held = np.where(held < 0, int(np.argmax(sure)), held)
            raw = raw[held]
        wide = np.clip(raw * tuning.GAZE_GAIN, -1.0, 1.0)
        return one_euro(wide, np.array(self._times)[seen], tuning.GAZE_CUTOFF, tuning.GAZE_SPEED), sure


def _drift() -> Array:
    """(52,) per second: how fast each blendshape is expected to change. A blink takes a tenth of a second."""
    blinks = [BLENDSHAPE_INDEX[name] for name in ("eyeBlinkLeft", "eyeBlinkRight")]
    result = np.full(len(BLENDSHAPE_INDEX), tuning.BLENDSHAPE_DRIFT)
    result[blinks] = tuning.BLINK_DRIFT
    return result


def next_estimate(points: Array, camera: Camera, identity: Array, before: Estimate | None, seconds: float) -> Estimate:
    """A face's estimate from its landmarks (478, 3), near what it was ``seconds`` before where that is known."""
    if before is None:
        estimate, rounds, prior = initial_estimate(points, camera, identity), 6, None
    else:
        estimate, rounds, prior = before, 3, (before.blendshapes, _drift() * np.sqrt(max(seconds, 1e-3) / 10))
    for _ in range(rounds):
        estimate = gauss_newton_step(points, camera, estimate, False, prior)
    return estimate


def track_frames(frames: Iterable[tuple[float, Array]], name: str = "video") -> MotionClip:
    """Follow the face through (seconds, RGB (H, W, 3) uint8) frames at one go."""
    tracker = Tracker()
    for seconds, image in frames:
        tracker.add(seconds, image)
    *_, clip = tracker.finish(name)
    assert clip is not None
    return clip


def evenly_spaced(frames: list[int], count: int) -> list[int]:
    """At most ``count`` of the frames, evenly spaced."""
    return [frames[index] for index in np.unique(np.linspace(0, len(frames) - 1, min(count, len(frames))).astype(int))]


def shared_identity(every: list[tuple[Array, Camera]], placed: tuple[int, ...] = ()) -> Array:
    """One identity (80,) for landmarks (478, 3) of several pictures and their cameras: their normal equations are added up. In the first
    picture a hand ``placed`` these landmarks."""
    models = [LandmarkModel.trusting(() if index else placed) for index in range(len(every))]
    fits = [fit_landmarks(points, camera, placed=() if index else placed) for index, (points, camera) in enumerate(every)]
    identity = np.mean([fit.identity for fit in fits], axis=0)
    estimates = [Estimate(fit.rotation, fit.translation, identity, fit.blendshapes) for fit in fits]
    for _ in range(3):
        hessian, gradient = np.eye(len(identity)), identity.copy()
        for index, (points, camera) in enumerate(every):
            start = Estimate(estimates[index].rotation, estimates[index].translation, identity, estimates[index].blendshapes)
            estimates[index] = gauss_newton_step(points, camera, start, free_identity=False, model=models[index])
            residual, _, _, by_identity = linearise(points, camera, estimates[index], models[index])
            hessian += by_identity.T @ by_identity
            gradient += by_identity.T @ residual
        identity = np.clip(identity - np.linalg.solve(hessian, gradient), -tuning.IDENTITY_MOST, tuning.IDENTITY_MOST)
    return np.asarray(identity)
