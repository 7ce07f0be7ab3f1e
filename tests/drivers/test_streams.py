"""Every stream over a real socket, from senders written after the published formats."""

from __future__ import annotations

import contextlib
import functools
import itertools
import json
import math
import os
import random
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conftest import motion_of
from mimaface.cli import main
from mimaface.drivers.streams import KINDS, Receiver, Recording, Sample, newest_of, open_stream
from mimaface.drivers.streams.base import UnknownPacket
from mimaface.drivers.streams.senders import Senders
from mimaface.protocol.arkit import BLENDSHAPE_INDEX, BLENDSHAPE_NAMES
from mimaface.protocol.errors import InvalidInput, InvalidMotion
from mimaface.protocol.motion import MotionClip
from mimaface.protocol.rotation import matrix_to_head_angles, quaternion_to_matrix

RATE = 60.0


@pytest.fixture(scope="module")
def take() -> MotionClip:
    """Returns 30 frames with every channel different in every frame."""
    frames = [
        {name: 0.01 * ((7 * index + 3 * place) % 90) for place, name in enumerate(BLENDSHAPE_NAMES)}
        | {"angles": (index - 10, 0.5 * index, 3 - 0.3 * index), "gaze": (0.4 * index, 5 - 0.3 * index)}
        for index in range(30)
    ]
    return motion_of(*frames)


