"""``mimaface evaluate`` on films of people: the first frame is the portrait, the film drives it, and its later frames are the
truth.

Frames of the second half are evaluated. Metrics of faces use the face landmarker. A region counts only in frames where it differs
from the portrait, and is compared after alignment by landmarks that neither speech nor blinks move.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from scipy.ndimage import laplace

from mimaface.animation import animate
from mimaface.drivers import RetargetSettings, open_motion
from mimaface.drivers.video import video_frames
from mimaface.face.landmarks import FaceLandmarker
from mimaface.face.portrait import Portrait
from mimaface.face.recognition import face_code
from mimaface.geometry.similarity import Similarity
from mimaface.protocol.arrays import Array
from mimaface.protocol.errors import InvalidInput
from mimaface.protocol.motion import MotionClip
from mimaface.protocol.settings import RenderSettings

from .evaluate import over_frames, summary
from .metrics import psnr_and_ssim

COPY = "source"  # the generator that returns the portrait for any motion
RATE = 24.0  # frames per second assigned to the evaluated frames
MARGIN = 0.15  # share of the face's width added to its landmarks' box on each side
LIPS = [61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291, 409, 270, 269, 267, 0, 37, 39, 40, 185]
EYES = (
    [33, 7, 163, 144, 145, 153, 154, 155, 133, 173, 157, 158, 159, 160, 161, 246],
    [263, 249, 390, 373, 374, 380, 381, 382, 362, 398, 384, 385, 386, 387, 388, 466],
)
CORNERS = ((33, 133), (362, 263))  # of the eyes
LIDS, IRISES, GAP = ((159, 145), (386, 374)), (468, 473), (13, 14)
STABLE_LANDMARKS = [33, 133, 362, 263, 168, 6, 197, 1, 4, 98, 327]  # landmarks that neither speech nor blinks move
OPEN_MOUTH = 0.12  # eye distances of lip opening beyond the portrait's from which the mouth counts as open
SHUT_EYE = 0.5  # share of the portrait's lid opening below which an eye counts as shut
SMALLEST_DEVIATION = 0.02  # smallest deviation of a measurement in the truth for a meaningful correlation


@dataclass(frozen=True, eq=False)
class FaceMeasures:
    """Measurements of a face: points (478, 2) in pixels; lip and lid (2,) openings in eye distances; gaze (2,), sideways and up,
    in eye widths.
    """

    points: Array
    lips: float
    lids: Array
    gaze: Array

    @classmethod
    def of(cls, picture: Array) -> FaceMeasures | None:
        """Returns the measurements of the largest face in a picture (H, W, 3) uint8, or None."""
        faces = FaceLandmarker.load().faces(picture)
        return None if not faces else cls.at(faces[0].points[:, :2])

    @classmethod
    def at(cls, points: Array) -> FaceMeasures:
        """Returns the measurements of landmarks (478, 2)."""
        middle = [points[list(corners)].mean(0) for corners in CORNERS]
        across = (middle[1] - middle[0]) / np.linalg.norm(middle[1] - middle[0])
        apart = float(np.linalg.norm(middle[1] - middle[0]))
        away = [(points[iris] - centre) / np.linalg.norm(points[a] - points[b]) for iris, centre, (a, b) in zip(IRISES, middle, CORNERS)]
        gaze = np.mean(away, axis=0) @ np.array([across, (across[1], -across[0])]).T
        lids = np.array([np.linalg.norm(points[a] - points[b]) for a, b in LIDS]) / apart
        return cls(points, float(np.linalg.norm(points[GAP[0]] - points[GAP[1]])) / apart, lids, gaze)


@dataclass(frozen=True, eq=False)
class Film:
    """A film: the portrait's frame, ``truth`` (F, H, W, 3) uint8 with its motion, and ``references`` from the first half."""

    name: str
    portrait: Array
    truth: list[Array]
    motion: MotionClip
    references: list[Array]


