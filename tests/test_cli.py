"""The command itself; as a process of its own where that shows more."""

import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from types import SimpleNamespace

import av
import numpy as np
import pytest
from PIL import Image

from conftest import CASES, COLLINS, nod
from mimaface.cli import main
from mimaface.cli.terminal import stop_on_signals
from mimaface.pictures import encode_png
from mimaface.protocol.motion import MotionClip
from mimaface.protocol.visemes import text_grid
from mimaface.renderers import registry
from mimaface.serving.tracking import heard_in

COMMAND = [sys.executable, "-m", "mimaface.cli"]


def run(*arguments: object, **options) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COMMAND, *map(str, arguments)], capture_output=True, text=True, timeout=120, **options)


def command(*arguments: object) -> int:
    """The same in this process, where its libraries are loaded already."""
    return main([str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def motion(tmp_path_factory):
    path = tmp_path_factory.mktemp("motion") / "nod.motion.npz"
    nod(5).save(path)
    return path


def test_animate_makes_one_file_per_frame(tmp_path, motion):
    options = ("--size", 256, "--engine", "proxy")
    done = run("animate", COLLINS, motion, "-o", tmp_path / "out", *options)
    assert done.returncode == 0, done.stderr
    files = sorted((tmp_path / "out").iterdir())
    assert [path.name for path in files] == [f"{index:06d}.png" for index in range(5)]
    pictures = [np.asarray(Image.open(path)).astype(int) for path in files]
    assert pictures[0].shape == (256, 256, 3)
    assert all(np.abs(a - b).mean() > 0.05 for a, b in zip(pictures, pictures[1:])), "every frame differs from the one before"
    assert command("animate", COLLINS, motion, "-o", tmp_path / "again", *options) == 0
    again = [np.asarray(Image.open(path)).astype(int) for path in sorted((tmp_path / "again").iterdir())]
    np.testing.assert_array_equal(pictures, again, "the same pictures, each signed anew")


def test_animate_makes_a_film_that_track_reads(tmp_path, motion):
    """With the engine that is chosen by itself."""
    film = tmp_path / "out.mp4"
    assert command("animate", COLLINS, motion, "-o", film, "--size", 256) == 0
    assert command("track", film, "-o", tmp_path / "back.motion.npz") == 0
    assert len(MotionClip.load(tmp_path / "back.motion.npz")) == 5


@pytest.mark.parametrize(
    ("portrait", "driver", "output", "more"),
    [
        ("p.png", "d.png", "p.png", ()),
        ("p.png", "d.png", "d.png", ()),
        ("p.png", "d.png", "link.png", ()),
        ("p.png", "d.png", "f/../p.png", ()),
        ("p.png", "f", "f", ()),
        ("f", "d.png", "f", ()),
        ("f/000000.png", "d.png", "f", ()),
        ("p.png", "d.png", "r.png", ("--reference", "{folder}/r.png")),
        ("p.png", "d.png", "r.png", ("--also", "1={folder}/r.png")),
    ],
)
def test_a_shot_never_replaces_what_it_is_made_of(tmp_path, capsys, portrait, driver, output, more):
    """With --overwrite the frames of a film were deleted, and then it had none."""
    for name in ("p.png", "d.png", "r.png"):
        shutil.copy(COLLINS, tmp_path / name)
    (tmp_path / "link.png").symlink_to("p.png")
    (tmp_path / "f").mkdir()
    for index in range(2):
        (tmp_path / "f" / f"{index:06d}.png").write_bytes(encode_png(np.zeros((64, 64, 3), np.uint8)))
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.png")}
    more = [text.format(folder=tmp_path) for text in more]
    assert command("animate", tmp_path / portrait, tmp_path / driver, "-o", f"{tmp_path}/{output}", "--overwrite", *more) == 2
    assert re.search(r"the shot would replace .*, of which it is made – choose another output", capsys.readouterr().err)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*.png")} == before


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("{text}", "{motion}", "-o", "{out}"), "not a picture"),
        (("{portrait}", "absent.csv", "-o", "{out}"), "no such file"),
        (("{portrait}", "{text}", "-o", "{out}"), "not a picture that can be read"),
        (("{portrait}", "{motion}", "-o", "{out}", "--engine", "magic"), "engine 'magic' is unknown"),
        (("{portrait}", "{motion}", "-o", "{out}", "--gain", "jaw"), "NAME=FACTOR"),
        (("{portrait}", "{motion}", "-o", "{out}", "--size", "7"), "size 7 is out of range"),
        (("{portrait}", "{motion}", "-o", "{out}", "--face", "3"), "face 3"),
        (("{portrait}", "{motion}", "-o", "{out}", "--neutral", "99"), "neutral frame 99"),
        (("{portrait}", "{motion}", "-o", "{out}", "--fps", "0.2"), "out of range"),
        (("{portrait}", "{motion}", "-o", "{out}.gif"), "kind of output"),
        (("{portrait}", "{motion}", "-o", "{out}.mp4", "--transparent"), "an .mp4 file cannot be transparent"),
    ],
)
def test_mistakes_are_one_sentence(tmp_path, capsys, motion, arguments, words):
    text = tmp_path / "notes.jpg"
    text.write_text("not a picture")
    names = {"motion": motion, "out": tmp_path / "out", "text": text, "portrait": COLLINS}
    assert main(["animate", *[argument.format(**names) for argument in arguments]]) == 2
    said = capsys.readouterr().err
    assert words in said
    assert len(said.strip().splitlines()) == 1, said