def numbers(clip: MotionClip, index: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns weights (52,), head yaw, pitch, roll, and gaze (2, 2) in degrees of one frame."""
    angles = np.degrees(matrix_to_head_angles(quaternion_to_matrix(clip.head_quat[index])))
    return clip.blendshapes[index], angles, np.degrees(clip.gaze[index])


def live_link(clip: MotionClip, index: int, face: bool = True) -> list[bytes]:
    weights, (yaw, pitch, roll), gaze = numbers(clip, index)
    head = struct.pack(">B", 6)
    for text in ("device-1", "Ada's iPhone"):
        head += struct.pack(">i", len(text)) + text.encode()
    head += struct.pack(">ifii", 5000 + index, 0.25, 60, 1)
    if not face:
        return [head]
    angles = np.radians([yaw, pitch, -roll, -gaze[0, 0], -gaze[0, 1], 0, -gaze[1, 0], -gaze[1, 1], 0])
    return [head + struct.pack(">B61f", 61, *weights, *angles)]


def arkit_degrees(clip: MotionClip, index: int) -> tuple[np.ndarray, list[float], list[list[float]]]:
    """Returns weights, head x, y, z and eyes x, y, z in degrees: x + down, y + to the subject's left."""
    weights, (yaw, pitch, roll), gaze = numbers(clip, index)
    return weights, [-pitch, yaw, -roll], [[-look[1], look[0], 0.0] for look in gaze]


def ifacialmocap(clip: MotionClip, index: int, face: bool = True, sign: str = "&") -> list[bytes]:
    weights, head, eyes = arkit_degrees(clip, index)
    parts = ["trackingStatus" + sign + str(int(face))]
    for name, weight in zip(BLENDSHAPE_NAMES, weights):
        short = (
            name.replace("Left", "_L").replace("Right", "_R")
            if name not in ("jawLeft", "jawRight", "mouthLeft", "mouthRight")
            else name
        )
        parts.append(f"{short}{sign}{round(weight * 100)}")

    def joined(values: list[float]) -> str:
        return ",".join(f"{value:.5f}" for value in values)

    parts += [f"=head#{joined(head)},0.01,0.02,-0.35", f"rightEye#{joined(eyes[1])}", f"leftEye#{joined(eyes[0])}"]
    return ["|".join(parts).encode() + b"|"]


def vts(clip: MotionClip, index: int, face: bool = True) -> list[bytes]:
    weights, head, eyes = arkit_degrees(clip, index)
    axes = [dict(zip("xyz", map(float, values))) for values in (head, *eyes)]
    content = {
        "Timestamp": 1_700_000_000_000 + 1000 * index / RATE, "Hotkey": -1, "FaceFound": face, "Rotation": axes[0], "EyeLeft": axes[1],
        "EyeRight": axes[2], "Position": {"x": 1.0, "y": 2.0, "z": -35.0}, "VNyanPos": {"x": 0},
        "BlendShapes": [{"k": name[0].upper() + name[1:], "v": float(weight)} for name, weight in zip(BLENDSHAPE_NAMES, weights)],
    }  # fmt: skip
    return [json.dumps(content).encode()]


def osc(address: str, *values: str | float) -> bytes:
    def padded(text: bytes) -> bytes:
        return text + b"\0" * (4 - len(text) % 4)

    tags = "," + "".join("s" if isinstance(value, str) else "f" for value in values)
    body = b"".join(padded(value.encode()) if isinstance(value, str) else struct.pack(">f", value) for value in values)
    return padded(address.encode()) + padded(tags.encode()) + body


def bundle(*messages: bytes) -> bytes:
    return b"#bundle\0" + struct.pack(">Q", 1) + b"".join(struct.pack(">i", len(message)) + message for message in messages)


def unity(yaw: float, pitch: float, roll: float) -> list[float]:
    """Returns the quaternion x, y, z, w of Ry · Rx · Rz in Unity's left-handed axes, with the avatar facing +z."""
    x, y, z = (math.radians(value) / 2 for value in (-pitch, -yaw, roll))
    turns = [(math.cos(y), 0, math.sin(y), 0), (math.cos(x), math.sin(x), 0, 0), (math.cos(z), 0, 0, math.sin(z))]
    result = np.array([1.0, 0, 0, 0])
    for b in turns:
        a = result
        result = np.array([
            a[0] * b[0] - a[1] * b[1] - a[2] * b[2] - a[3] * b[3], a[0] * b[1] + a[1] * b[0] + a[2] * b[3] - a[3] * b[2],
            a[0] * b[2] - a[1] * b[3] + a[2] * b[0] + a[3] * b[1], a[0] * b[3] + a[1] * b[2] - a[2] * b[1] + a[3] * b[0],
        ])  # fmt: skip
    return [*result[1:], result[0]]


def vmc(clip: MotionClip, index: int, face: bool = True) -> list[bytes]:
    weights, angles, gaze = numbers(clip, index)
    packets = [bundle(osc("/VMC/Ext/OK", 1.0), osc("/VMC/Ext/T", 100 + index / RATE))]
    bones = {"Head": angles, "LeftEye": (*gaze[0], 0.0), "RightEye": (*gaze[1], 0.0), "Hips": (50.0, 0.0, 0.0)}
    packets += [bundle(*(osc("/VMC/Ext/Bone/Pos", name, 0.0, 0.1, 0.0, *unity(*turn)) for name, turn in bones.items()))]
    values = [
        osc("/VMC/Ext/Blend/Val", name[0].upper() + name[1:], float(weight)) for name, weight in zip(BLENDSHAPE_NAMES, weights)
    ]
    return [*packets, bundle(*values[:30]), bundle(*values[30:]), osc("/VMC/Ext/Blend/Apply")]


def openseeface(clip: MotionClip, index: int, face: bool = True) -> list[bytes]:
    weights, (yaw, pitch, roll), gaze = numbers(clip, index)
    at = dict(zip(BLENDSHAPE_NAMES, weights))
    packet = struct.pack("<di2f", 50 + index / RATE, 0, 640, 480)
    packet += struct.pack("<2fBf", 1 - at["eyeBlinkRight"], 1 - at["eyeBlinkLeft"], face, 0.1)
    packet += struct.pack("<4f3f3f", 0, 0, 0, 1, -pitch - 180, yaw, roll + 90, 0, 0, 1)
    packet += struct.pack("<68f136f", *[1.0] * 68, *[0.0] * 136)
    points = np.zeros((70, 3))
    for point, (across, up) in ((67, np.radians(gaze[0])), (66, np.radians(gaze[1]))):
        points[point] = [math.sin(across) * math.cos(up), math.sin(up), math.cos(across) * math.cos(up)]
    features = [0.0] * 14
    features[12] = at["jawOpen"]
    return [packet + struct.pack("<210f", *points.ravel()) + struct.pack("<14f", *features)]


SENDERS: dict[str, Callable[..., list[bytes]]] = {
    "livelink": live_link, "ifacialmocap": ifacialmocap, "vts": vts, "vmc": vmc, "openseeface": openseeface,
}  # fmt: skip


@functools.cache
def sender(number: int = 0) -> socket.socket:
    """Returns the socket of a sender; each sends from its own port."""
    return socket.socket(socket.AF_INET, socket.SOCK_DGRAM)


def send(port: int, packets: list[bytes], number: int = 0) -> None:
    for packet in packets:
        sender(number).sendto(packet, ("127.0.0.1", port))


@contextmanager
def smartphone(packets: Callable[[int], list[bytes]], pause: float) -> Iterator[int]:
    """Yields a free port to which ``packets(0)``, ``packets(1)``, … are sent, ``pause`` seconds apart."""
    port = free_port()
    done = threading.Event()

    def play() -> None:
        for count in itertools.count():
            if done.wait(pause):
                return
            send(port, packets(count))

    thread = threading.Thread(target=play)
    thread.start()
    try:
        yield port
    finally:
        done.set()
        thread.join()


def free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def jaw_packets(folder: Path) -> int:
    """Writes packets of Live Link Face for scripts in Blender, jawOpen 0.1 + 0.02 · index, as ``packets.json``; returns a free
    port for them.
    """
    take = motion_of(*({"jawOpen": 0.1 + 0.02 * index} for index in range(30)))
    (folder / "packets.json").write_text(json.dumps([live_link(take, index)[0].hex() for index in range(30)]))
    return free_port()


def recorded(kind: str, frames: list[list[bytes]]) -> tuple[MotionClip, Receiver]:
    """Returns the recording of the frames' packets, with each frame polled before the next is sent."""
    recording = Recording()
    with Receiver(KINDS[kind], "127.0.0.1", 0) as receiver:
        for packets in frames:
            send(receiver.port, packets)
            for sample in receiver.poll(1.0):
                recording.add(sample)
        for sample in receiver.poll(0.0):
            recording.add(sample)
        return recording.finish(kind), receiver


@pytest.mark.parametrize("kind", SENDERS)
def test_what_is_recorded_is_what_was_sent(kind, take):
    clip, receiver = recorded(kind, [SENDERS[kind](take, index) for index in range(len(take))])
    assert len(clip) == len(take) and receiver.ignored == 0 and clip.valid.all()
    if kind == "openseeface":  # sends lids and mouth only
        for name in ("eyeBlinkLeft", "eyeBlinkRight", "jawOpen"):
            np.testing.assert_allclose(
                clip.blendshapes[:, BLENDSHAPE_INDEX[name]], take.blendshapes[:, BLENDSHAPE_INDEX[name]], atol=1e-4
            )
    else:
        np.testing.assert_allclose(clip.blendshapes, take.blendshapes, atol=1e-4 if kind != "ifacialmocap" else 5e-3)
    for index in range(len(take)):
        np.testing.assert_allclose(numbers(clip, index)[1], numbers(take, index)[1], atol=1e-3)
    np.testing.assert_allclose(clip.gaze, take.gaze, atol=1e-4)
    if kind != "ifacialmocap":  # sends no timestamps
        np.testing.assert_allclose(clip.time, np.arange(len(take)) / RATE, atol=1e-3)
    assert clip.meta["timecode"] == ("00:01:23:20" if kind == "livelink" else ""), "frame 5000 of 60 a second"
    if kind in ("ifacialmocap", "vts"):
        np.testing.assert_allclose(clip.head_pos[3], [0.01, 0.02, -0.35], atol=1e-6)


def test_the_first_version_of_ifacialmocap_is_read(take):
    clip, _ = recorded("ifacialmocap", [ifacialmocap(take, 5, sign="-")])
    np.testing.assert_allclose(clip.blendshapes[0], take.blendshapes[5], atol=5e-3)


@pytest.mark.parametrize("kind", ["livelink", "vts", "openseeface"])
def test_loss_reordering_doubles_and_garbage_change_nothing_else(kind, take):
    chance = random.Random(3)
    order = [index for index in range(len(take)) if index % 5]
    for place in range(0, len(order) - 1, 4):
        order[place], order[place + 1] = order[place + 1], order[place]
    frames = []
    for index in order:
        packet = SENDERS[kind](take, index)[0]
        rubbish = [
            chance.randbytes(chance.randrange(1, 1800)),
            packet[: len(packet) // 2],
            packet[7:],
            b"",
            b"x" * 60_000,
        ]
        frames.append([chance.choice(rubbish), packet, packet, chance.choice(rubbish)])
    clip, receiver = recorded(kind, frames)
    kept = sorted(order)
    assert len(clip) == len(kept) and receiver.ignored >= 2 * len(kept) - 5
    np.testing.assert_allclose(clip.time, (np.array(kept) - kept[0]) / RATE, atol=1e-3)
    jaw = BLENDSHAPE_INDEX["jawOpen"]
    np.testing.assert_allclose(clip.blendshapes[:, jaw], take.blendshapes[kept, jaw], atol=1e-4)


@pytest.mark.parametrize("kind", ["livelink", "ifacialmocap", "vts", "openseeface"])
def test_frames_without_a_face_are_not_valid_and_bridged(kind, take):
    clip, _ = recorded(kind, [SENDERS[kind](take, index, face=index not in (10, 11)) for index in range(len(take))])
    np.testing.assert_array_equal(np.flatnonzero(~clip.valid[:, 0]), [10, 11])
    jaw = clip.blendshapes[:, BLENDSHAPE_INDEX["jawOpen"]]
    assert min(jaw[9], jaw[12]) - 1e-6 <= jaw[10] <= max(jaw[9], jaw[12]) + 1e-6


def test_a_clock_that_is_set_back_goes_on_with_the_take(take):
    frames = [live_link(take, index) for index in range(20)]
    back = [
        packet.replace(struct.pack(">i", 5000 + index), struct.pack(">i", 100 + index)) for index, (packet,) in enumerate(frames)
    ]
    clip, _ = recorded("livelink", [*frames, *([packet] for packet in back)])
    assert len(clip) == 40
    np.testing.assert_allclose(np.diff(clip.time), 1 / RATE, atol=1e-3)


def test_metahuman_mode_is_told_what_to_switch():
    subject = b"Ada's iPhone"
    packet = (
        struct.pack("<HH", 1, len(subject)) + subject + struct.pack("<ifii", 7, 0.0, 60, 1) + struct.pack("<H", 120) + bytes(240)
    )
    with Receiver(KINDS["livelink"], "127.0.0.1", 0) as receiver:
        send(receiver.port, [packet])
        assert receiver.poll(1.0) == []
        assert "choose Live Link (ARKit)" in receiver.note and receiver.ignored == 1


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(sorted(KINDS)), st.binary(max_size=2000), st.integers(0, 29), st.integers(0, 10_000), st.integers(0, 255))
def test_no_bytes_raise_anything_but_unknown_packet(kind, noise, index, place, value):
    decoder = KINDS[kind]()
    packets = SENDERS.get(kind, vts)(motion_of(*[{"jawOpen": 0.3}] * 30), index)
    damaged = bytearray(packets[-1])
    damaged[place % len(damaged)] = value
    for packet in (noise, bytes(damaged), *packets, packets[0][: place % len(packets[0])]):
        try:
            sample = decoder.decode(packet, 1.0)
        except UnknownPacket:
            continue
        if sample is not None and sample.blendshapes is not None:
            assert np.isfinite(sample.blendshapes).all() and sample.blendshapes.shape == (52,)


def test_a_flood_keeps_the_newest_and_costs_a_bounded_number(take):
    with Receiver(KINDS["livelink"], "127.0.0.1", 0) as receiver:
        started = time.monotonic()
        for _ in range(3):
            send(receiver.port, [live_link(take, index % 30)[0] for index in range(600)])
            samples = receiver.poll(1.0)
        assert receiver.packets <= 500 * (1 + time.monotonic() - started) + 1
        assert receiver.packets + receiver.ignored >= 600
        assert samples[-1].seconds == pytest.approx((5000 + 29 + 0.25) / RATE)


def test_a_second_sender_is_left_out_while_the_first_is_heard(take):
    with Receiver(KINDS["livelink"], "127.0.0.1", 0) as receiver:
        send(receiver.port, live_link(take, 0))
        assert len(receiver.poll(1.0)) == 1 and receiver.tracking
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
            other.bind(("127.0.0.2", 0))
            other.sendto(live_link(take, 1)[0], ("127.0.0.1", receiver.port))
            assert receiver.poll(0.2) == [] and receiver.ignored == 1


def test_a_smartphone_is_asked_and_nobody_else_is_answered(take, monkeypatch):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as smartphone:
        smartphone.bind(("127.0.0.1", 0))
        smartphone.settimeout(5)
        monkeypatch.setattr(KINDS["vts"], "port", smartphone.getsockname()[1])
        with Receiver(KINDS["vts"], "127.0.0.1", 0, peer="127.0.0.1") as receiver:
            receiver.poll(0.0)
            request, asking = smartphone.recvfrom(2000)
            asked = json.loads(request)
            assert asked["messageType"] == "iOSTrackingDataRequest" and asked["ports"] == [receiver.port] == [asking[1]]
            smartphone.sendto(vts(take, 3)[0], ("127.0.0.1", receiver.port))
            (sample,) = receiver.poll(1.0)
            np.testing.assert_allclose(sample.blendshapes, take.blendshapes[3], atol=1e-6)
    with Receiver(KINDS["vts"], "127.0.0.1", 0) as silent, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        stranger.bind(("127.0.0.1", 0))
        stranger.setblocking(False)
        stranger.sendto(vts(take, 3)[0], ("127.0.0.1", silent.port))
        assert len(silent.poll(1.0)) == 1
        with pytest.raises(BlockingIOError):
            stranger.recvfrom(100)


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("http://x", "not the address of a stream"), ("livelink", "not the address"),
        ("livelink://:70000", "not the address"), ("vts:", "the address of the smartphone is missing"), ("livelink://203.0.113.7:0", "cannot listen"),
    ],
)  # fmt: skip
def test_addresses_that_cannot_be_are_a_sentence(address, words):
    with pytest.raises(InvalidInput, match=words):
        open_stream(address)