def read_film(path: Path, frames: int, references: int = 0) -> Film:
    """Tracks a film and keeps ``frames`` evenly spaced frames of its second half and ``references`` of its first. Raises
    :class:`InvalidInput`.
    """
    motion = open_motion(path, RetargetSettings(neutral=0))
    count = len(motion)
    if count < 4:
        raise InvalidInput(f"{path.name} has {count} frames", "use a film of at least 4 frames")
    film_metrics = np.unique(np.linspace(count // 2, count - 1, frames).astype(int))
    given = most_different(motion, count // 2, references)
    wanted = {0, *film_metrics, *given}
    kept = {index: image for index, (_, image) in enumerate(video_frames(path)) if index in wanted}
    cut = motion.resampled(motion.time[np.array([0, *film_metrics])]).but(time=np.arange(len(film_metrics) + 1) / RATE)
    cut = cut.but(meta={**cut.meta, "neutral": 0})
    return Film(path.stem, kept[0], [kept[index] for index in film_metrics], cut, [kept[index] for index in given])


def most_different(motion: MotionClip, before: int, count: int) -> list[int]:
    """Returns ``count`` frames among the first ``before`` whose expressions and poses differ most from frame 0 and from each
    other.
    """
    looks = np.concatenate([motion.blendshapes, motion.head_quat, motion.gaze.reshape(len(motion), -1)], axis=1)[:before]
    chosen = [0]
    while len(chosen) <= min(count, before - 1):
        nearest = np.min([np.linalg.norm(looks - looks[index], axis=1) for index in chosen], axis=0)
        chosen.append(int(np.where(motion.valid[:before].all(1), nearest, 0.0).argmax()))
    return chosen[1:]


def generate(film: Film, portrait: Portrait, engine: str) -> list[Array]:
    """Returns the film's evaluated frames by a renderer, from its opened ``portrait``, or a copy of it for each."""
    if engine == COPY:
        return [film.portrait] * len(film.truth)
    size = max(film.portrait.shape[:2])
    return [frame.image for frame in animate(portrait, film.motion, RenderSettings(engine=engine, size=size))][1:]


def as_png(picture: Array) -> bytes:
    content = io.BytesIO()
    Image.fromarray(picture).save(content, "PNG", compress_level=1)
    return content.getvalue()


def evaluate_films(
    paths: Sequence[Path], engines: Sequence[str], frames: int, references: int, progress: Callable[[int], None] = lambda _: None
) -> dict[str, Any]:
    """Returns each metric of each renderer over films, in the format of :func:`mimaface.evaluation.evaluate.evaluate`: from the portrait
    alone, and also with its ``references`` where there are some.

    Raises :class:`InvalidInput` for a film without a face in its first frame.
    """
    rows = {engine: (0, engine) for engine in engines}
    if references:
        rows |= {f"{engine}, {references} references": (references, engine) for engine in engines if engine != COPY}
    values: dict[str, dict[str, list[float]]] = {row: {} for row in rows}
    faceless, count = dict.fromkeys(("truth", *rows), 0), 0
    absent: dict[str, str] = {}
    for done, path in enumerate(paths, 1):
        film = read_film(path, frames, references)
        rest = FaceMeasures.of(film.portrait)
        if rest is None:
            raise InvalidInput(f"{path.name}: no face in its first frame", "cut the film so that it begins with a face")
        portraits = {0: Portrait.open(as_png(film.portrait))}
        if references:
            portraits[references] = Portrait.open(as_png(film.portrait), references=[as_png(each) for each in film.references])
            if left_out := portraits[references].warnings[len(portraits[0].warnings) :]:
                absent[path.name] = "; ".join(left_out)
        truths = [FaceMeasures.of(picture) for picture in film.truth]
        count += len(truths)
        faceless["truth"] += sum(true is None for true in truths)
        for row, (number, engine) in rows.items():
            found, lost = film_metrics(generate(film, portraits[number], engine), film, truths, rest)
            faceless[row] += lost
            for metric, value in found.items():
                values[row].setdefault(metric, []).append(value)
        progress(done)
    results = {
        row: {metric: vars(summary(numbers)) for metric, numbers in found.items()} for row, found in values.items()
    }
    return {"samples": len(paths), "frames": count, "results": results, "frames_without_a_face": faceless, "absent": absent}


def film_metrics(pictures: list[Array], film: Film, truths: list[FaceMeasures | None], rest: FaceMeasures) -> tuple[dict[str, float], int]:
    """Returns the metrics of one film's generated ``pictures`` and the number without a face; ``truths`` and ``rest`` are the
    measurements of its frames and of the portrait.
    """
    rows: list[dict[str, float]] = []
    pairs: list[tuple[FaceMeasures, FaceMeasures]] = []
    lost = 0
    own = face_code(film.portrait, rest.points)
    for picture, truth, true in zip(pictures, film.truth, truths):
        if true is None:
            continue
        face = box(true.points, MARGIN)
        found = psnr_and_ssim(picture[face], truth[face], "@face")
        shown = FaceMeasures.of(picture)
        lost += shown is None
        if shown is not None:
            pairs.append((shown, true))
            apart = float(np.linalg.norm(true.points[CORNERS[0][0]] - true.points[CORNERS[1][1]]))
            found["landmarks"] = float(np.linalg.norm(shown.points - true.points, axis=1).mean()) / apart
            code = face_code(picture, shown.points)
            found["csim@dlib"] = float(own @ code / (np.linalg.norm(own) * np.linalg.norm(code)))
            found |= regions(aligned(picture, shown.points, true.points), truth, true, rest)
        rows.append(found)
    return over_frames(rows) | correlations(pairs), lost


def regions(picture: Array, truth: Array, true: FaceMeasures, rest: FaceMeasures) -> dict[str, float]:
    """Returns metrics of the mouth where it is open and of eyes where they are shut, in an aligned picture."""
    mouth, eyes = [], []
    if true.lips > rest.lips + OPEN_MOUTH:
        mouth.append(region(picture, truth, box(true.points[LIPS], MARGIN), "@mouth-open"))
    for side, eye in enumerate(EYES):
        if true.lids[side] < SHUT_EYE * rest.lids[side]:
            eyes.append(region(picture, truth, box(true.points[eye], 2 * MARGIN), "@eye-shut"))
    return over_frames(mouth) | over_frames(eyes)


def region(picture: Array, truth: Array, place: tuple[slice, slice], name: str) -> dict[str, float]:
    """Returns PSNR and SSIM after matching mean colours, and sharpness relative to the truth, for part of a frame."""
    one, two = picture[place].astype(float), truth[place].astype(float)
    level = np.clip(np.round(one - one.mean((0, 1)) + two.mean((0, 1))), 0, 255).astype(np.uint8)
    edges = [float(laplace(part.mean(-1)).std()) for part in (one, two)]
    return psnr_and_ssim(level, truth[place], name) | {f"sharpness{name}": edges[0] / max(edges[1], 1e-6)}


def correlations(pairs: Sequence[tuple[FaceMeasures, FaceMeasures]]) -> dict[str, float]:
    """Returns Pearson's r between measurements of generated and true frames, for those that vary in the truth."""
    found = {}
    channels: dict[str, Callable[[FaceMeasures], Sequence[float]]] = {
        "r-lips": lambda seen: [seen.lips], "r-lids": lambda seen: list(seen.lids),
        "r-gaze-aside": lambda seen: [seen.gaze[0]], "r-gaze-up": lambda seen: [seen.gaze[1]],
    }  # fmt: skip
    for name, read in channels.items():
        columns = np.array([(read(shown), read(true)) for shown, true in pairs]).reshape(len(pairs), 2, -1)
        values = [
            float(np.corrcoef(columns[:, 0, column], columns[:, 1, column])[0, 1])
            for column in range(columns.shape[2])
            if len(pairs) > 3 and columns[:, 1, column].std() > SMALLEST_DEVIATION and columns[:, 0, column].std() > 1e-6
        ]
        if values:
            found[name] = float(np.mean(values))
    return found


def box(points: Array, margin: float) -> tuple[slice, slice]:
    """Returns rows and columns around points (P, 2) with ``margin`` of their width on each side; at least half as high as
    wide."""
    (left, top), (right, bottom) = points.min(0), points.max(0)
    width = right - left
    half, middle = max(bottom - top, 0.5 * width) / 2 + margin * width, (top + bottom) / 2
    rows = slice(max(int(middle - half), 0), int(middle + half) + 1)
    return rows, slice(max(int(left - margin * width), 0), int(right + margin * width) + 1)


def aligned(picture: Array, shown: Array, true: Array) -> Array:
    """Warps ``picture`` (H, W, 3) uint8 by the similarity that aligns its stable landmarks with the truth's."""
    back = Similarity.between(true[STABLE_LANDMARKS], shown[STABLE_LANDMARKS]).matrix
    height, width = picture.shape[:2]
    moved = Image.fromarray(picture).transform((width, height), Image.Transform.AFFINE, back.ravel().tolist(), Image.Resampling.BILINEAR)
    return np.asarray(moved)