def test_a_mistake_is_one_sentence_of_the_process_too(tmp_path, motion):
    done = run("animate", "absent.png", motion, "-o", tmp_path / "out")
    assert done.returncode == 2
    assert done.stderr.startswith("mimaface: cannot read absent.png")
    assert len(done.stderr.strip().splitlines()) == 1, "no traceback"


def test_a_terminal_that_lacks_letters_gets_question_marks(tmp_path):
    """As on Windows, where the output goes to a file: the take was written, then came a UnicodeEncodeError."""
    done = run("track", CASES / "pose.csv", "-o", tmp_path / "\u4e2d.motion.npz", env={**os.environ, "PYTHONIOENCODING": "cp1252"})
    assert done.returncode == 0 and done.stdout.endswith("?.motion.npz: 5 frames, 0.13 s\n"), done.stderr
    assert (tmp_path / "\u4e2d.motion.npz").exists()


@pytest.mark.skipif(sys.platform == "win32", reason="pipes of POSIX shells")
def test_nobody_reads_on():
    """As with ``| head``, which leaves after its lines: there was a traceback."""
    with subprocess.Popen([sys.executable, "-m", "mimaface.cli", "inspect", COLLINS], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as running:
        running.stdout.close()
        assert running.stderr.read() == b""
    assert running.returncode == 141


def test_a_home_that_cannot_be_written_stops_nobody_who_says_nothing_of_consent(tmp_path, motion, monkeypatch, capsys):
    (tmp_path / "home").write_text("a file")
    monkeypatch.setenv("MIMAFACE_HOME", str(tmp_path / "home"))
    arguments = ("animate", COLLINS, motion, "--engine", "proxy", "--size", 64, "-o")
    assert command(*arguments, tmp_path / "out") == 0
    assert len(list((tmp_path / "out").iterdir())) == 5 and "did the person" in capsys.readouterr().err
    assert command(*arguments, tmp_path / "again", "--consent", "self") == 2
    assert "choose another MIMAFACE_HOME" in capsys.readouterr().err


def test_a_name_that_the_system_refuses_is_a_sentence(tmp_path, capsys):
    (tmp_path / "take.TextGrid").write_text(text_grid([("aa", 0.0, 1.0)], 1.0))
    assert command("track", tmp_path / "take.TextGrid", "-o", tmp_path / f"{'n' * 300}.TextGrid") == 2
    said = capsys.readouterr().err
    assert "cannot be used (File name too long)" in said and len(said.splitlines()) == 1


def test_warnings_of_a_take_are_said(tmp_path, capsys):
    assert command("track", CASES / "face_lost_rows.csv", "-o", tmp_path / "take.motion.npz") == 0
    assert "no face in 8 of 48 frames" in capsys.readouterr().err


def test_a_folder_has_one_picture_for_every_frame_of_the_rate(tmp_path, capsys):
    time = np.delete(np.arange(24) / 24, [3, 4, 9, 15])
    MotionClip.at_rest(time).save(tmp_path / "uneven.motion.npz")
    assert command("animate", COLLINS, tmp_path / "uneven.motion.npz", "-o", tmp_path / "out", "--engine", "proxy", "--size", 64) == 0
    assert len(list((tmp_path / "out").iterdir())) == 24
    assert "24 are made, at 24 a second" in capsys.readouterr().err


def test_a_take_has_the_sound_of_the_video_beside_it(tmp_path, motion):
    """As Live Link Face records both under one name."""
    shutil.copy(CASES / "pose.csv", tmp_path / "take.csv")
    for name, sounds in (("silent.mp4", 0), ("heard.mp4", 1)):
        assert command("animate", COLLINS, tmp_path / "take.csv", "-o", tmp_path / name, "--size", 64) == 0
        with av.open(str(tmp_path / name)) as film:
            assert len(film.streams.audio) == sounds
        shutil.copy(CASES.parent / "golden" / "speech.ogg", tmp_path / "take.mov")
    assert heard_in(tmp_path / "take.csv", MotionClip.load(motion)) == {"sound": True, "sound_path": str(tmp_path / "take.mov")}


@pytest.mark.skipif(not hasattr(signal, "SIGUSR1"), reason="it stands for the signal of Ctrl-Break, which only Windows has")
def test_ctrl_break_of_windows_stops_as_ctrl_c_does(monkeypatch):
    monkeypatch.setattr(signal, "SIGBREAK", signal.SIGUSR1, raising=False)
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1)
    before, stop = [signal.getsignal(number) for number in numbers], threading.Event()
    try:
        stop_on_signals(stop)
        signal.raise_signal(signal.SIGUSR1)
        assert stop.wait(1)
    finally:
        for number, handler in zip(numbers, before):
            signal.signal(number, handler)