def test_an_empty_take_is_no_take():
    with pytest.raises(InvalidMotion, match="nothing was recorded"):
        Recording().finish("vmc")


def test_record_writes_a_motion_file_that_animate_reads(tmp_path, take, capsys):
    output = tmp_path / "take.motion.npz"
    with smartphone(lambda count: live_link(take, count) if count < len(take) else [], 0.01) as port:
        assert main(["record", "--input", f"livelink://127.0.0.1:{port}", "-o", str(output), "--seconds", "1"]) == 0
    clip = MotionClip.load(output)
    assert 10 <= len(clip) <= 30 and "frames" in capsys.readouterr().out
    first = round(float(np.argmin(np.abs(take.blendshapes - clip.blendshapes[0]).max(axis=1))))
    index = first + np.round(clip.time * RATE).astype(int)
    np.testing.assert_allclose(clip.blendshapes, take.blendshapes[index], atol=1e-4)
    assert main(["record", "--input", f"livelink://127.0.0.1:{port}", "-o", str(output), "--seconds", "0.1"]) == 2
    assert main(["record", "--input", f"livelink://127.0.0.1:{port}", "-o", str(tmp_path / "b.npz"), "--seconds", "0.1"]) == 2
    assert "no face came from port" in capsys.readouterr().err


@pytest.mark.skipif(not hasattr(os, "login_tty"), reason="terminals cannot be closed here")
@pytest.mark.parametrize("ending", ["asked to end", "terminal closed"])
def test_a_take_is_kept_however_its_program_is_ended(tmp_path, take, ending):
    output, (master, slave) = tmp_path / "take.motion.npz", os.openpty()
    with smartphone(lambda count: live_link(take, count % len(take)), 0.02) as port:
        command = [sys.executable, "-m", "mimaface.cli", "record", "--input", f"livelink://127.0.0.1:{port}", "-o", str(output)]
        process = subprocess.Popen(command, preexec_fn=lambda: os.login_tty(slave))
        os.close(slave)
        said = b""
        while b" 5 frames" not in said and b"tracking" not in said:
            said += os.read(master, 4096)
        if ending == "asked to end":
            process.send_signal(signal.SIGTERM)
        else:
            os.close(master)
        try:
            code = process.wait(30)
        finally:
            process.kill()
    if ending == "asked to end":
        os.close(master)
        assert code == 0
    assert len(MotionClip.load(output)) >= 1


