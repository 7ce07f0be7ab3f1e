"""``mimaface evaluate`` on films of people: the first frame is the portrait, the film drives it, and its own later frames are the truth.

Frames of the second half are judged. What is read of a face comes from the face landmarker. A region counts only in frames that differ
there from the portrait, and is compared after alignment by points that neither speech nor blinks move.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import laplace

from mimaface.animation import animate
from mimaface.drivers import RetargetSettings, open_motion
from mimaface.drivers.video import video_frames
from mimaface.face.landmarks import FaceLandmarker
from mimaface.face.portrait import Portrait
from mimaface.face.recognition import face_code
from mimaface.geometry.similarity import Similarity
from mimaface.protocol.errors import InvalidInput
from mimaface.protocol.motion import MotionClip
from mimaface.protocol.settings import RenderSettings

from .evaluate import over_frames, summary
from .metrics import pictured

Array = NDArray[Any]
COPY = "source"  # the generator that shows the portrait, whatever the motion
RATE = 24.0  # frames a second of the judged frames, one after another
MARGIN = 0.15  # of the face's width, that its box is wider than the landmarks on each side
LIPS = [61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291, 409, 270, 269, 267, 0, 37, 39, 40, 185]
EYES = (
    [33, 7, 163, 144, 145, 153, 154, 155, 133, 173, 157, 158, 159, 160, 161, 246],
    [263, 249, 390, 373, 374, 380, 381, 382, 362, 398, 384, 385, 386, 387, 388, 466],
)
CORNERS = ((33, 133), (362, 263))  # of the eyes
LIDS, IRISES, GAP = ((159, 145), (386, 374)), (468, 473), (13, 14)
STEADY = [33, 133, 362, 263, 168, 6, 197, 1, 4, 98, 327]  # landmarks that neither speech nor blinks move
OPENS = 0.12  # eye distances that the lips part further than in the portrait, where the mouth counts as open
SHUTS = 0.5  # of the portrait's own opening, below which an eye counts as shut
MOVES = 0.02  # deviation of a reading in the truth above which its correlation says something


@dataclass(frozen=True, eq=False)
class Seen:
    """What is read of one picture: points (478, 2) in pixels; lips and lids (2,) apart, in eye distances; gaze (2,): sideways and up, in
    widths of an eye."""

    points: Array
    lips: float
    lids: Array
    gaze: Array

    @classmethod
    def of(cls, picture: Array) -> Seen | None:
        """The largest face in a picture (H, W, 3) uint8; None where there is none."""
        faces = FaceLandmarker.load().faces(picture)
        return None if not faces else cls.at(faces[0].points[:, :2])

    @classmethod
    def at(cls, points: Array) -> Seen:
        """What landmarks (478, 2) say."""
        middle = [points[list(corners)].mean(0) for corners in CORNERS]
        across = (middle[1] - middle[0]) / np.linalg.norm(middle[1] - middle[0])
        apart = float(np.linalg.norm(middle[1] - middle[0]))
        away = [(points[iris] - centre) / np.linalg.norm(points[a] - points[b]) for iris, centre, (a, b) in zip(IRISES, middle, CORNERS)]
        gaze = np.mean(away, axis=0) @ np.array([across, (across[1], -across[0])]).T
        lids = np.array([np.linalg.norm(points[a] - points[b]) for a, b in LIDS]) / apart
        return cls(points, float(np.linalg.norm(points[GAP[0]] - points[GAP[1]])) / apart, lids, gaze)


@dataclass(frozen=True, eq=False)
class Film:
    """The portrait's frame and the ``truth`` (F, H, W, 3) uint8, with the motion of those frames and ``references``, of the first half."""

    name: str
    portrait: Array
    truth: list[Array]
    motion: MotionClip
    references: list[Array]