def test_a_quality_of_an_engine_without_a_model_is_said_to_change_nothing(tmp_path, capsys, motion):
    asked = "--engine", "proxy", "--size", 64, "--quality", "draft"
    assert command("animate", COLLINS, motion, "-o", tmp_path / "out", *asked) == 0
    assert "--quality draft has no effect: the engine proxy samples no model" in capsys.readouterr().err


def test_a_folder_that_cannot_be_written_is_named(tmp_path, capsys, motion):
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    assert main(["animate", str(COLLINS), str(motion), "-o", str(blocked / "out")]) == 2
    assert "cannot write" in capsys.readouterr().err


@pytest.mark.skipif(sys.platform == "win32", reason="Ctrl-C cannot be sent to one process on Windows")
def test_ctrl_c_keeps_what_is_done_and_leaves_no_half_files(tmp_path):
    long = tmp_path / "long.motion.npz"
    nod(2000).save(long)
    process = subprocess.Popen(
        [*COMMAND, "animate", str(COLLINS), str(long), "-o", str(tmp_path / "out"), "--engine", "proxy"],
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
    )
    deadline = time.monotonic() + 60
    while len(list((tmp_path / "out").glob("*.png"))) < 3 and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "of 2000 frames are in" in errors
    assert "Traceback" not in errors
    assert not list((tmp_path / "out").glob("*.part"))


def test_doctor_finds_everything_here(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("MIMAFACE_HOME", str(tmp_path))
    assert command("doctor") == 0
    states = dict(re.findall(r"│ ([\w ]+?) +│ +(ok|no|–) ", capsys.readouterr().out))
    assert [states[f"engine {name}"] for name in ("proxy", "demo", "released")] == ["ok", "ok", "–"], "nobody has installed Released"


def test_doctor_does_not_call_a_broken_engine_fine(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(registry.RENDERERS["demo"], "folder", tmp_path)
    assert command("doctor") == 1
    assert re.search(r"engine demo +│ no +│ the model is missing", capsys.readouterr().out)


def test_version_and_help():
    assert run("--version").stdout.startswith("mimaface ")
    for arguments, code in ((["animate", "--help"], 0), ([], 2)):
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        assert ended.value.code == code


def test_slow_frames_are_announced_with_the_time_that_they_took(monkeypatch, capsys):
    from mimaface.cli import animate
    from mimaface.renderers.base import Frame

    def announced(seconds, size):
        now = iter(seconds * np.arange(60.0) + 7)  # a frame is made whenever the clock is asked
        monkeypatch.setattr(animate, "time", SimpleNamespace(monotonic=lambda: next(now)))
        frames = [Frame(index, np.zeros((*size, 3), np.uint8), False) for index in range(60)]
        assert list(animate._timed(iter(frames), 60)) == frames
        return capsys.readouterr().err

    words = "mimaface: frames of 5400 x 6300 pixels take about 27 s each, 27 min in all"
    assert announced(27.0, (6300, 5400)) == f"{words}; --size 1280 is faster\n"
    assert announced(0.4, (6300, 5400)) == ""
    assert announced(9.0, (512, 512)) == "mimaface: frames of 512 x 512 pixels take about 9 s each, 9 min in all\n"  # a large model