@pytest.fixture
def six() -> None:
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as made:
            made.bind(("::1", 0))
    except OSError:
        pytest.skip("this machine has no IPv6")


@pytest.mark.parametrize("place", ["", "[::1]"])
def test_senders_by_ipv6_are_heard(take, six, place):
    with open_stream(f"livelink://{place}:{free_port()}") as receiver, socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as six_sender:
        six_sender.sendto(live_link(take, 3)[0], ("::1", receiver.port))
        (sample,) = receiver.poll(1.0)
        np.testing.assert_allclose(sample.blendshapes, take.blendshapes[3], atol=1e-6)
        send(receiver.port, live_link(take, 4))
        assert receiver.poll(0.1) == [] and receiver.ignored == (not place), "where both are heard, by IPv4 it is another sender"


def test_a_smartphone_with_an_ipv6_address_is_asked(take, six, monkeypatch):
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as smartphone:
        smartphone.bind(("::1", 0))
        smartphone.settimeout(5)
        monkeypatch.setattr(KINDS["vts"], "port", smartphone.getsockname()[1])
        with open_stream("vts://[::1]") as receiver:
            receiver.poll(0.0)
            assert json.loads(smartphone.recvfrom(2000)[0])["ports"] == [receiver.port]
            smartphone.sendto(vts(take, 3)[0], ("::1", receiver.port))
            assert len(receiver.poll(1.0)) == 1 and receiver.tracking


