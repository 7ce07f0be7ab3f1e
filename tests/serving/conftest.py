"""A real backend in its own process, and a client to it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import av
import numpy as np
import pytest
import zmq
from PIL import Image

from conftest import COLLINS
from mimaface.protocol.client import Client
from mimaface.protocol.codec import Codec, Message
from mimaface.protocol.connection import Connection
from mimaface.protocol.motion import MotionClip

PATIENCE = 60.0  # seconds, of a machine as slow as may be


def serve(root: Path, *arguments: str, file: Path | None = None) -> list[str]:
    """The command of a backend on one root folder."""
    file = file or root / "connection.json"
    return [sys.executable, "-m", "mimaface.cli", "serve", "--connection", str(file), "--root", str(root), *arguments]


class Backend:
    """``mimaface serve`` on one root folder, which outlives it; ``handles`` limits the files that it may have open."""

    def __init__(self, root: Path, *arguments: str, handles: int = 0) -> None:
        self.handles = handles
        root.mkdir(parents=True, exist_ok=True)
        self.root, self.file = root, root / "connection.json"
        self.arguments = arguments
        self.clients: list[Client] = []
        self.start()

    def start(self) -> None:
        self.file.unlink(missing_ok=True)
        command = serve(self.root, *self.arguments)
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, preexec_fn=self._limit if self.handles else None)
        try:
            wait_for(lambda: self.file.exists() or self.process.poll() is not None, "the backend starts")
        except AssertionError:
            self.kill()  # else it goes on taking a core from all later tests
            raise
        assert self.process.poll() is None, self.process.stderr.read().decode()

    def _limit(self) -> None:
        import resource

        resource.setrlimit(resource.RLIMIT_NOFILE, (self.handles, self.handles))

    def client(self, name: str = "test") -> Client:
        client = Client(self.file, name)
        self.clients.append(client)
        wait_for(lambda: client.state != "connecting", "the client connects")
        assert client.state == "ready", client.problem
        return client

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL if os.name != "nt" else signal.SIGTERM)
        self.process.wait(10)

    def close(self) -> None:
        for client in self.clients:
            client.close()
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(15)
            except subprocess.TimeoutExpired:
                self.kill()
                raise
        self.process.stderr.close()


@contextmanager
def raw(file: Path, room: int = 1000) -> Iterator[zmq.Socket]:
    """A DEALER with the right key that has said hello."""
    connection = Connection.read(file)
    context = zmq.Context()
    dealer = context.socket(zmq.DEALER)
    dealer.setsockopt(zmq.LINGER, 0)
    dealer.setsockopt(zmq.SNDHWM, room)
    dealer.setsockopt(zmq.RCVHWM, room)
    dealer.curve_serverkey = connection.server_key.encode()
    dealer.curve_publickey = connection.client_key.encode()
    dealer.curve_secretkey = connection.client_secret.encode()
    dealer.connect(connection.endpoint)
    dealer.send_multipart(Codec.encode(Message("hello", {"versions": [1], "name": "raw"}, (), 1)))
    try:
        assert dealer.poll(5000)
        dealer.recv_multipart()
        yield dealer
    finally:
        dealer.close(0)
        context.term()


def wait_for(condition, what: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, f"waited {PATIENCE} s for: {what}"
        time.sleep(0.01)


def receive(
    client: Client, job: str, from_frame: int = 0, seconds: float = 120, limit: int | None = None, stages: list[str] | None = None
) -> tuple[dict[int, bytes], object]:
    """Attach to a job, then :func:`collect`."""
    client.call("job.attach", {"job": job, "from_frame": from_frame, "credit": 8})
    return collect(client, job, seconds, limit, stages)


def collect(
    client: Client, job: str, seconds: float = 120, limit: int | None = None, stages: list[str] | None = None
) -> tuple[dict[int, bytes], object]:
    """Frames by index until the job ends or pauses (or ``limit`` frames came), and the message that says so.

    ``stages`` is given the stages of the progress that is told in between.
    """
    frames: dict[int, bytes] = {}
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        for event in client.events():
            if event.kind == "progress" and stages is not None:
                stages.append(event.fields["stage"])
            if event.fields.get("job") != job:
                continue
            if event.kind == "frame":
                assert event.fields["index"] not in frames, "a frame came twice"
                frames[event.fields["index"]] = event.parts[0]
                client.grant(job, 1)
            elif event.kind in ("done", "failed"):
                return frames, event
        if limit is not None and len(frames) >= limit:
            return frames, None
        time.sleep(0.005)
    raise AssertionError(f"{len(frames)} frames came in {seconds} s")


def fit(client: Client) -> str:
    return client.call("portrait.fit", {}, [COLLINS.read_bytes()]).fields["portrait"]


def submit(client: Client, portrait: str, motion: MotionClip, **settings: object) -> str:
    fields = {"portrait": portrait, "settings": {"engine": "proxy", "size": 192, **settings}, "name": "test"}
    return client.call("job.submit", fields, [motion.to_bytes()]).fields["job"]


def video(path: Path, frames: int) -> Path:
    """A video of the portrait, pushed to the side by up to four pixels."""
    picture = np.asarray(Image.open(COLLINS).convert("RGB").resize((256, 256)))
    with av.open(str(path), "w") as box:
        stream = box.add_stream("mjpeg", rate=25)
        stream.width = stream.height = 256
        stream.pix_fmt = "yuvj420p"
        for index in range(frames):
            for packet in stream.encode(av.VideoFrame.from_ndarray(np.roll(picture, index % 5, 1), "rgb24")):
                box.mux(packet)
        for packet in stream.encode():
            box.mux(packet)
    return path


@pytest.fixture(scope="session")
def standing(tmp_path_factory):
    running = Backend(tmp_path_factory.mktemp("standing") / "root")
    yield running
    running.close()


@pytest.fixture
def shared(standing):
    """The one backend of all tests that must not end it; equal requests are one job there, so each test has a seed of its own."""
    yield standing
    assert standing.process.poll() is None, "it lives"
    while standing.clients:
        standing.clients.pop().close()


@pytest.fixture
def small_disk(tmp_path):
    """A function that makes the folder of a disk of so many megabytes, or changes its size."""
    folder = tmp_path / "disk"
    if sys.platform != "linux" or os.geteuid() != 0:
        pytest.skip("needs root to mount a small disk")
    mount, unmount = (shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/bin:/bin") for name in ("mount", "umount"))
    if mount is None or unmount is None:
        pytest.skip("needs mount and umount")

    def of(megabytes: int) -> Path:
        known = folder.exists()
        folder.mkdir(exist_ok=True)
        options = f"{'remount,' if known else ''}size={megabytes}m"
        if subprocess.run([mount, "-t", "tmpfs", "-o", options, "tmpfs", str(folder)], capture_output=True).returncode:
            pytest.skip("mounting is not allowed here")
        return folder

    yield of
    subprocess.run([unmount, "-l", str(folder)], capture_output=True)


def fill(folder: Path, left: int = 0) -> Path:
    """Fill a disk as another program does, up to ``left`` bytes; the file that takes the space."""
    filler = folder / "filler"
    with filler.open("wb", buffering=0) as file, pytest.raises(OSError):
        while True:
            file.write(bytes(4096))
    os.truncate(filler, filler.stat().st_size - left)
    return filler


@pytest.fixture
def backend(tmp_path):
    """A backend for this test alone, which may end it or count what is in it."""
    running = Backend(tmp_path / "root")
    yield running
    running.close()
