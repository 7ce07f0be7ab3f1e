"""A webcam: FFmpeg's device for filters plays a film in real time, again and again, where a camera would be."""

from __future__ import annotations

import contextlib
import errno
import sys
import time
from types import SimpleNamespace

import av
import numpy as np
import pytest

from conftest import motion_of
from mimaface.cli import main
from mimaface.drivers.streams import Recording, devices, open_stream, webcam
from mimaface.drivers.streams.base import quaternion_of
from mimaface.drivers.streams.devices import SYSTEMS, System
from mimaface.face.pose import poses_for
from mimaface.protocol.arkit import BLENDSHAPE_INDEX
from mimaface.protocol.errors import InvalidInput, MimaFaceError
from mimaface.protocol.motion import MotionClip
from mimaface.reprojection.reprojector import Reprojector

RATE, FRAMES = 25, 25
JAW = 0.4 - 0.4 * np.cos(np.linspace(0, 2 * np.pi, FRAMES, endpoint=False))
PLAYED = System("lavfi", "", "movie={}:loop=0,setpts=N/(25*TB),realtime", ({},), "")


@pytest.fixture(scope="module")
def film(portrait, tmp_path_factory):
    """A second of a mouth that opens and closes."""
    path = tmp_path_factory.mktemp("webcam") / "film.mp4"
    render = Reprojector(portrait, 320)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=RATE, options={"crf": "15"})
        stream.width = stream.height = 320
        for pose in poses_for(portrait.fit, motion_of(*({"jawOpen": value} for value in JAW))):
            for packet in stream.encode(av.VideoFrame.from_ndarray(render.render(pose), format="rgb24")):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)
    return path


def test_the_newest_frame_is_followed_as_it_comes(film, monkeypatch):
    monkeypatch.setitem(SYSTEMS, sys.platform, PLAYED)
    samples, delays = [], []
    with open_stream(f"webcam:{film}") as camera:
        assert (camera.name, camera.where, camera.port) == ("Webcam", f"camera {film}", 0)
        while len(samples) < 20:
            found = camera.poll(30)
            assert found, "a sample comes, or the camera says why not"
            samples += found
            delays.append(camera.delay)
        assert camera.tracking and camera.note == ""
        camera._samples.extend(samples * 100)
        assert len(camera._samples) == 600, "who does not look has the newest"
        read = camera.packets
    assert all(not thread.is_alive() for thread in camera._threads)
    times = np.array([sample.seconds for sample in samples])
    assert (np.diff(times[1:]) > 0).all(), "in order but for the neutral"
    assert times[-1] * RATE <= read, "frames are let go while an earlier one is looked at"
    jaw = np.array([sample.blendshapes[BLENDSHAPE_INDEX["jawOpen"]] for sample in samples])
    truth = JAW[np.round(times * RATE).astype(int) % FRAMES]
    # the tracker smooths over the frames that it sees: how far it lags depends on how many a busy machine lets it see
    assert np.abs(jaw - truth).mean() < 0.15 and np.corrcoef(jaw, truth)[0, 1] > 0.95
    assert jaw[0] < jaw[times <= times[1] + 1].min() + 0.3, "the neutral is a shut mouth of the first second"
    assert abs(samples[0].head_quat[0]) > 0.9 and samples[0].head_pos[2] < -0.1 and np.abs(samples[0].gaze).max() < 0.3


def test_the_neutral_is_the_calmest_frontal_face_of_the_first_second(monkeypatch):
    class Follower:
        """Sees nobody in the first frames, then somebody who speaks and looks up, is calm, and speaks again."""

        measured, sees_face, count = False, False, -1

        def add(self, seconds: float, image: None) -> SimpleNamespace | None:
            self.count += 1
            self.measured = self.sees_face = self.count >= 3
            if not self.sees_face or self.count == 6:
                return None
            jaw, yaw = (0.05, 0.0) if self.count == 9 else (0.0, 0.5) if self.count < 9 else (0.6, 0.0)
            shapes = np.zeros(52, np.float32)
            shapes[BLENDSHAPE_INDEX["jawOpen"]] = jaw
            return SimpleNamespace(blendshapes=shapes, head_quat=quaternion_of(yaw, 0, 0), head_pos=np.zeros(3), gaze=np.zeros((2, 2), np.float32))

    monkeypatch.setattr(webcam, "Follower", Follower)
    monkeypatch.setattr(webcam, "_picture", lambda frame: frame)
    monkeypatch.setattr(webcam, "open_camera", lambda _: contextlib.nullcontext(SimpleNamespace(decode=lambda video: iter(()))))
    camera = webcam.Webcam("0")
    for thread in camera._threads:
        thread.join()  # the camera has no frames: those of the test are followed one by one
    camera._closing.clear()
    camera._problem = None
    frames, notes = iter([(index / 10, time.monotonic(), None) for index in range(20)]), []

    def wait_for(_: object) -> bool:
        notes.append(camera.note)
        camera._frame = next(frames, None)
        return True

    monkeypatch.setattr(camera._changed, "wait_for", wait_for)
    camera._follow()
    found = [round(10 * sample.seconds) for sample in camera._samples]
    assert found == [9, 3, 4, 5, 6, 7, 8, *range(10, 20)], "none is lost"
    assert notes[4] == webcam.MEASURING and notes[3] == notes[-1] == ""


