"""A folder of videos → shards: what poisons a clip is set aside, runs that are killed go on, and whoever works leaves the same bytes."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import pytest

from mimaface.cli import main
from mimaface.data import guarding
from mimaface.data.executors import on_ray, on_this_machine
from mimaface.data.gathering import Group, make_shards
from mimaface.data.guarding import Answer, Guard, Unit
from mimaface.data.recorded import Clip, Outcome, RecordedConfig, clips_in
from mimaface.data.samples import read_shards, shards_in
from mimaface.protocol.errors import DiskFull, InvalidInput, OutOfResources

from .conftest import write_film

CONFIG = RecordedConfig(size=96, frames=4, per_shard=2)


@pytest.fixture(scope="module")
def library(tmp_path_factory, shot):
    """Three good clips of two people, one that is no video, and one whose end is missing."""
    root = tmp_path_factory.mktemp("library")
    short = shot.images[:12:2]
    whole = write_film(root / "id00001" / "a" / "00001.mp4", short)
    write_film(root / "id00001" / "b" / "00001.mp4", short[::-1])
    write_film(root / "id00002" / "a" / "00001.mp4", short[:, :, ::-1])
    (root / "id00002" / "a" / "00002.mp4").write_bytes(whole.read_bytes()[:2000])
    (root / "id00003").mkdir()
    (root / "id00003" / "text.mp4").write_text("not a video")
    return root


@dataclass(frozen=True)
class Run:
    """One whole run over the library: where it wrote, what it reported at its end, and the clips as they were done."""

    folder: Path
    report: dict
    seen: list[str]


@pytest.fixture(scope="module")
def whole(tmp_path_factory, library):
    folder, seen = tmp_path_factory.mktemp("whole"), []
    return Run(folder, make_shards(library, folder, CONFIG, progress=lambda outcome, total: seen.append(outcome.key)), seen)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_one_run_makes_all_there_is_and_a_second_nothing(library, whole):
    report = whole.report
    assert report["clips"] == 5
    assert report["kept"] == 3
    assert report["rejected"] == {"unreadable": 2}
    assert all("cannot be read as a video" in words for words in report["files"].values())
    samples = list(read_shards(shards_in(whole.folder)))
    assert [sample.person for sample in samples] == ["id00001", "id00001", "id00002"]
    assert len({sample.key for sample in samples}) == 3
    assert sorted(whole.seen) == [clip.key for clip in clips_in(library)]
    before = {path: path.stat().st_mtime_ns for path in whole.folder.iterdir()}
    assert len(before) == 2 + 3 + 1, "two shards (the last group had no sample), three reports, one summary"
    assert make_shards(library, whole.folder, CONFIG) == report
    assert {path: path.stat().st_mtime_ns for path in whole.folder.iterdir()} == before
    with pytest.raises(InvalidInput, match="other videos or with other settings"):
        make_shards(library, whole.folder, replace(CONFIG, seconds=3.0))


def test_parts_of_two_machines_are_the_whole(library, whole, tmp_path):
    for shard in ((1, 2), (2, 2)):
        make_shards(library, tmp_path, CONFIG, shard)
    together, parts = ({sample.key: sample for sample in read_shards(shards_in(folder))} for folder in (whole.folder, tmp_path))
    assert together.keys() == parts.keys()
    for key, sample in together.items():
        np.testing.assert_array_equal(sample.projected, parts[key].projected)
        np.testing.assert_array_equal(sample.signals["expression"], parts[key].signals["expression"])


def test_a_run_of_two_workers_that_was_killed_goes_on_where_it_was(library, whole, tmp_path):
    code = (
        "from pathlib import Path; from mimaface.data.gathering import make_shards; from mimaface.data.recorded import RecordedConfig\n"
        "from mimaface.data.executors import on_this_machine\n"
        f"make_shards(Path({str(library)!r}), Path({str(tmp_path)!r}), RecordedConfig(size=96, frames=4, per_shard=2), executor=on_this_machine(2))"
    )
    running = subprocess.Popen([sys.executable, "-c", code])
    while not any(tmp_path.rglob("*.pieces/*.json")):  # there is no way to be told of a file
        assert running.poll() is None
        time.sleep(0.002)
    running.send_signal(signal.SIGKILL)
    running.wait()
    earlier = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()}
    assert not any(path.name.startswith("report-") for path in earlier)
    for path in tmp_path.glob("*.tar"):
        assert len(list(read_shards([path]))) == 2, "a shard is whole, or it is not there"
    made: list[Unit] = []

    def watched(units, config, limit):
        made.extend(units)
        return on_this_machine(2)(units, config, limit)

    make_shards(library, tmp_path, CONFIG, executor=watched)
    assert 0 < len(made) < 5
    assert not {unit.piece.with_suffix(".json") for unit in made} & earlier.keys(), "nothing is made twice"
    assert contents(tmp_path) == contents(whole.folder)


def test_half_a_piece_counts_for_nothing(library, tmp_path):
    clips = clips_in(library)
    group = Group(tmp_path, "recorded-4x96-1of1-00000", clips[:3], CONFIG)
    for unit in group.units[:2]:
        unit.keep(Outcome(unit.clip.key))
    group.units[0].sample.write_bytes(b"cut short")
    group.units[2].keep(Outcome(clips[2].key, "no face", "none"))
    assert {unit.clip.key for unit in group.look()} == {clip.key for clip in clips[:2]}
    assert list(group.outcomes) == [clips[2].key]


def test_what_a_clip_does_to_its_reader_is_its_reason(tmp_path, shot):
    """A signal ends the reader of one clip as a fault in the decoder does; the reader of the next one is another."""
    videos, folder = tmp_path / "videos", tmp_path / "out"
    write_film(videos / "good.mp4", shot.images[:12:2])
    write_film(videos / "grey.mp4", np.full_like(shot.images[:6], 128))
    (videos / "cut.mp4").write_bytes((videos / "good.mp4").read_bytes()[:2000])
    (videos / os.fsdecode(b"\xff\n.mp4")).write_text("a name that is no text")
    os.mkfifo(videos / "crashes.mp4")

    def crash():
        for _ in range(2):
            reader = os.open(videos / "crashes.mp4", os.O_WRONLY)  # waits until somebody reads
            for process in multiprocessing.active_children():
                os.kill(process.pid, signal.SIGSEGV)
                process.join()
            os.close(reader)

    killer = threading.Thread(target=crash, daemon=True)
    killer.start()
    report = make_shards(videos, folder, CONFIG)
    killer.join()
    assert report["kept"] == 1
    assert report["rejected"] == {"crashed": 1, "no face": 1, "unreadable": 2}
    assert report["files"]["crashes.mp4"] == "crashed: the process that read it was ended by SIGSEGV, 2 times"
    assert json.loads((folder / "report-1of1.json").read_text()) == report


def test_a_clip_that_hangs_is_set_aside_at_its_limit(library, tmp_path):
    os.mkfifo(tmp_path / "hangs.mp4")  # a pipe that nobody writes to
    guard = Guard(CONFIG, 0.3)
    hangs = Unit(Clip(tmp_path / "hangs.mp4", "hangs", ""), tmp_path / "pieces" / "00000")
    wanted = Outcome("hangs", "time limit", "0.3 s were not enough")
    assert guard(hangs).checked() == wanted == hangs.done()
    guard.limit = 60
    text = Unit(clips_in(library)[-1], tmp_path / "pieces" / "00001")
    assert guard(text).checked().reason == "unreadable", "the next clip goes on in a new process"
    guard.close()


def test_what_no_clip_is_to_blame_for_stops_the_run(library, tmp_path):
    def full(units, config, limit):
        yield Answer.of_error(DiskFull("no space is left"))

    with pytest.raises(DiskFull):
        make_shards(library, tmp_path / "full", CONFIG, executor=full)

    moved = tmp_path / "disk"
    write_film(moved / "a.mp4", np.zeros((2, 32, 32, 3), np.uint8))

    def unplugged(units, config, limit):
        moved.rename(tmp_path / "elsewhere")
        yield from on_this_machine(1)(units, config, limit)

    with pytest.raises(InvalidInput, match="no longer there"):
        make_shards(moved, tmp_path / "out", CONFIG, executor=unplugged)
    (tmp_path / "elsewhere").rename(moved)
    assert make_shards(moved, tmp_path / "out", CONFIG)["rejected"] == {"no face": 1}, "nothing was set aside for good"


def test_a_folder_that_cannot_be_written_is_said_so(library, tmp_path):
    (tmp_path / "file").write_text("")
    unit = Unit(clips_in(library)[-1], tmp_path / "file" / "00000")
    guard = Guard(CONFIG, 60)
    assert guard(unit).error[0] == "not_writable"
    guard.close()


def test_a_reader_that_does_not_start_is_no_clips_fault(library, tmp_path, monkeypatch):
    monkeypatch.setattr(guarding, "START", 0.01)
    monkeypatch.setattr(Connection, "poll", lambda self, timeout: False)  # a fast machine starts it within any time
    with pytest.raises(OutOfResources, match=r"does not start: it is not ready after 0\.01 s"):
        make_shards(library, tmp_path, CONFIG)
    assert not list(tmp_path.rglob("*.json")), "nothing is set aside for it"


def test_largest_first(tmp_path):
    for name, size in (("a", 10), ("b", 1000), ("c", 50), ("d", 500), ("e", 5)):
        (tmp_path / f"{name}.mp4").write_bytes(b" " * size)
    order: list[str] = []

    def nobody(units, config, limit):
        order.extend(unit.clip.path.stem for unit in units)
        yield from ()

    with pytest.raises(OutOfResources, match="5 clips were lost"):
        make_shards(tmp_path, tmp_path / "out", CONFIG, executor=nobody)
    assert order == ["b", "a", "d", "c", "e"], "shard by shard, so that few are unfinished; the largest of each first"


@pytest.mark.slow
def test_ray_leaves_the_same_bytes(library, whole, tmp_path):
    pytest.importorskip("ray")
    assert make_shards(library, tmp_path, CONFIG, executor=on_ray(2)) == whole.report
    assert contents(tmp_path) == contents(whole.folder)


def test_the_command(library, tmp_path, capsys):
    only = tmp_path / "videos"
    only.mkdir()
    (only / "a.mp4").write_bytes((library / "id00001" / "a" / "00001.mp4").read_bytes())
    (only / "b.mp4").write_text("nothing")
    assert main(["data", "video", str(only), str(tmp_path / "out"), "--size", "96", "--frames", "4", "--workers", "1"]) == 0
    said = capsys.readouterr().out
    assert "1 of 2 clips kept" in said
    assert "1 unreadable" in said
    assert json.loads((tmp_path / "out" / "report-1of1.json").read_text())["kept"] == 1
    assert main(["data", "video", str(tmp_path / "nowhere"), str(tmp_path / "out")]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    with pytest.raises(SystemExit):
        main(["data", "video", str(only), str(tmp_path / "out"), "--shard", "3/2"])
