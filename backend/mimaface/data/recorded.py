"""Recorded training samples: one video of a person (in VoxCeleb2's layout, or in one folder) → a sample, or a reason for its rejection."""

from __future__ import annotations

import hashlib
import itertools
import os
import re
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from mimaface.drivers.video import video_frames
from mimaface.face.fit import fit_landmarks
from mimaface.face.portrait import Portrait
from mimaface.face.pose import motion_signals, poses_for
from mimaface.face.renders import PLAIN_LIGHT, render_albedo, render_normals
from mimaface.face.track import Tracker
from mimaface.geometry.camera import Camera
from mimaface.geometry.threads import one_thread
from mimaface.protocol.arrays import Array
from mimaface.protocol.driver_files import FILMS, ends
from mimaface.protocol.errors import InvalidInput, MimaFaceError, NoFaceFound, NotInstalled, Shortage
from mimaface.reprojection.crops import cut_out
from mimaface.reprojection.reprojector import Reprojector

from .clips import Limits, Rejected, Tracked, check_inside, choose, sharpness_of
from .samples import Sample, head_box

GONE = "gone"  # reason for a listed file that cannot be opened: deleted, without permission, or on a disconnected disk


@dataclass(frozen=True)
class RecordedConfig:
    """size: pixels a side; frames: of a driven window; seconds: analysed part of each video; per_shard: clips per group."""

    size: int = 256
    frames: int = 20
    seconds: float = 12.0
    per_shard: int = 64
    limits: Limits = field(default_factory=Limits)


@dataclass(frozen=True)
class Clip:
    """A video file: ``key`` is unique in the data set and contains no dots; ``person`` identifies the subject."""

    path: Path
    key: str
    person: str


@dataclass(frozen=True)
class Outcome:
    """Result of a clip: ``reason`` is empty if it was kept, else a short name for statistics; ``detail`` contains the numbers."""

    key: str
    reason: str = ""
    detail: str = ""


def clips_in(videos: Path) -> list[Clip]:
    """Returns all videos below a folder in a fixed order. The person is the folder idNNNNN, else the first folder, else the file.

    Raises :class:`InvalidInput` if there are none.
    """
    if not videos.is_dir():
        raise InvalidInput(f"{videos} is not a folder", "name the folder that holds the videos")
    relative = sorted(path.relative_to(videos).as_posix() for path in videos.rglob("*") if ends(path.name, FILMS))
    if not relative:
        raise InvalidInput(f"{videos} holds no videos", f"files that end in {', '.join(FILMS)} are read")
    return [_clip(videos, name) for name in relative]


def _clip(videos: Path, name: str) -> Clip:
    folders = Path(name).parts[:-1]
    known = [part for part in folders if re.fullmatch(r"id\d+", part)]
    stem = name.rsplit(".", 1)[0]
    person = known[0] if known else folders[0] if folders else stem
    # the digest distinguishes a-b.mp4 from a/b.mp4
    key = re.sub(r"[^\w-]", "_", stem, flags=re.ASCII) + "-" + hashlib.sha256(os.fsencode(name)).hexdigest()[:8]
    return Clip(videos / name, key, person)


def examine(path: Path, seconds: float) -> Tracked:
    """Tracks the face in the first ``seconds`` of a video; keeps landmarks and sharpness only.

    Raises :class:`InvalidInput` for an unreadable file and :class:`NoFaceFound`.
    """
    tracker = Tracker()
    sharpness = []
    for moment, image in itertools.takewhile(lambda frame: frame[0] < seconds, video_frames(path)):
        tracker.add(moment, image)
        points = tracker.last_points
        sharpness.append(sharpness_of(image, points[:, :2]) if points is not None else np.nan)
    *_, motion = tracker.finish(path.name)
    assert motion is not None
    return Tracked(motion, np.array(sharpness))


def make_sample(clip: Clip, config: RecordedConfig) -> Sample:
    """Returns the sample of a video. Raises :class:`Rejected`, or a :class:`MimaFaceError` for an unusable file.

    The source is fitted alone, like a portrait at inference; the motion of each driven frame relative to the source frame then
    poses it.
    """
    tracked = examine(clip.path, config.seconds)
    choice = choose(tracked, config.frames, config.limits, int(hashlib.sha256(clip.key.encode()).hexdigest()[:8], 16))
    images = _pictures(clip.path, [choice.source, *choice.driven.tolist()])
    height, width = images[choice.source].shape[:2]
    landmarks = tracked.motion.landmarks
    assert landmarks is not None
    fit = fit_landmarks(
        landmarks[choice.source], Camera.for_image(width, height), float(tracked.motion.confidence[choice.source, 0])
    )
    off = fit.error / tracked.face[choice.source]
    if off > config.limits.fit:
        raise Rejected("fit error", f"{off:.3f} of the face, {config.limits.fit} is allowed")
    with one_thread():
        renderer = Reprojector(Portrait(images[choice.source], fit, clip.key), config.size, "face")
        frame = renderer.crop
        check_inside(tracked.points[choice.driven], frame, config.limits)
        motion = tracked.motion.but(meta={**tracked.motion.meta, "neutral": choice.source})
        every = poses_for(fit, motion)
        poses = [every[index] for index in choice.driven]
        camera = fit.camera.window(frame.left, frame.top, frame.scale, frame.width, frame.height)
        posed = [renderer.posed(pose) for pose in poses]
        return Sample(
            clip.key, clip.person, np.ascontiguousarray(renderer.image),
            np.stack([cut_out(images[index], frame) for index in choice.driven]),
            np.stack([each.picture for each in posed]), np.stack([each.provenance for each in posed]),
            np.stack([render_albedo(fit.identity, pose, camera, PLAIN_LIGHT) for pose in poses]),
            np.stack([render_normals(each.vertices, camera) for each in posed]),
            render_normals(renderer.projection.still, camera),
            motion_signals(poses, fit), fit.identity.astype(np.float32),
            np.stack([head_box(each.vertices, camera) for each in posed]).astype(np.float32), choice.rate,
        )  # fmt: skip


def _pictures(path: Path, wanted: list[int]) -> dict[int, Array]:
    """Returns the wanted frames of a video, index → (H, W, 3) uint8."""
    found = {}
    for index, (_, image) in enumerate(video_frames(path)):
        if index in wanted:
            found[index] = image
        if index >= max(wanted):
            break
    return found


def try_sample(clip: Clip, config: RecordedConfig) -> tuple[Outcome, Sample | None]:
    """Returns the sample of a clip, or None with the reason, for any fault of the file.

    Raises :class:`NotInstalled` and :class:`Shortage`, which are not faults of the clip.
    """
    try:
        sample = make_sample(clip, config)
        return Outcome(clip.key), sample
    except Rejected as error:
        return Outcome(clip.key, error.reason, error.detail), None
    except NoFaceFound as error:
        return Outcome(clip.key, "no face", error.message), None
    except (NotInstalled, Shortage):
        raise
    except MimaFaceError as error:
        return Outcome(clip.key, "unreadable" if os.access(clip.path, os.R_OK) else GONE, error.message), None
    except Exception as error:  # decoders and fits raise many kinds of errors, and the next clip may succeed
        return Outcome(clip.key, "failed", f"{type(error).__name__}: {error}"), None
