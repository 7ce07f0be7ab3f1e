"""Streams of face capture through a real backend: senders of ``tests/drivers/test_streams.py`` on loopback, a client that listens."""

import socket
from contextlib import contextmanager

import numpy as np
import pytest

from conftest import motion_of
from drivers.test_streams import free_port, live_link, send
from mimaface.protocol.arkit import BLENDSHAPE_INDEX
from mimaface.protocol.codec import Message
from mimaface.protocol.errors import InvalidInput, InvalidMotion
from mimaface.protocol.motion import MotionClip
from mimaface.serving.listening import Listening

from .conftest import Backend, wait_for

JAW = BLENDSHAPE_INDEX["jawOpen"]
TAKE = motion_of(*({"jawOpen": 0.1 + 0.02 * index, "angles": (index, 0, 0)} for index in range(30)))


@contextmanager
def listening(backend):
    client, port = backend.client(), free_port()
    reply = client.call("stream.open", {"input": f"livelink://127.0.0.1:{port}"})
    assert reply.fields == {"name": "Live Link Face", "port": port, "where": f"port {port}"}
    yield client, port
    client.call("stream.close")


def heard(client, number: int):
    """The newest sample, once there were so many."""
    found = []
    wait_for(lambda: found.append(client.call("stream.latest")) or found[-1].fields["number"] >= number, "the packets are decoded")
    return found[-1]


def test_the_newest_sample_is_told_relative_to_the_neutral(shared):
    with listening(shared) as (client, port):
        silent = client.call("stream.latest")
        assert (silent.fields["number"], silent.fields["tracking"], silent.parts) == (0, False, (b"",))
        with pytest.raises(InvalidMotion, match="no face is tracked"):
            client.call("stream.neutral")
        send(port, live_link(TAKE, 0))
        first = heard(client, 1)
        send(port, [*live_link(TAKE, 20), b"garbage"])
        newest = heard(client, 2)
        assert np.abs(MotionClip.from_bytes(first.parts[0]).blendshapes).max() < 1e-6, "the first face is neutral"
        clip = MotionClip.from_bytes(newest.parts[0])
        assert clip.blendshapes[0, JAW] == pytest.approx(0.4, abs=1e-4) and clip.meta["neutral"] == "rest"
        assert newest.fields["tracking"] and newest.fields["rate"] > 0 and newest.fields["age"] < 2
        wait_for(lambda: client.call("stream.latest").fields["ignored"] == 1, "garbage is counted")
        assert client.call("stream.latest", {"known": 2}).parts == (b"",), "nothing is sent twice"
        client.call("stream.neutral")
        again = MotionClip.from_bytes(client.call("stream.latest").parts[0])
        assert np.abs(again.blendshapes).max() < 1e-6 and abs(again.head_quat[0, 0]) == pytest.approx(1)


def test_a_take_is_what_was_sent_while_it_was_recorded(shared):
    with listening(shared) as (client, port):
        with pytest.raises(InvalidInput, match="Record"):
            client.call("stream.finish")
        send(port, live_link(TAKE, 0))
        heard(client, 1)
        client.call("stream.record")
        with pytest.raises(InvalidMotion, match="no face came from port"):
            client.call("stream.finish")
        client.call("stream.record")
        for index in range(10, 30):
            send(port, live_link(TAKE, index))
        assert heard(client, 21).fields["recorded"] == 20
        reply = client.call("stream.finish")
        clip = MotionClip.from_bytes(reply.parts[0])
        assert reply.fields["frames"] == len(clip) == 20
        np.testing.assert_allclose(clip.blendshapes[:, JAW], TAKE.blendshapes[10:, JAW] - TAKE.blendshapes[0, JAW], atol=1e-4)
        np.testing.assert_allclose(clip.time, np.arange(20) / 60, atol=1e-3)
        assert client.call("stream.latest").fields["recorded"] == -1


@pytest.mark.parametrize("ending", ["finish", "close", "open", "leave", "stop"])
def test_a_take_is_kept_however_it_ends(tmp_path, shared, ending):
    backend = Backend(tmp_path) if ending == "stop" else shared
    kept = backend.root / "captures"
    before = set(kept.glob("*"))
    client, port = backend.client(), free_port()
    client.call("stream.open", {"input": f"livelink://127.0.0.1:{port}"})
    send(port, live_link(TAKE, 0))
    heard(client, 1)
    client.call("stream.record")
    for index in range(10, 20):
        send(port, live_link(TAKE, index))
    heard(client, 11)
    if ending == "leave":
        client.close()
    elif ending == "stop":
        backend.process.terminate()
    else:
        client.call(f"stream.{ending}", {"input": f"vmc://127.0.0.1:{free_port()}"} if ending == "open" else {})
    wait_for(lambda: set(kept.glob("*.npz")) - before, "the take is kept")
    if backend is not shared:
        backend.close()
    (path,) = set(kept.glob("*.npz")) - before
    clip = MotionClip.load(path)
    assert path.name.startswith("20") and "Live Link Face" in path.name and clip.meta["neutral"] == "rest"
    np.testing.assert_allclose(clip.blendshapes[:, JAW], TAKE.blendshapes[10:20, JAW] - TAKE.blendshapes[0, JAW], atol=1e-4)


def test_a_port_belongs_to_one_and_is_free_when_its_client_has_left(shared):
    with listening(shared) as (_, port):
        other = shared.client()
        with pytest.raises(InvalidInput, match="cannot listen"):
            other.call("stream.open", {"input": f"livelink://127.0.0.1:{port}"})
        other.call("stream.close")
    client = shared.client()
    address = f"vmc://127.0.0.1:{port}"
    client.call("stream.open", {"input": address})
    client.call("stream.open", {"input": address})  # in place of the first
    client.close()

    def is_free() -> bool:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
            try:
                one.bind(("127.0.0.1", port))
            except OSError:
                return False
            return True

    wait_for(is_free, "the stream is closed")


def test_an_app_in_another_mode_is_told_what_to_choose(shared):
    with listening(shared) as (client, port):
        send(port, [b"\x01\x00\x05\x00Actor" + b"\0" * 60])
        wait_for(lambda: client.call("stream.latest").fields["ignored"], "the packet is seen")
        assert "choose Live Link (ARKit)" in client.call("stream.latest").fields["note"]


def test_a_stream_whose_opening_was_cancelled_is_closed(tmp_path):
    tasks = []
    listening = Listening(None, lambda kind, identity, message, work: tasks.append(work()), tmp_path)
    port = free_port()
    listening.handlers["stream.open"](b"one", Message("stream.open", {"input": f"livelink://127.0.0.1:{port}"}, (), 1))
    assert next(tasks[0]) is None and listening.any
    tasks[0].close()  # as the scheduler does
    assert not listening.any
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.bind(("127.0.0.1", port))


def test_what_newer_packets_have_overtaken_is_not_shown(shared):
    with listening(shared) as (client, port):
        send(port, live_link(TAKE, 0))
        heard(client, 1)
        send(port, [*live_link(TAKE, 21), *live_link(TAKE, 20)])
        wait_for(lambda: client.call("stream.latest").fields["packets"] == 3, "both came")
        found = client.call("stream.latest")
        assert MotionClip.from_bytes(found.parts[0]).blendshapes[0, JAW] == pytest.approx(0.42, abs=1e-4)
