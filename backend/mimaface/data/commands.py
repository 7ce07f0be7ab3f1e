"""``mimaface data``: make the shards that training and evaluation read."""

from __future__ import annotations

import argparse
import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mimaface.protocol.errors import DiskFull, InvalidInput, NotWritable


def add_commands(commands: Any) -> None:
    """Add ``data`` with its sub-commands to the sub-parsers of the command line."""
    data = commands.add_parser("data", help="make training samples: synthetic heads, or from videos")
    kinds = data.add_subparsers(title="kinds", required=True, metavar="KIND")

    synthetic = kinds.add_parser("synthetic", help="random people in random studios")
    synthetic.add_argument("folder", type=Path)
    synthetic.add_argument("--samples", type=_positive, required=True)
    synthetic.add_argument("--seed", type=int, default=0)
    synthetic.add_argument("--size", type=_positive, default=256)
    synthetic.add_argument("--frames", type=_positive, help="of a sample (default: 8, with --video 20)")
    synthetic.add_argument("--video", action="store_true", help="frames are neighbours in time")
    synthetic.add_argument("--pictures", type=Path, help="a folder of photographs to use as backgrounds")
    synthetic.add_argument("--workers", type=_positive, default=os.cpu_count() or 1)
    synthetic.set_defaults(command=_synthetic)

    video = kinds.add_parser("video", help="videos of people, in folders as in VoxCeleb2 or all in one")
    video.add_argument("videos", type=Path)
    video.add_argument("folder", type=Path)
    video.add_argument("--shard", type=_share, default=(1, 1), metavar="I/N", help="do part I of N, for several machines")
    video.add_argument("--size", type=_positive, default=256)
    video.add_argument("--frames", type=_positive, default=20)
    video.add_argument("--workers", type=_positive, default=1)
    video.set_defaults(command=_video)


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return int(text)


def _share(text: str) -> tuple[int, int]:
    part, _, whole = text.partition("/")
    if not (part.isdecimal() and whole.isdecimal() and 1 <= int(part) <= int(whole)):
        raise argparse.ArgumentTypeError(f"{text!r} is not I/N with I from 1 to N, for example 1/4")
    return int(part), int(whole)


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise DiskFull(f"no space is left for {folder}", "free some; the run goes on where it was") from error
        raise NotWritable(f"{folder} cannot be written ({error.strerror or error})", "choose another folder") from error


def _progress() -> Any:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    return Progress(TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), transient=True)


def _synthetic(parsed: argparse.Namespace) -> int:
    from .synthetic import VIDEO, SyntheticConfig, make_shards

    if parsed.pictures is not None and not parsed.pictures.is_dir():
        raise InvalidInput(f"{parsed.pictures} is not a folder", "name a folder of photographs")
    if parsed.size < 64:
        raise InvalidInput(f"--size {parsed.size} is too small for a face", "use 64 or more")
    start = VIDEO if parsed.video else SyntheticConfig()
    pictures = "" if parsed.pictures is None else str(parsed.pictures)
    config = SyntheticConfig(parsed.size, parsed.frames or start.frames, start.stride, pictures)
    per_shard = 64
    with _writing(parsed.folder), _progress() as bar:
        shards = make_shards(parsed.folder, parsed.seed, parsed.samples, config, per_shard, parsed.workers)
        count = sum(1 for _ in bar.track(shards, -(-parsed.samples // per_shard), description="shards"))
    print(f"{parsed.folder}: {parsed.samples} samples of {config.frames} frames in {count} shards")
    return 0


def _video(parsed: argparse.Namespace) -> int:
    from .recorded import RecordedConfig, clips_in, make_shards

    number, count = parsed.shard
    total = len(clips_in(parsed.videos)[number - 1 :: count])
    with _writing(parsed.folder), _progress() as bar:
        task = bar.add_task("clips", total=total)
        config = RecordedConfig(parsed.size, parsed.frames)
        report = make_shards(parsed.videos, parsed.folder, config, parsed.shard, parsed.workers, lambda _: bar.advance(task))
    print(f"{parsed.folder}: {report['kept']} of {report['clips']} clips kept")
    for reason, rejected in report["rejected"].items():
        print(f"  {rejected} {reason}")
    return 0
