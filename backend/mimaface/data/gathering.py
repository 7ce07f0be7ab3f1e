"""Folder of videos → shards. Clips are grouped into shards; a group is complete when its report lies beside its shard.

An interrupted or killed run resumes, a repeated run does nothing, and both give the bytes of an uninterrupted run.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from mimaface.protocol.errors import InvalidInput, OutOfResources
from mimaface.protocol.files import writable, write_whole

from .executors import Executor, on_this_machine
from .guarding import Unit
from .recorded import GONE, Clip, Outcome, RecordedConfig, clips_in
from .samples import read_members, write_members

VERSION = 2  # of the processing; a folder contains one version
# seconds per clip. Typical clips take ten, one in 4K on a busy machine a minute. Raised: hanging clips block a worker for longer
TIME_LIMIT = 300.0


class Group:
    """Clips of one shard: ``NAME.tar``, its report ``NAME.json``, and until both exist the pieces in ``NAME.….pieces``."""

    def __init__(self, folder: Path, name: str, clips: list[Clip], config: RecordedConfig) -> None:
        self.recipe = {"version": VERSION, "config": asdict(config), "clips": [clip.key for clip in clips]}
        digest = hashlib.sha256(json.dumps(self.recipe).encode()).hexdigest()[:8]
        self.folder, self.name = folder, name
        self.target, self.report = folder / f"{name}.tar", folder / f"{name}.json"
        self.units = [Unit(clip, folder / f"{name}.{digest}.pieces" / f"{index:05d}") for index, clip in enumerate(clips)]
        self.outcomes: dict[str, Outcome] = {}
        self.size = 0

    def look(self) -> list[Unit]:
        """Returns the units left by an earlier run, largest files first. Raises :class:`InvalidInput` for a report of other
        videos or settings.
        """
        if self.report.exists():
            self.outcomes = {outcome.key: outcome for outcome in self._reported()}
            self._tidy()
            return []
        earlier = [outcome for unit in self.units if (outcome := unit.done()) is not None]
        self.outcomes = {outcome.key: outcome for outcome in earlier}
        left = sorted(((_size(unit), unit) for unit in self.units if unit.clip.key not in self.outcomes), key=lambda pair: -pair[0])
        self.size = left[0][0] if left else 0
        return [unit for _, unit in left]

    def add(self, outcome: Outcome) -> None:
        """Adds the outcome of a unit; the last one completes the shard."""
        self.outcomes[outcome.key] = outcome
        if len(self.outcomes) == len(self.units):
            self.finish()

    def finish(self) -> None:
        """Writes the shard from all pieces and then its report, both atomically; without a kept clip there is no shard."""
        outcomes = [self.outcomes[unit.clip.key] for unit in self.units]
        kept = [unit.sample for unit, outcome in zip(self.units, outcomes) if not outcome.reason]
        with writable(self.folder):
            if kept:
                write_members(self.target, read_members(kept))
            _write_json(self.report, {**self.recipe, "outcomes": [asdict(outcome) for outcome in outcomes]})
            self._tidy()

    def _tidy(self) -> None:
        for folder in self.folder.glob(f"{self.name}.*.pieces"):
            shutil.rmtree(folder)

    def _reported(self) -> list[Outcome]:
        try:
            content = json.loads(self.report.read_text())
            outcomes = [Outcome(**item) for item in content.pop("outcomes")]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InvalidInput(f"{self.report}: the report of a shard is damaged ({error})", "delete it: its shard is made anew") from error
        if content != self.recipe:
            raise InvalidInput(f"{self.report} was made from other videos or with other settings", "use another folder")
        return outcomes


def make_shards(
    videos: Path,
    folder: Path,
    config: RecordedConfig,
    shard: tuple[int, int] = (1, 1),
    executor: Executor | None = None,
    time_limit: float = TIME_LIMIT,
    progress: Callable[[Outcome, int], None] = lambda outcome, total: None,
) -> dict[str, Any]:
    """Writes part i of n (``shard``, from 1) of all clips as shards and reports to ``folder``; returns the report of the part.

    A clip that exceeds ``time_limit`` seconds, crashes its process or cannot be used is rejected with its reason. ``progress``
    receives every outcome, including those of an earlier run, and the number of clips. Raises :class:`InvalidInput` when the
    folder was started with other videos or settings, or ``videos`` disappeared, :class:`DiskFull`, :class:`NotWritable`,
    :class:`OutOfResources` and :class:`NotInstalled`.
    """
    number, count = shard
    clips = clips_in(videos)[number - 1 :: count]
    groups = _groups(folder, clips, config, f"{number}of{count}")
    work = [(group, left) for group in groups if (left := group.look())]
    for group in groups:
        for outcome in group.outcomes.values():
            progress(outcome, len(clips))
        if len(group.outcomes) == len(group.units) and not group.report.exists():
            group.finish()
    work.sort(key=lambda pair: -pair[0].size)  # longest work first, so that no worker idles at the end
    units = [unit for _, left in work for unit in left]
    group_of = {unit.clip.key: group for group, left in work for unit in left}
    if units:
        with contextlib.closing((executor or on_this_machine())(units, config, time_limit)) as answers:
            for answer in answers:
                outcome = answer.checked()
                if outcome.reason == GONE and not videos.is_dir():
                    raise InvalidInput(f"{videos} is no longer there", "when it is back, start it again: it goes on where it was")
                progress(outcome, len(clips))
                group_of[outcome.key].add(outcome)
    lost = sum(len(group.units) - len(group.outcomes) for group in groups)
    if lost:
        raise OutOfResources(f"{lost} clips were lost on the way", "start it again: it goes on where it was")
    outcomes = {outcome.key: outcome for group in groups for outcome in group.outcomes.values()}
    names = {clip.path.relative_to(videos).as_posix(): outcomes[clip.key] for clip in clips}
    return _summary(folder / f"report-{number}of{count}.json", names)


def _groups(folder: Path, clips: list[Clip], config: RecordedConfig, part: str) -> list[Group]:
    return [
        Group(folder, f"recorded-{config.frames}x{config.size}-{part}-{index:05d}", clips[first : first + config.per_shard], config)
        for index, first in enumerate(range(0, len(clips), config.per_shard))
    ]


def _summary(path: Path, outcomes: dict[str, Outcome]) -> dict[str, Any]:
    """Writes and returns the report of a part, from the outcomes by their files' names."""
    reasons = Counter(outcome.reason for outcome in outcomes.values() if outcome.reason)
    report = {
        "clips": len(outcomes),
        "kept": sum(not outcome.reason for outcome in outcomes.values()),
        "rejected": dict(sorted(reasons.items())),
        "files": {name: f"{outcome.reason}: {outcome.detail}" for name, outcome in outcomes.items() if outcome.reason},
    }
    with writable(path.parent):
        _write_json(path, report)
    return report


def _size(unit: Unit) -> int:
    """Returns the bytes of a video as an estimate of its work."""
    try:
        return unit.clip.path.stat().st_size
    except OSError:
        return 0


def _write_json(path: Path, content: dict[str, Any]) -> None:
    """Writes JSON atomically; skips an unchanged file."""
    text = json.dumps(content, indent=1)
    if path.exists() and path.read_text() == text:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, text.encode())
