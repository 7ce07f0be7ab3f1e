"""Reads the user's references: photographs, and of a video its most different sharp frames."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from scipy.ndimage import laplace

from mimaface.face import tuning
from mimaface.face.fit import FittedFace, fit_landmarks
from mimaface.face.landmarks import FaceLandmarker
from mimaface.face.references import MOST
from mimaface.geometry.camera import Camera
from mimaface.pictures import encode_png, is_picture
from mimaface.protocol.arrays import Array
from mimaface.protocol.errors import InvalidInput, NoFaceFound
from mimaface.protocol.texts import shown
from mimaface.reprojection.references import Nearness

from .video import frame_count, video_frames

OF_A_VIDEO = 4  # pictures taken from a video. Higher: more poses and expressions are known; each delays a render by 0.5 s
LOOKED_AT = 48  # frames of a video, evenly spread, from which they are chosen. Higher: rarer expressions are found, 0.1 s each
SHARP = 0.7  # of the median detail of its face, below which a frame is blurred. Higher: fewer frames while the head moves
PICTURE_START = 64  # bytes at a file's start by which a picture is recognised


def reference_pictures(paths: Iterable[Path | str]) -> list[tuple[str, bytes]]:
    """(name, picture file) of every photograph and of the chosen frames of every video among ``paths``.

    Raises :class:`InvalidInput` for what cannot be read and for more than MOST in all.
    """
    result: list[tuple[str, bytes]] = []
    for path in map(Path, paths):
        if not path.is_file():
            raise InvalidInput(f"cannot read {shown(path)}: {'not a file' if path.exists() else 'no such file'}", "check the path")
        try:
            with path.open("rb") as file:
                start = file.read(PICTURE_START)
            result += [(path.name, path.read_bytes())] if is_picture(path.name, start) else _of_video(path)
        except OSError as error:
            raise InvalidInput(f"cannot read {shown(path)}: {error.strerror}", "check the path") from error
        if len(result) > MOST:
            raise InvalidInput(f"more than {MOST} reference pictures", "choose those that differ most from one another")
    return result


def _of_video(path: Path) -> list[tuple[str, bytes]]:
    """The frames of a video that differ most from one another in expression and view, of those that are sharp."""
    step = max(frame_count(path) // LOOKED_AT, 1)
    landmarker, last = FaceLandmarker.load(), None
    seen: list[tuple[int, FittedFace, float]] = []
    for index, (_, image) in enumerate(video_frames(path)):
        if index % step:
            continue
        last = last and landmarker.follow(image, last.points)  # no detector runs while the face is followed
        if last is None or last.presence < tuning.MIN_PRESENCE:
            last = next(iter(landmarker.faces(image)), None)
        if last is not None:
            fit = fit_landmarks(last.points, Camera.for_image(image.shape[1], image.shape[0]), last.presence)
            seen.append((index, fit, _detail(image, fit)))
    if not seen:
        raise NoFaceFound(f"{path.name}: no face found in the video", "use a video in which the whole face is visible")
    usual = np.median([detail for *_, detail in seen])
    sharp = [(index, Nearness.of(fit)) for index, fit, detail in seen if detail >= SHARP * usual]
    wanted = {sharp[place][0] for place in _most_different([near for _, near in sharp], OF_A_VIDEO)}
    return [(f"{path.name}, frame {index}", encode_png(image)) for index, image in _frames(path, wanted)]


def _frames(path: Path, wanted: set[int]) -> Iterator[tuple[int, Array]]:
    for index, (_, image) in enumerate(video_frames(path)):
        if index in wanted:
            yield index, image
        if index >= max(wanted):
            return


def _most_different(every: list[Nearness], count: int) -> list[int]:
    """Places of up to ``count`` that are far from one another, the most usual one first (Gonzalez 1985)."""
    away = np.array([[np.log1p(a.away(b)).sum() for b in every] for a in every])
    chosen = [int(away.sum(1).argmin())]
    while len(chosen) < min(count, len(every)):
        chosen.append(int(away[:, chosen].min(1).argmax()))
    return chosen


def _detail(image: Array, fit: FittedFace) -> float:
    """How much the face differs from pixel to pixel."""
    low, high = fit.landmarks[:468, :2].min(0).astype(int), fit.landmarks[:468, :2].max(0).astype(int) + 1
    low = np.maximum(low, 0)
    face = image[low[1] : high[1], low[0] : high[0]].astype(np.float32).mean(-1)
    return float(np.abs(laplace(face)).mean() / max(face.mean(), 1.0)) if face.size else 0.0
