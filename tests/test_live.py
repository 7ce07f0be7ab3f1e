"""``mimaface live``: a real stream, a real window where there can be one, and a film."""

import itertools
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator

import av
import numpy as np
import pytest
from PIL import Image, ImageGrab

from conftest import COLLINS, motion_of
from drivers.test_streams import live_link, smartphone
from mimaface.cli import main
from mimaface.drivers.streams import KINDS, Sample
from mimaface.drivers.video import video_frames
from mimaface.live import Puppet
from mimaface.output import virtual_camera
from mimaface.protocol.errors import InvalidInput

TAKE = motion_of({"angles": (10, 0, 0)}, {"angles": (10, 0, 0), "jawOpen": 0.8})


def sample(index: int) -> Sample:
    return KINDS["livelink"]().decode(live_link(TAKE, index)[0], 0.0)


def test_the_first_face_is_neutral_and_another_can_be(portrait):
    puppet = Puppet(portrait, 128)
    still = puppet.picture()
    np.testing.assert_array_equal(puppet.picture(sample(0)), still)
    opened = puppet.picture(sample(1)).astype(int)
    assert np.abs(opened - still).max() > 60
    np.testing.assert_array_equal(puppet.picture(Sample(1.0)), still)
    puppet.set_neutral(sample(1))
    np.testing.assert_array_equal(puppet.picture(sample(1)), still)


@pytest.fixture
def phone():
    """A port to which a smartphone sends a closed mouth and an open one, a fifth of a second each, again and again."""
    with smartphone(lambda count: live_link(TAKE, count // 10 % 2), 0.02) as port:
        yield port


def test_a_film_is_written_where_there_is_no_display(tmp_path, phone, monkeypatch, capsys):
    monkeypatch.delenv("DISPLAY", raising=False)
    film = tmp_path / "live.mp4"
    arguments = ["live", str(COLLINS), "--input", f"livelink://127.0.0.1:{phone}", "--size", "128"]
    assert main([*arguments, "-o", str(film), "--seconds", "1.5"]) == 0
    assert f"only {film} is written" in capsys.readouterr().err
    frames = [image.astype(int) for _, image in video_frames(film)]
    assert 30 <= len(frames) <= 39
    assert max(np.abs(frame - frames[0]).max() for frame in frames) > 50, "the mouth opened or closed"
    assert main([*arguments, "--seconds", "1"]) == 2
    assert "--output" in capsys.readouterr().err


def test_a_virtual_camera_is_fed_where_there_is_one(tmp_path, phone, monkeypatch, capsys):
    """FFmpeg writes into a file as it would into the device."""
    monkeypatch.delenv("DISPLAY", raising=False)
    arguments = ["live", str(COLLINS), "--input", f"livelink://127.0.0.1:{phone}", "--size", "128", "--seconds", "1.2", "--no-watermark"]
    monkeypatch.setattr(virtual_camera, "LOOPBACKS", tmp_path)
    assert main([*arguments, "-o", "virtualcam:"]) == 2 and "v4l2loopback" in capsys.readouterr().err
    assert main([*arguments, "-o", f"virtualcam:{tmp_path}/video7"]) == 2 and "cannot be fed" in capsys.readouterr().err
    monkeypatch.setitem(virtual_camera.DEVICES, sys.platform, "nut")
    assert main([*arguments, "-o", f"virtualcam:{tmp_path}/shown.nut"]) == 0
    assert "other programs can open it as" in capsys.readouterr().out
    with av.open(str(tmp_path / "shown.nut")) as container:
        frames = [frame.to_ndarray(format="rgb24").astype(int) for frame in container.decode(video=0)]
    assert len(frames) >= 25 and max(np.abs(frame - frames[0]).max() for frame in frames) > 50, "the mouth opened or closed"
    still = np.asarray(Image.open(COLLINS).convert("RGB").resize((128, 128), Image.Resampling.LANCZOS)).astype(int)
    assert np.abs(frames[0] - still).mean() < 6
    monkeypatch.setattr(sys, "platform", "win32")
    with pytest.raises(InvalidInput, match="OBS"):
        virtual_camera.VirtualCamera("virtualcam:", (64, 64), 25.0)


@pytest.mark.skipif(shutil.which("Xvfb") is None, reason="needs Xvfb")
def test_the_window_shows_the_portrait_moving(tmp_path, phone):
    reading, writing = os.pipe()
    # without -noreset the server starts over, and refuses who comes, whenever its last program leaves
    screen = ["Xvfb", "-noreset", "-displayfd", str(writing), "-screen", "0", "400x400x24"]
    with subprocess.Popen(screen, pass_fds=[writing], stderr=subprocess.DEVNULL) as server:
        try:
            os.close(writing)
            display = ":" + os.read(reading, 16).decode().strip()
            command = [sys.executable, "-m", "mimaface.cli", "live", str(COLLINS), "--input", f"livelink://127.0.0.1:{phone}"]
            with subprocess.Popen([*command, "--size", "128"], env=os.environ | {"DISPLAY": display}) as shown:
                seen = list(itertools.islice(_different(display, shown), 2))
                shown.terminate()
            assert len(seen) == 2, "the portrait, and the portrait moved"
        finally:
            os.close(reading)
            server.terminate()


def _different(display: str, shown: subprocess.Popen) -> Iterator[np.ndarray]:
    """Pictures of a screen that show something and are unlike the one before, while a program runs."""
    before = np.zeros((400, 400, 3), int)
    while shown.poll() is None:
        try:
            screen = np.asarray(ImageGrab.grab(xdisplay=display).convert("RGB")).astype(int)
        except OSError:  # it has just started
            continue
        if screen.std() > 20 and np.abs(screen - before).max() > 60:
            yield screen
            before = screen