def test_two_smartphones_behind_one_address_do_not_mix(take):
    others = [packet.replace(b"device-1", b"device-2") for index in range(30) for packet in live_link(take, index)]
    with Receiver(KINDS["livelink"], "127.0.0.1", 0) as receiver:
        send(receiver.port, [packet for index in range(10) for packet in (live_link(take, index)[0], others[index + 10])])
        assert [sample.device for sample in receiver.poll(1.0)] == ["device-1"] * 10 and receiver.ignored == 10


@pytest.mark.parametrize("kind", SENDERS)
def test_two_senders_of_one_address_do_not_mix(kind, take):
    """As two programs of one computer, or one of them twice; the first is heard until it is silent or the other is chosen."""
    heard, one, other, jaw = Senders(KINDS[kind]), ("127.0.0.1", 5001), ("127.0.0.1", 5002), BLENDSHAPE_INDEX["jawOpen"]

    def frames(place: tuple[str, int], indices: Iterable[int], start: float) -> list[Sample]:
        found = []
        for count, index in enumerate(indices):
            for packet in SENDERS[kind](take, index):
                now = start + count / RATE
                sample, is_heard = heard.decode(packet, place, now) if heard.expects(place, now) else (None, False)
                found += [sample] if is_heard and sample is not None else []
        return found

    first = frames(one, (0, 1), 0.0)  # before the other is there
    mixed = [(frames(one, [index], 0.1 + index / RATE), frames(other, [index + 10], 0.1 + index / RATE)) for index in range(10)]
    assert len(first) == 2 and [len(a) for a, _ in mixed] == [1] * 10 and not any(b for _, b in mixed)
    for index, (found, _) in enumerate(mixed):
        assert found[0].blendshapes[jaw] == pytest.approx(take.blendshapes[index, jaw], abs=5e-3)
    names = heard.names(0.3)
    assert len(names) == 2 and heard.choose(names[1]) and not heard.choose("nobody")
    assert frames(other, (20, 21), 0.3) and not frames(one, (20, 21), 0.3) and heard.names(0.3) == names[::-1]
    assert frames(one, [22], 1.2), "the chosen one is silent"
    assert frames(one, [23], 1.3) and len(heard.names(1.3)) == 1
    assert frames(other, [24], 1.31) and not frames(one, [25], 1.32), "and heard again when it sends"