def read_film(path: Path, frames: int, references: int = 0) -> Film:
    """Follow a film and keep so many frames of its second half, evenly, and ``references`` of its first. Raises :class:`InvalidInput`."""
    motion = open_motion(path, RetargetSettings(neutral=0))
    count = len(motion)
    if count < 4:
        raise InvalidInput(f"{path.name} has {count} frames", "a film to be judged by has at least 4")
    judged = np.unique(np.linspace(count // 2, count - 1, frames).astype(int))
    given = different(motion, count // 2, references)
    wanted = {0, *judged, *given}
    kept = {index: image for index, (_, image) in enumerate(video_frames(path)) if index in wanted}
    cut = motion.resampled(motion.time[np.array([0, *judged])]).but(time=np.arange(len(judged) + 1) / RATE)
    cut = cut.but(meta={**cut.meta, "neutral": 0})
    return Film(path.stem, kept[0], [kept[index] for index in judged], cut, [kept[index] for index in given])


def different(motion: MotionClip, before: int, count: int) -> list[int]:
    """``count`` frames of the first ``before`` whose expressions and poses are as far from frame 0 and from one another as can be."""
    looks = np.concatenate([motion.blendshapes, motion.head_quat, motion.gaze.reshape(len(motion), -1)], axis=1)[:before]
    chosen = [0]
    while len(chosen) <= min(count, before - 1):
        nearest = np.min([np.linalg.norm(looks - looks[index], axis=1) for index in chosen], axis=0)
        chosen.append(int(np.where(motion.valid[:before].all(1), nearest, 0.0).argmax()))
    return chosen[1:]


def generate(film: Film, engine: str) -> list[Array]:
    """The film's judged frames by a renderer, or the portrait for each."""
    if engine == COPY:
        return [film.portrait] * len(film.truth)
    portrait = Portrait.open(as_png(film.portrait), references=[as_png(each) for each in film.references])
    size = max(film.portrait.shape[:2])
    return [frame.image for frame in animate(portrait, film.motion, RenderSettings(engine=engine, size=size))][1:]


def as_png(picture: Array) -> bytes:
    content = io.BytesIO()
    Image.fromarray(picture).save(content, "PNG", compress_level=1)
    return content.getvalue()


def evaluate_films(
    paths: Sequence[Path], engines: Sequence[str], frames: int, references: int, progress: Callable[[int], None] = lambda _: None
) -> dict[str, Any]:
    """Every metric of every engine, over films: as :func:`mimaface.evaluation.evaluate.evaluate` has them.

    Raises :class:`InvalidInput` for a film whose first frame shows no face.
    """
    values: dict[str, dict[str, list[float]]] = {engine: {} for engine in engines}
    faceless, count = dict.fromkeys(("truth", *engines), 0), 0
    for done, path in enumerate(paths, 1):
        film = read_film(path, frames, references)
        rest = Seen.of(film.portrait)
        if rest is None:
            raise InvalidInput(f"{path.name}: no face in its first frame", "cut the film so that it begins with a face")
        truths = [Seen.of(picture) for picture in film.truth]
        count += len(truths)
        faceless["truth"] += sum(true is None for true in truths)
        for engine in engines:
            found, lost = judged(generate(film, engine), film, truths, rest)
            faceless[engine] += lost
            for metric, value in found.items():
                values[engine].setdefault(metric, []).append(value)
        progress(done)
    results = {
        engine: {metric: vars(summary(numbers)) for metric, numbers in found.items()} for engine, found in values.items()
    }
    return {"samples": len(paths), "frames": count, "results": results, "frames_without_a_face": faceless, "absent": {}}


def judged(pictures: list[Array], film: Film, truths: list[Seen | None], rest: Seen) -> tuple[dict[str, float], int]:
    """The metrics of one film's generated ``pictures``, and how many of them lost the face; ``truths`` and ``rest`` are what is read of its
    frames and of the portrait."""
    rows: list[dict[str, float]] = []
    pairs: list[tuple[Seen, Seen]] = []
    lost = 0
    own = face_code(film.portrait, rest.points)
    for picture, truth, true in zip(pictures, film.truth, truths):
        if true is None:
            continue
        face = box(true.points, MARGIN)
        found = pictured(picture[face], truth[face], "@face")
        shown = Seen.of(picture)
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


def regions(picture: Array, truth: Array, true: Seen, rest: Seen) -> dict[str, float]:
    """Metrics of the mouth where it is open, and of eyes where they are shut, of an aligned picture."""
    mouth, eyes = [], []
    if true.lips > rest.lips + OPENS:
        mouth.append(region(picture, truth, box(true.points[LIPS], MARGIN), "@mouth-open"))
    for side, eye in enumerate(EYES):
        if true.lids[side] < SHUTS * rest.lids[side]:
            eyes.append(region(picture, truth, box(true.points[eye], 2 * MARGIN), "@eye-shut"))
    return over_frames(mouth) | over_frames(eyes)


def region(picture: Array, truth: Array, place: tuple[slice, slice], name: str) -> dict[str, float]:
    """PSNR and SSIM without the difference of the mean colours, and sharpness relative to the truth's, of part of a frame."""
    one, two = picture[place].astype(float), truth[place].astype(float)
    level = np.clip(np.round(one - one.mean((0, 1)) + two.mean((0, 1))), 0, 255).astype(np.uint8)
    edges = [float(laplace(part.mean(-1)).std()) for part in (one, two)]
    return pictured(level, truth[place], name) | {f"sharpness{name}": edges[0] / max(edges[1], 1e-6)}


def correlations(pairs: Sequence[tuple[Seen, Seen]]) -> dict[str, float]:
    """Pearson's r of what is read of generated and true frames, of what moves in truth."""
    found = {}
    channels: dict[str, Callable[[Seen], Sequence[float]]] = {
        "r-lips": lambda seen: [seen.lips], "r-lids": lambda seen: list(seen.lids),
        "r-gaze-aside": lambda seen: [seen.gaze[0]], "r-gaze-up": lambda seen: [seen.gaze[1]],
    }  # fmt: skip
    for name, read in channels.items():
        columns = np.array([(read(shown), read(true)) for shown, true in pairs]).reshape(len(pairs), 2, -1)
        values = [
            float(np.corrcoef(columns[:, 0, column], columns[:, 1, column])[0, 1])
            for column in range(columns.shape[2])
            if len(pairs) > 3 and columns[:, 1, column].std() > MOVES and columns[:, 0, column].std() > 1e-6
        ]
        if values:
            found[name] = float(np.mean(values))
    return found


def box(points: Array, margin: float) -> tuple[slice, slice]:
    """Rows and columns around points (P, 2) with ``margin`` of their width on each side; at least half as high as wide."""
    (left, top), (right, bottom) = points.min(0), points.max(0)
    width = right - left
    half, middle = max(bottom - top, 0.5 * width) / 2 + margin * width, (top + bottom) / 2
    rows = slice(max(int(middle - half), 0), int(middle + half) + 1)
    return rows, slice(max(int(left - margin * width), 0), int(right + margin * width) + 1)


def aligned(picture: Array, shown: Array, true: Array) -> Array:
    """``picture`` (H, W, 3) uint8, moved, turned and scaled so that its steady points lie on the truth's."""
    back = Similarity.between(true[STEADY], shown[STEADY]).matrix
    height, width = picture.shape[:2]
    moved = Image.fromarray(picture).transform((width, height), Image.Transform.AFFINE, back.ravel().tolist(), Image.Resampling.BILINEAR)
    return np.asarray(moved)
