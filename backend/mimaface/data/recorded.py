"""Recorded training samples: videos of people (laid out as in VoxCeleb2, or in one folder) → shards of the same schema.

A clip gives one sample or the reason why not. Groups of clips make shards; a group is done when its report lies beside its shard,
so a run that was stopped goes on where it was, and a second run does nothing.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import re
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mimaface.drivers.video import video_frames
from mimaface.face.albedo import PLAIN_LIGHT, render_albedo
from mimaface.face.fit import fit_landmarks
from mimaface.face.normals import render_normals
from mimaface.face.portrait import Portrait
from mimaface.face.pose import motion_signals, poses_for
from mimaface.face.track import Tracker
from mimaface.geometry.camera import Camera
from mimaface.geometry.threads import one_thread
from mimaface.protocol.errors import InvalidInput, MimaFaceError, NoFaceFound
from mimaface.protocol.files import write_whole
from mimaface.reprojection.crops import cut_out
from mimaface.reprojection.reprojector import Reprojector

from .boxes import head_box
from .clips import Limits, Rejected, Tracked, check_inside, choose, sharpness_of
from .samples import Sample, write_shard

Array = NDArray[Any]
SUFFIXES = (".mp4", ".mov", ".mkv", ".webm", ".avi", ".m4v")
VERSION = 2  # of the processing; a folder keeps to one


@dataclass(frozen=True)
class RecordedConfig:
    """size: pixels a side; frames of a driven window; seconds: how much of each video is looked at; per_shard: clips of a group."""

    size: int = 256
    frames: int = 20
    seconds: float = 12.0
    per_shard: int = 64
    limits: Limits = field(default_factory=Limits)


@dataclass(frozen=True)
class Clip:
    """A video file: ``key`` is unique in the data set and has no dots; ``person`` names who is seen."""

    path: Path
    key: str
    person: str


@dataclass(frozen=True)
class Outcome:
    """What became of a clip: ``reason`` is empty where it was kept, else a short name to count by; ``detail`` has the numbers."""

    key: str
    reason: str = ""
    detail: str = ""


def clips_in(videos: Path) -> list[Clip]:
    """All videos below a folder in a fixed order. The person is the folder idNNNNN, else the first folder, else the file itself.

    Raises :class:`InvalidInput` when there are none.
    """
    if not videos.is_dir():
        raise InvalidInput(f"{videos} is not a folder", "name the folder that holds the videos")
    relative = sorted(path.relative_to(videos).as_posix() for path in videos.rglob("*") if path.suffix.lower() in SUFFIXES)
    if not relative:
        raise InvalidInput(f"{videos} holds no videos", f"files that end in {', '.join(SUFFIXES)} are read")
    return [_clip(videos, name) for name in relative]


def _clip(videos: Path, name: str) -> Clip:
    folders = Path(name).parts[:-1]
    known = [part for part in folders if re.fullmatch(r"id\d+", part)]
    stem = name.rsplit(".", 1)[0]
    person = known[0] if known else folders[0] if folders else stem
    # the end of a digest keeps a-b.mp4 and a/b.mp4 apart
    key = re.sub(r"[^\w-]", "_", stem, flags=re.ASCII) + "-" + hashlib.sha256(name.encode()).hexdigest()[:8]
    return Clip(videos / name, key, person)


def examine(path: Path, seconds: float) -> Tracked:
    """Follow the face through the first ``seconds`` of a video; only landmarks and sharpness are kept.

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
    """The sample of one video. Raises :class:`Rejected`, or a :class:`MimaFaceError` for a file that cannot be used.

    The source is fitted alone, as a portrait is in use; each driven frame's motion away from the source frame then poses it.
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
    """The wanted frames of a video, index → (H, W, 3) uint8."""
    found = {}
    for index, (_, image) in enumerate(video_frames(path)):
        if index in wanted:
            found[index] = image
        if index >= max(wanted):
            break
    return found


def try_sample(clip: Clip, config: RecordedConfig) -> tuple[Outcome, Sample | None]:
    """The sample of a clip, or why there is none: one bad video never stops a run."""
    try:
        sample = make_sample(clip, config)
        return Outcome(clip.key), sample
    except Rejected as error:
        return Outcome(clip.key, error.reason, error.detail), None
    except NoFaceFound as error:
        return Outcome(clip.key, "no face", error.message), None
    except MimaFaceError as error:
        return Outcome(clip.key, "unreadable", error.message), None
    except (ValueError, ArithmeticError, np.linalg.LinAlgError, MemoryError) as error:
        return Outcome(clip.key, "failed", f"{type(error).__name__}: {error}"), None


def make_shards(
    videos: Path,
    folder: Path,
    config: RecordedConfig,
    shard: tuple[int, int] = (1, 1),
    workers: int = 1,
    progress: Callable[[Outcome], None] = lambda _: None,
) -> dict[str, Any]:
    """Part i of n (``shard``, from 1) of all clips → shards and reports in ``folder``; returns the report of the part.

    ``progress`` is told of every clip, those of an earlier run too. Raises :class:`InvalidInput` when the folder was begun with
    other videos or settings.
    """
    number, count = shard
    clips = clips_in(videos)[number - 1 :: count]
    outcomes: list[Outcome] = []
    for group, first in enumerate(range(0, len(clips), config.per_shard)):
        part = clips[first : first + config.per_shard]
        name = f"recorded-{config.frames}x{config.size}-{number}of{count}-{group:05d}"
        outcomes += _make_group(folder, name, part, config, workers, progress)
    reasons = Counter(outcome.reason for outcome in outcomes if outcome.reason)
    report = {
        "clips": len(outcomes),
        "kept": sum(not outcome.reason for outcome in outcomes),
        "rejected": dict(sorted(reasons.items())),
        "files": {outcome.key: f"{outcome.reason}: {outcome.detail}" for outcome in outcomes if outcome.reason},
    }
    _write_json(folder / f"report-{number}of{count}.json", report)
    return report


def _make_group(
    folder: Path, name: str, clips: list[Clip], config: RecordedConfig, workers: int, progress: Callable[[Outcome], None]
) -> list[Outcome]:
    """One shard and, after it, its report; both are left alone where the report is there."""
    target, done = folder / f"{name}.tar", folder / f"{name}.json"
    recipe = {"version": VERSION, "config": asdict(config), "clips": [clip.key for clip in clips]}
    if done.exists():
        outcomes = _earlier(done, recipe)
        for outcome in outcomes:
            progress(outcome)
        return outcomes
    outcomes = []

    def samples() -> Iterator[Sample]:
        for outcome, sample in _results(clips, config, workers):
            outcomes.append(outcome)
            progress(outcome)
            if sample is not None:
                yield sample

    if write_shard(target, samples()) == 0:
        target.unlink()
    _write_json(done, {**recipe, "outcomes": [asdict(outcome) for outcome in outcomes]})
    return outcomes


def _earlier(path: Path, recipe: dict[str, Any]) -> list[Outcome]:
    try:
        content = json.loads(path.read_text())
        outcomes = [Outcome(**item) for item in content.pop("outcomes")]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InvalidInput(f"{path}: the report of a shard is damaged ({error})", "delete it: its shard is made anew") from error
    if content != recipe:
        raise InvalidInput(f"{path} was made from other videos or with other settings", "use another folder")
    return outcomes


def _results(clips: list[Clip], config: RecordedConfig, workers: int) -> Iterator[tuple[Outcome, Sample | None]]:
    if workers == 1:
        yield from (try_sample(clip, config) for clip in clips)
        return
    with ProcessPoolExecutor(workers) as pool:
        yield from pool.map(try_sample, clips, [config] * len(clips))


def _write_json(path: Path, content: dict[str, Any]) -> None:
    """Whole or not at all; an unchanged file is left alone."""
    text = json.dumps(content, indent=1)
    if path.exists() and path.read_text() == text:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, text.encode())