def test_a_sender_that_changes_its_port_with_every_packet_is_heard(take):
    heard = Senders(KINDS["livelink"])
    for index in range(200):
        place, now = ("127.0.0.1", 5000 + index), index / RATE
        assert heard.expects(place, now)
        assert heard.decode(live_link(take, index % 30)[0], place, now)[1]
    assert heard.names(now) == ["Ada's iPhone"]
    assert len(heard._decoders) < 40, "and of its earlier ports nothing is kept"


def test_a_flood_from_many_ports_costs_little_and_changes_nothing(take):
    heard, mine = Senders(KINDS["livelink"]), ("10.0.0.1", 1)
    for now in (0.0, 0.1):
        assert heard.expects(mine, now) and heard.decode(live_link(take, 0)[0], mine, now)[1]
    read = 0
    for port in range(5000):
        if heard.expects(("10.0.0.2", port), 0.2):
            read += 1
            with contextlib.suppress(UnknownPacket):
                assert not heard.decode(live_link(take, 1)[0] if port % 2 else b"garbage", ("10.0.0.2", port), 0.2)[1]
    assert read < 64 and heard.expects(mine, 0.3) and heard.names(0.3)[0] == "Ada's iPhone (10.0.0.1:1)" and len(heard.names(0.3)) == 8


