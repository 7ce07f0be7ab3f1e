"""Large messages: what they cost, how long they may take, and what is said where they are too large."""

import contextlib
import gc
import os
import socket
import sys
import threading
import time
import weakref
from pathlib import Path

import pytest

from mimaface.protocol import codec
from mimaface.protocol.codec import Codec, Message
from mimaface.protocol.connection import Connection
from mimaface.protocol.errors import InvalidMessage
from mimaface.serving.scheduler import CONTROL, Scheduler, Task

from .conftest import raw, wait_for

CURVE_GREETING = b"\xff" + bytes(8) + b"\x7f\x03\x01" + b"CURVE".ljust(20, b"\0") + bytes(32)


def test_a_part_that_is_too_large_is_a_sentence_on_either_side(monkeypatch):
    monkeypatch.setattr(codec, "MAX_PART", 1 << 20)
    frames = Codec.encode(Message("portrait.fit", {}, (bytes(1 << 20),), 1))
    assert len(Codec.decode(frames).parts[0]) == 1 << 20
    sentence = "3 MB are too large for one message: the limit is 1 MB – save the picture as JPEG or PNG, or use a shorter take"
    for act in (
        lambda: Codec.encode(Message("portrait.fit", {}, (bytes(3 << 20),), 1)),
        lambda: Codec.decode([frames[0], bytes(3 << 20)]),
    ):
        with pytest.raises(InvalidMessage) as error:
            act()
        assert str(error.value) == sentence


class SlowCable:
    """A relay to a backend that carries ``rate`` bytes a second."""

    def __init__(self, port: int, rate: float) -> None:
        self._target, self._rate = port, rate
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        near, _ = self._listener.accept()
        far = socket.create_connection(("127.0.0.1", self._target))
        threading.Thread(target=self._carry, args=(far, near, 0.0), daemon=True).start()
        self._carry(near, far, 1 / self._rate)

    @staticmethod
    def _carry(source: socket.socket, target: socket.socket, pause: float) -> None:
        with contextlib.suppress(OSError):
            while content := source.recv(1 << 14):
                target.sendall(content)
                time.sleep(len(content) * pause)

    def close(self) -> None:
        self._listener.close()


def test_a_part_that_travels_longer_than_a_sign_of_life_may_is_answered(shared, tmp_path):
    """A picture of 200 MB on a busy machine: its client's sign of life waited behind it, and the backend ended the connection after a second."""
    connection = Connection.read(shared.file)
    cable = SlowCable(connection.port, 1 << 20)
    Connection(**{**vars(connection), "port": cable.port}).write(tmp_path / "slow.json")
    with raw(tmp_path / "slow.json") as dealer:
        started = time.monotonic()
        dealer.send_multipart(Codec.encode(Message("portrait.fit", {}, (os.urandom(5 << 19),), 7)))
        assert dealer.poll(20_000), "an answer comes"
        answer = Codec.decode(dealer.recv_multipart())
    cable.close()
    assert time.monotonic() - started > 2, "longer than the second after which the connection was ended"
    assert answer.number == 7 and answer.fields["code"] == "invalid_image"


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not tell how much a connection has sent")
def test_a_stranger_s_message_that_never_ends_costs_no_memory(shared):
    """12 connections without a key took 980 MB: a frame that has begun is kept until it is complete."""
    connection, status = Connection.read(shared.file), Path(f"/proc/{shared.process.pid}/status")

    def resident() -> int:
        return next(int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith("VmRSS")) >> 10

    def flood(found: list[int]) -> None:
        with contextlib.suppress(OSError), socket.create_connection((connection.host, connection.port), 5) as stranger:
            stranger.sendall(CURVE_GREETING + b"\x06" + (250 << 20).to_bytes(8, "big"))
            for _ in range(150):
                found.append(1)
                stranger.sendall(bytes(1 << 20))

    client, before, most = shared.client(), resident(), 0
    sent: list[list[int]] = [[] for _ in range(4)]
    floods = [threading.Thread(target=flood, args=(found,), daemon=True) for found in sent]
    for each in floods:
        each.start()
    while any(each.is_alive() for each in floods):
        most = max(most, resident())
        time.sleep(0.01)
    assert all(len(found) < 150 for found in sent), "each is ended before it has sent all"
    assert most - before < 200, f"{most - before} MB"
    assert client.call("job.list").kind == "job.list.reply"


def test_a_failed_request_s_message_is_kept_by_nobody():
    """Eight refused pictures of 100 to 255 MB left the backend with 1.4 GB: the error, by its traceback, held itself and the message."""
    scheduler, ended = Scheduler(), threading.Event()

    class Content:
        """Stands for the bytes of a message."""

    content = Content()
    kept = weakref.ref(content)

    def start(held=content):
        raise ValueError(type(held).__name__)
        yield

    gc.disable()
    try:
        scheduler.add(Task(CONTROL, b"a", start, lambda error: ended.set()))
        del content, start
        assert ended.wait(60)
        wait_for(lambda: kept() is None, "nothing refers to the message")
    finally:
        gc.enable()
        scheduler.stop()
