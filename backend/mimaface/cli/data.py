"""``mimaface data``: writes the shards that training and evaluation read."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from mimaface.protocol.errors import InvalidInput
from mimaface.protocol.files import writable

from .terminal import Commands, counting_bar


def add(commands: Commands) -> None:
    """Add ``data`` with its kinds."""
    data = commands.add_parser("data", help="make training samples from synthetic heads or from videos")
    kinds = data.add_subparsers(title="kinds", required=True, metavar="KIND")

    synthetic = kinds.add_parser("synthetic", help="render random people in random studios")
    synthetic.add_argument("folder", type=Path, help="the folder for the shards")
    synthetic.add_argument("--samples", type=_positive, required=True, help="number of people")
    synthetic.add_argument("--seed", type=int, default=0, help="the same seed gives the same people")
    synthetic.add_argument("--size", type=_positive, default=256, help="pixels of a side")
    synthetic.add_argument("--frames", type=_positive, help="frames of a sample (default: 8, with --video 20)")
    synthetic.add_argument("--video", action="store_true", help="make neighbouring frames, for the video stage")
    synthetic.add_argument("--pictures", type=Path, help="a folder of photographs for the backgrounds")
    synthetic.add_argument("--workers", type=_positive, default=os.cpu_count() or 1, help="number of processes")
    synthetic.set_defaults(command=_synthetic)

    video = kinds.add_parser("video", help="cut and align videos of people")
    video.add_argument("videos", type=Path, help="a folder of videos, nested as in VoxCeleb2 or flat")
    video.add_argument("folder", type=Path, help="the folder for the shards")
    video.add_argument("--shard", type=_share, default=(1, 1), metavar="I/N", help="process part I of N, for several machines")
    video.add_argument("--size", type=_positive, default=256, help="pixels of a side")
    video.add_argument("--frames", type=_positive, default=20, help="frames of a sample")
    video.add_argument("--workers", type=_positive, help="number of processes (default: one for each processor)")
    video.add_argument("--time-limit", type=_positive, metavar="SECONDS", help="reject a clip that takes longer (default: 300)")
    video.add_argument("--ray", action="store_true", help="use Ray: its cluster where one runs, else this machine")
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


def _synthetic(parsed: argparse.Namespace) -> int:
    from mimaface.data.synthetic import VIDEO, SyntheticConfig, make_shards

    if parsed.pictures is not None and not parsed.pictures.is_dir():
        raise InvalidInput(f"{parsed.pictures} is not a folder", "name a folder of photographs")
    if parsed.size < 64:
        raise InvalidInput(f"--size {parsed.size} is too small for a face", "use 64 or more")
    start = VIDEO if parsed.video else SyntheticConfig()
    pictures = "" if parsed.pictures is None else str(parsed.pictures)
    config = SyntheticConfig(parsed.size, parsed.frames or start.frames, start.stride, pictures)
    per_shard = 64
    with writable(parsed.folder), counting_bar() as bar:
        shards = make_shards(parsed.folder, parsed.seed, parsed.samples, config, per_shard, parsed.workers)
        count = sum(1 for _ in bar.track(shards, -(-parsed.samples // per_shard), description="shards"))
    print(f"{parsed.folder}: {parsed.samples} samples of {config.frames} frames in {count} shards")
    return 0


def _video(parsed: argparse.Namespace) -> int:
    from mimaface.data.executors import on_ray, on_this_machine
    from mimaface.data.gathering import TIME_LIMIT, make_shards
    from mimaface.data.recorded import Outcome, RecordedConfig

    executor = on_ray(parsed.workers or 0) if parsed.ray else on_this_machine(parsed.workers or os.cpu_count() or 1)
    config = RecordedConfig(parsed.size, parsed.frames)
    with counting_bar() as bar:
        task = bar.add_task("clips", total=None)

        def advance(_: Outcome, total: int) -> None:
            bar.update(task, advance=1, total=total)

        limit = parsed.time_limit or TIME_LIMIT
        report = make_shards(parsed.videos, parsed.folder, config, parsed.shard, executor, limit, advance)
    print(f"{parsed.folder}: {report['kept']} of {report['clips']} clips kept")
    for reason, rejected in report["rejected"].items():
        print(f"  {rejected} {reason}")
    return 0