@pytest.mark.parametrize(("rate", "first"), [(30, 2510), (30, 5020), (24, 5020), (60, 900_000)])
def test_a_clock_that_is_set_to_another_rate_or_time_goes_on_with_the_take(take, rate, first):
    def packet(index: int) -> bytes:
        now = (first + index - 20, 0.25, rate, 1) if index >= 20 else (5000 + index, 0.25, 60, 1)
        return live_link(take, index)[0].replace(struct.pack(">ifii", 5000 + index, 0.25, 60, 1), struct.pack(">ifii", *now))

    clip, _ = recorded("livelink", [[packet(index)] for index in range(30)])
    steps = np.diff(clip.time)
    np.testing.assert_allclose(steps[:19], 1 / 60, atol=1e-3)
    assert 0 < steps[19] < 0.05
    np.testing.assert_allclose(steps[20:], 1 / rate, atol=1e-3)
    np.testing.assert_allclose(clip.blendshapes, take.blendshapes, atol=1e-4)


def test_a_pause_of_the_sender_is_as_long_in_the_take():
    recording = Recording()
    for seconds, arrived in ((0.0, 10.0), (1.0, 11.0), (9.0, 19.0), (0.1, 21.0)):  # the last after the app was started again
        recording.add(Sample(seconds, np.zeros(52, np.float32), arrived=arrived))
    np.testing.assert_allclose(recording.finish("pause").time, [0, 1, 9, 11])


def test_an_overtaken_packet_is_recorded_in_its_place_and_not_shown():
    def sample(seconds: float, arrived: float) -> Sample:
        return Sample(seconds, np.zeros(52, np.float32), arrived=arrived)

    newest = sample(5.0, 1.0)
    assert newest_of([sample(4.98, 1.001), Sample(5.1)], newest) is newest
    for later in (sample(5.02, 1.001), sample(5.0, 1.001), sample(3.0, 1.001), sample(4.98, 1.2)):
        assert newest_of([later], newest) is later, "also of a clock that was set back"


def test_another_avatar_of_vmc_takes_the_place_of_the_one_before(take):
    decoder, plain = KINDS["vmc"](), bundle(osc("/VMC/Ext/Blend/Val", "Blink", 1.0), osc("/VMC/Ext/Blend/Apply"))
    (sample,) = filter(None, [decoder.decode(packet, 0.0) for packet in vmc(take, 9)])
    assert sample.head_quat is not None and sample.gaze is not None
    kept = decoder.decode(plain, 1.0)
    np.testing.assert_allclose(kept.blendshapes, take.blendshapes[9], atol=1e-6, err_msg="what a lost packet held stays for a moment")
    other = decoder.decode(plain, 3.0)
    assert other.blendshapes[BLENDSHAPE_INDEX["eyeBlinkLeft"]] == 1 and np.count_nonzero(other.blendshapes) == 2
    assert other.head_quat is None and other.gaze is None


def jaw_of(kind: str, *packets: bytes, arrived: float = 0.0) -> float | None:
    """Returns the jaw of the last sample that the packets complete; None without a face."""
    decoder, found = KINDS[kind](), None
    for packet in packets:
        found = decoder.decode(packet, arrived) or found
    return None if found is None or found.blendshapes is None else round(float(found.blendshapes[BLENDSHAPE_INDEX["jawOpen"]]), 3)


OPEN = motion_of({"jawOpen": 0.4}, {"jawOpen": 0.7})
VALUE, APPLY = "/VMC/Ext/Blend/Val", osc("/VMC/Ext/Blend/Apply")


def other_vts(**changes: object) -> bytes:
    content = json.loads(vts(OPEN, 0)[0]) | changes
    return json.dumps({name: value for name, value in content.items() if value is not ...}).encode()


