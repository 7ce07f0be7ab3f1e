"""A film as the source of a shot: each frame is a portrait, and all frames of a shot share one identity."""

from __future__ import annotations

import hashlib
import io
import json
import mimetypes
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from mimaface.face.fit import FittedFace
from mimaface.face.portrait import Portrait
from mimaface.face.track import Tracker
from mimaface.geometry.camera import Camera
from mimaface.pictures import Picture, is_picture
from mimaface.protocol.arrays import Array
from mimaface.protocol.errors import MimaFaceError, NoFaceFound
from mimaface.reprojection.crops import whole_picture

from .folders import in_order, places
from .person import Person
from .pictures import RATE, same_size
from .reading import Progress
from .video import clock, frame_count, video_pictures

SMALL = 32, 18  # pixels of a frame by which shots are told apart: grain and small motions are averaged away
# levels of 0–255 by which these change, on average, at a cut, and times that they changed before. Raised: a shot is fitted with the identity of
# the one before; lowered: a wave of the hand begins a new one, whose identity differs a little
CUT, SUDDENLY = 18.0, 3.0
PICTURE_START = 32  # bytes by which picture files are known
MOST_SAID = 6  # runs of frames that one sentence names


@dataclass(frozen=True, eq=False)
class Film:
    """Frames of ``size`` (height, width) at ``times`` (F,) seconds from the first, with the ``fits`` of one person's face: frame → fit.

    rate: frames a second by the file; tick: seconds of which its times are multiples; sha256 names the file's content; warnings: sentences
    about frames without that face, which are left as they are. Frames are read from ``path`` anew whenever they are needed.
    """

    path: Path
    times: Array
    rate: Fraction
    tick: Fraction
    size: tuple[int, int]
    fits: dict[int, FittedFace]
    sha256: str
    warnings: tuple[str, ...] = ()

    @classmethod
    def open(cls, path: Path | str, face: int = 0, rate: float = 0.0, progress: Progress = lambda *_: None) -> Film:
        """Track the ``face``-th largest face, from 0, through a video or a folder of pictures.

        rate: pictures a second of a folder, 25 unless it is given; ``progress`` receives the stages "reading" and "following".
        Raises :class:`InvalidInput`, :class:`InvalidImage` or :class:`NoFaceFound`.
        """
        *_, film = film_steps(Path(path), face, rate, progress)
        assert film is not None
        return film

    def __len__(self) -> int:
        return len(self.times)

    def frames(self) -> Iterator[Picture]:
        """Yields the film's pictures in order."""
        for _, picture in read(self.path, float(self.rate)):
            yield picture

    def face_box(self, size: int) -> Array:
        """Returns left, top, right, bottom (4,) around the face in all frames, in pixels of a frame with longer side ``size``, 0: the film's."""
        boxes = np.stack([[*fit.landmarks[:468, :2].min(0), *fit.landmarks[:468, :2].max(0)] for fit in self.fits.values()])
        scale = whole_picture(self.size[1], self.size[0], size).scale
        return np.concatenate([boxes[:, :2].min(0), boxes[:, 2:].max(0)]) * scale

    def portrait(self, index: int, picture: Picture) -> Portrait | None:
        """Returns a frame as a portrait; None without the face."""
        fit = self.fits.get(index)
        return None if fit is None else Portrait(picture.image, fit, self.sha256, picture.alpha)


def film_steps(source: Path, face: int, rate: float, progress: Progress) -> Iterator[Film | None]:
    """:meth:`Film.open` in steps: None after every frame, the film last."""
    frames_a_second, tick = _folder_clock(rate) if source.is_dir() else clock(source)
    shots, person, total = _Shots(), Person(face), 0 if source.is_dir() else frame_count(source)
    trackers: list[tuple[int, Tracker]] = []
    times: list[float] = []
    strange: list[int] = []
    size = (0, 0)
    for index, (seconds, picture) in enumerate(read(source, float(frames_a_second))):
        if shots.begins(picture.image):
            trackers.append((index, Tracker(person.find)))
            person.seen(None)
        if trackers[-1][1].add(seconds, picture.image):
            person.seen(trackers[-1][1].last_points)
        elif person.strangers:
            strange.append(index)
        times.append(seconds)
        size = picture.image.shape[0], picture.image.shape[1]
        progress("reading", index + 1, total if index < total else 0)
        yield None
    fits: dict[int, FittedFace] = {}
    for first, tracker in trackers:
        for place, fit in tracker.fits():
            fits[first + place] = fit
            progress("following", len(fits), len(times))
            yield None
    if not fits:
        raise NoFaceFound(*_none_found(source.name, face, person.most, len(times)))
    missing = sorted(set(range(len(times))) - set(fits) - set(strange))
    said = [(missing, "no face found"), (strange, "another person's face")]
    warnings = tuple(f"{runs(frames)}: {words}; left as they are" for frames, words in said if frames)
    yield Film(source, np.array(times), frames_a_second, tick, size, fits, film_digest(source), warnings)