class Impatient:
    """A camera that raises rather than waits for each fifth frame, as AVFoundation does."""

    def __init__(self, container) -> None:
        self._container, self._count = container, 0

    def __enter__(self):
        return self

    def __exit__(self, *_: object) -> None:
        self._container.close()

    def decode(self, **which: int):
        for frame in self._container.decode(**which):
            yield frame
            self._count += 1
            if self._count % 5 == 0:
                raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")


def test_a_camera_that_does_not_wait_is_asked_again(film, monkeypatch):
    monkeypatch.setattr(webcam, "open_camera", lambda _: Impatient(av.open(f"movie={film}:loop=0,setpts=N/(25*TB),realtime", format="lavfi")))
    with open_stream("webcam:0") as camera:
        assert camera.poll(30) and camera.packets > 5


def test_record_keeps_what_came_until_the_camera_was_pulled_out(film, monkeypatch, tmp_path, capsys):
    monkeypatch.setitem(SYSTEMS, sys.platform, System("lavfi", "", "movie={}:loop=0,setpts=N/(25*TB),realtime,trim=duration=3", ({},), ""))
    output = tmp_path / "take.motion.npz"
    assert main(["record", "--input", f"webcam:{film}", "-o", str(output)]) == 0
    assert "the camera gives no more pictures" in capsys.readouterr().err
    clip = MotionClip.load(output)
    assert len(clip) > 5 and clip.valid[:, 0].all() and np.ptp(clip.blendshapes[:, BLENDSHAPE_INDEX["jawOpen"]]) > 0.3


def test_record_keeps_a_take_that_cannot_be_written_where_it_should(film, monkeypatch, tmp_path, capsys):
    """Its folder was deleted meanwhile, and the performance was lost."""
    monkeypatch.setitem(SYSTEMS, sys.platform, System("lavfi", "", "movie={}:loop=0,setpts=N/(25*TB),realtime,trim=duration=4", ({},), ""))
    monkeypatch.setenv("MIMAFACE_HOME", str(tmp_path / "home"))
    (tmp_path / "gone").mkdir()
    real = Recording.finish

    def finish(recording, name):
        with contextlib.suppress(FileNotFoundError):  # the webcam's neutral is chosen from a recording, too
            (tmp_path / "gone").rmdir()
        return real(recording, name)

    monkeypatch.setattr(Recording, "finish", finish)
    assert main(["record", "--input", f"webcam:{film}", "-o", str(tmp_path / "gone" / "take.motion.npz")]) == 2
    (kept,) = (tmp_path / "home" / "captures").iterdir()
    assert f"the take is kept as {kept}" in capsys.readouterr().err
    assert len(MotionClip.load(kept)) >= 1


@pytest.mark.parametrize(
    ("system", "error", "words"),
    [
        ("linux", FileNotFoundError(errno.ENOENT, "No such file"), "no such camera.*plug one in"),
        ("linux", OSError(errno.EBUSY, "Device or resource busy"), "another program uses the camera"),
        ("linux", PermissionError(errno.EACCES, "Permission denied"), "not allowed.*group"),
        ("darwin", PermissionError(errno.EPERM, "Not permitted"), "System Settings"),
        ("darwin", OSError(errno.EIO, "Input/output error"), "cannot be opened.*end other programs.*System Settings"),
        ("darwin", av.error.ExternalError(542398533, "Generic error in an external library"), "cannot be opened.*System Settings"),
        ("win32", None, "no such camera"),
    ],
)
def test_a_camera_that_cannot_be_used_is_a_sentence(system, error, words, monkeypatch):
    monkeypatch.setattr(devices.sys, "platform", system)

    def refused(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(av, "open", refused)
    with pytest.raises(InvalidInput, match=words):
        open_stream("webcam:0")


def test_what_this_computer_lacks_is_a_sentence(monkeypatch, capsys, tmp_path):
    assert main(["record", "--input", "webcam:no-camera", "-o", str(tmp_path / "a.motion.npz")]) == 2
    assert "no such camera" in capsys.readouterr().err
    monkeypatch.setitem(SYSTEMS, sys.platform, System("avfoundation-x", "{}", "{}", ({},), ""))
    with pytest.raises(InvalidInput, match="built without avfoundation-x"):
        open_stream("webcam:0")
    monkeypatch.setattr(devices.sys, "platform", "plan9")
    with pytest.raises(MimaFaceError, match="not known on plan9"):
        open_stream("webcam:")
