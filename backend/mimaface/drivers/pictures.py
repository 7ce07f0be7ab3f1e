"""Reads a picture as a pose, or a folder of numbered pictures as a motion."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from mimaface.face.fit import fit_landmarks
from mimaface.face.landmarks import FaceLandmarker
from mimaface.geometry.camera import Camera
from mimaface.pictures import Picture, moving_frames, open_picture
from mimaface.protocol.arrays import Array
from mimaface.protocol.errors import InvalidInput, NoFaceFound
from mimaface.protocol.motion import MotionClip
from mimaface.protocol.rotation import matrix_to_quaternion
from mimaface.protocol.texts import shown_list

from .folders import in_order, places
from .following import follow_steps
from .reading import Progress
from .timecode import OPTION

RATE = 25.0  # frames per second of a folder of pictures, which does not say it; ``ReadingSettings.timecode_rate`` does


def picture_steps(path: Path, progress: Progress, neutral: int | Array | None = None) -> Iterator[MotionClip | None]:
    """Yields the pose of a picture; of an animated one, as of a video, None after every frame and the motion last. Raises as both."""
    frames = moving_frames(path)
    first = next(frames, None)
    if first is None:
        yield picture_motion(path)
    else:
        yield from follow_steps(itertools.chain([first], frames), path.name, 0, progress, neutral, [])


def picture_motion(path: Path) -> MotionClip:
    """The pose of the face in a picture, as it is fitted to a portrait: one frame away from rest, its head in the portrait's place.

    Raises :class:`InvalidImage` and :class:`NoFaceFound`.
    """
    picture, _ = open_picture(path)
    found = FaceLandmarker.load().faces(picture.image)
    if not found:
        raise NoFaceFound(f"{path.name}: no face found in the picture", "use a sharp one in which the whole face is visible")
    notes = [*picture.warnings, *([f"{len(found)} faces are in it: the largest drives"] if len(found) > 1 else [])]
    height, width = picture.image.shape[:2]
    fit = fit_landmarks(found[0].points, Camera.for_image(width, height), found[0].presence)
    sure = np.full((1, 3), fit.confidence)
    return MotionClip.at_rest(np.zeros(1)).but(
        blendshapes=fit.blendshapes[None], head_quat=matrix_to_quaternion(fit.rotation[None]), gaze=fit.gaze[None], confidence=sure,
        meta={"source": path.name, "format": "picture", "warnings": shown_list(notes)},
    )  # fmt: skip


def folder_steps(path: Path, rate: float, progress: Progress, neutral: int | Array | None = None) -> Iterator[MotionClip | None]:
    """Follow the face through the pictures of a folder, at ``rate`` frames per second (0: ``RATE``); see :func:`follow_steps`.

    Raises :class:`InvalidInput`, :class:`InvalidImage` and :class:`NoFaceFound`.
    """
    paths = in_order(path)
    place, notes = places(paths)

    def frames() -> Iterator[tuple[float, Array]]:
        for index, picture in zip(place, same_size(paths)):
            notes.extend(picture.warnings)
            yield index / (rate or RATE), picture.image
        if not rate and len(paths) > 1:
            notes.append(f"{RATE:g} pictures a second are assumed; {OPTION} changes that")

    for clip in follow_steps(frames(), path.name, len(paths), progress, neutral, notes):
        yield clip and clip.but(meta={**clip.meta, "format": "pictures"})


def same_size(paths: list[Path]) -> Iterator[Picture]:
    """Yields the pictures in order. Raises :class:`InvalidInput` for a different size, and :class:`InvalidImage`."""
    size: tuple[int, ...] = ()
    for path in paths:
        picture, _ = open_picture(path)
        height, width = picture.image.shape[:2]
        if size and (height, width) != size:
            raise InvalidInput(
                f"{path.name}: {width} × {height} pixels, unlike the pictures before it",
                "put the frames of one film into a folder of their own",
            )
        size = height, width
        yield picture