def is_film(path: Path) -> bool:
    """Whether ``path`` is a film, that is a folder or a video, and not a photograph."""
    if path.is_dir():
        return True
    try:
        with path.open("rb") as file:
            if is_picture(path.name, file.read(PICTURE_START)):
                return False
        return frame_count(path) != 1
    except (OSError, MimaFaceError):  # whoever reads it raises the error
        return (mimetypes.guess_type(path.name)[0] or "").startswith("video/") and path.is_file()


class _Shots:
    """Detects cuts: sudden changes of the whole picture."""

    def __init__(self) -> None:
        self._before: Array | None = None
        self._usual = 0.0

    def begins(self, image: Array) -> bool:
        """Whether the next frame (H, W, 3) uint8 begins a shot."""
        small = np.asarray(Image.fromarray(image).resize(SMALL, Image.Resampling.BOX), np.float32)
        before, self._before = self._before, small
        if before is None:
            return True
        change = float(np.abs(small - before).mean())
        usual, self._usual = self._usual, change
        return change > max(CUT, SUDDENLY * usual)


def read(path: Path, rate: float) -> Iterator[tuple[float, Picture]]:
    """Seconds from the first frame, and the frame, of a video or of a folder of pictures, which are ``rate`` a second where no
    number is missing."""
    if path.is_dir():
        paths = in_order(path)
        for place, picture in zip(places(paths)[0], same_size(paths), strict=True):
            yield place / rate, picture
        return
    yield from video_pictures(path)


def runs(frames: list[int]) -> str:
    """Returns sorted frames as text: "frames 3, 41–57"."""
    breaks = np.flatnonzero(np.diff(frames) > 1) + 1
    parts = [f"{part[0]}" if len(part) == 1 else f"{part[0]}–{part[-1]}" for part in np.split(np.array(frames), breaks)]
    more = f" and {len(parts) - MOST_SAID} more runs" if len(parts) > MOST_SAID else ""
    return f"frame{'s' if len(frames) > 1 else ''} {', '.join(parts[:MOST_SAID])}{more}"


def _folder_clock(rate: float) -> tuple[Fraction, Fraction]:
    exact = Fraction(rate or RATE).limit_denominator(1001)
    return exact, 1 / exact


def _none_found(name: str, face: int, most: int, count: int) -> tuple[str, str]:
    if most:
        seen = "one face is" if most == 1 else f"{most} faces are"
        return f"{name}: face {face} was asked for, but at most {seen} in a frame", "faces count from 0, largest first"
    return f"{name}: no face found in any of {count} frames", "use a film in which the whole face is visible"


def film_digest(path: Path) -> str:
    """SHA-256 of a file, or of the names and contents of a folder's pictures."""
    if path.is_dir():
        whole = hashlib.sha256()
        for each in in_order(path):
            whole.update(each.name.encode() + b"\0" + hashlib.sha256(each.read_bytes()).digest())
        return whole.hexdigest()
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


ARRAYS = ("identity", "blendshapes", "rotation", "translation", "gaze", "landmarks", "error", "confidence")  # of a fit


def pack_film(film: Film) -> bytes:
    """All of a film but its frames, as npz."""
    fits = [film.fits[index] for index in sorted(film.fits)]
    arrays: dict[str, Any] = {name: np.stack([getattr(fit, name) for fit in fits]) for name in ARRAYS}
    cameras = np.array([[fit.camera.focal, *fit.camera.centre, fit.camera.width, fit.camera.height] for fit in fits])
    words = {"rate": str(film.rate), "tick": str(film.tick), "size": film.size, "sha256": film.sha256, "warnings": film.warnings}
    out = io.BytesIO()
    np.savez(out, frames=sorted(film.fits), times=film.times, cameras=cameras, words=json.dumps(words), **arrays)
    return out.getvalue()


def unpack_film(content: bytes, path: Path) -> Film:
    """Returns the film at ``path`` from bytes of :func:`pack_film`. Raises :class:`ValueError` or :class:`KeyError` for other bytes."""
    with np.load(io.BytesIO(content), allow_pickle=False) as archive:
        found = {name: archive[name] for name in archive.files}
    words = json.loads(str(found["words"]))
    fits = {}
    for place, index in enumerate(found["frames"].tolist()):
        focal, u, v, width, height = found["cameras"][place].tolist()
        values: dict[str, Any] = {name: found[name][place] for name in ARRAYS}
        values |= {name: float(values[name]) for name in ("error", "confidence")}
        fits[index] = FittedFace(**values, camera=Camera(focal, (u, v), int(width), int(height)))
    height, width = words["size"]
    return Film(
        path, found["times"], Fraction(words["rate"]), Fraction(words["tick"]), (height, width), fits, words["sha256"], tuple(words["warnings"])
    )