@pytest.mark.parametrize(
    ("kind", "packets"),
    [
        ("livelink", [live_link(OPEN, 0)[0].replace(b"\0\0\0\x0cAda's iPhone", struct.pack(">i", 14) + "Zoë 測試📱".encode()[:14])]),
        ("livelink", [live_link(OPEN, 0)[0].replace(b"Ada's", "Zo\xeb's".encode("latin1"))]),
        ("livelink", [b"\x05" + live_link(OPEN, 0)[0][1:]]),
        ("ifacialmocap", [b"faceMotion3d|" + ifacialmocap(OPEN, 0)[0] + b"\r\n"]),
        ("ifacialmocap", [ifacialmocap(OPEN, 0)[0].replace(b"&", b" & ") + "名前&3|".encode()]),
        ("vts", [other_vts(EyeLeft=None)]), ("vts", [other_vts(EyeRight=..., Position=...)]), ("vts", [other_vts(Timestamp=...)]),
        ("meowface", [other_vts(EyeLeft=..., EyeRight=..., Position=None)]), ("vts", [b"\xef\xbb\xbf" + other_vts()]),
        ("vmc", [bundle(bundle(osc(VALUE, "JawOpen", 0.4), bundle(APPLY)))]),
        ("vmc", [osc(VALUE, "JawOpen", 0.4), b"/VMC/Ext/Blend/Apply\0\0\0\0"]),
        ("vmc", [bundle(osc(VALUE, "JawOpen", 0.4), osc(VALUE, "EyeBlinkLeft", math.nan), APPLY)]),
        ("vmc", [bundle(osc(VALUE, "JawOpen", 0.4), osc(VALUE, "EyeBlinkLeft", 1e9), osc("/VMC/Ext/Bone/Pos", "Head", 0.0), APPLY)]),
        ("vmc", [bundle(osc(VALUE, "JawOpen", 0.4), osc("/VMC/Ext/Bone/Pos", "Head", *[0.0] * 7), APPLY)]),
        ("vmc", [bundle(osc(VALUE, "JawOpen", 0.4), osc("/VMC/Ext/Root/Pos", "root"), osc(VALUE, "笑顔", 1.0), APPLY)]),
        ("openseeface", [openseeface(OPEN, 0, face=False)[0] + openseeface(OPEN, 0)[0]]),
    ],
)  # fmt: skip
def test_other_layouts_of_real_senders_are_read(kind, packets):
    assert jaw_of(kind, *packets) == 0.4


def test_whole_numbers_and_doubles_of_vmc_are_weights():
    whole = osc(VALUE, "JawOpen", 0.0).replace(b",sf", b",si")[:-4] + struct.pack(">i", 1)
    double = osc(VALUE, "JawOpen", 0.0).replace(b",sf", b",sd")[:-4] + struct.pack(">d", 0.25)
    assert [jaw_of("vmc", message, APPLY) for message in (whole, double)] == [1.0, 0.25]


def test_a_face_that_is_not_found_is_none_in_any_spelling():
    assert jaw_of("vts", other_vts(FaceFound=0)) is None and jaw_of("vts", other_vts(FaceFound=False, BlendShapes=[])) is None


def test_version_3_of_ifacialmocap_is_told_what_to_choose():
    with pytest.raises(UnknownPacket, match="version 2"):
        KINDS["ifacialmocap"]().decode(b"FMV3" + bytes(60), 0.0)


def test_of_several_faces_of_openseeface_the_first_is_read_until_it_is_lost():
    def packet(first: bool, second: bool) -> bytes:
        other = openseeface(OPEN, 1, face=second)[0]
        return openseeface(OPEN, 0, face=first)[0] + other[:8] + struct.pack("<i", 1) + other[12:]

    decoder, found = KINDS["openseeface"](), []
    faces = ((0.0, True, True), (0.1, False, True), (0.5, True, True), (0.6, False, True), (1.1, False, True), (1.2, True, True))
    for seconds, first, second in faces:
        sample = decoder.decode(packet(first, second), seconds)
        found.append(None if sample.blendshapes is None else round(float(sample.blendshapes[BLENDSHAPE_INDEX["jawOpen"]]), 3))
    assert found == [0.4, None, 0.4, None, 0.7, 0.7]
