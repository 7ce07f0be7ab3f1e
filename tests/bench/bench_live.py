"""From the hand or a phone's packet to the picture, as Blender asks for it, over real sockets.    python tests/bench/bench_live.py [OUT.json]"""

import math
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from measure import report

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "blender_addon"))
from mimaface.face.head import ASSETS
from mimaface_addon.core.capture import Capture
from mimaface_addon.core.previews import Pose, Previews
from mimaface_addon.protocol.arkit import BLENDSHAPE_INDEX
from mimaface_addon.protocol.client import Client
from mimaface_addon.protocol.motion import MotionClip

HAND = 1 / 60  # seconds between poses of a moving hand: a mouse over a screen of 60 Hz
SECONDS = 6.0  # that it moves
TICK = 0.01  # seconds between looks, as the add-on's timer has it
LOOK = 1 / 120  # seconds between looks for a sample of face capture, as the add-on's timer has it


def pose(portrait: str, at: float, size: int, engine: str) -> Pose:
    """The jaw opens and closes and the head turns a little, once a second."""
    turn = 0.1 * math.sin(2 * math.pi * at)
    shapes = np.zeros((1, len(BLENDSHAPE_INDEX)))
    shapes[0, BLENDSHAPE_INDEX["jawOpen"]] = 0.5 - 0.5 * math.cos(2 * math.pi * at)
    motion = MotionClip.at_rest(np.zeros(1), source="bench").but(
        blendshapes=shapes, head_quat=np.array([[math.cos(turn / 2), 0, math.sin(turn / 2), 0]])
    )
    return Pose(portrait, [motion], size, engine, size, time.monotonic())


def drag(client: Client, shown: Previews, portrait: str, size: int) -> Iterator[tuple[str, float]]:
    """Delays in milliseconds and pictures a second while the hand moves, then until it is generated once it rests."""
    delays: list[float] = []
    shown.show(client, pose(portrait, 0.0, size, "proxy"))
    while shown.take() is None:
        time.sleep(TICK)
    began = moved = time.monotonic()
    while time.monotonic() < began + SECONDS:
        now = time.monotonic()
        if now >= moved + HAND:
            shown.show(client, pose(portrait, now - began, size, "proxy"))
            moved = now
        picture = shown.take()
        if picture is not None:
            delays.append(1000 * picture.delay)
        time.sleep(0.002)
    yield f"projected_{size}_median_ms", float(np.median(delays))
    yield f"projected_{size}_95_ms", float(np.percentile(delays, 95))
    yield f"projected_{size}_pictures_per_s", len(delays) / SECONDS


def packet(jaw: float, index: int) -> bytes:
    """Of Live Link Face, version 6."""
    texts = b"".join(struct.pack(">i", len(text)) + text for text in (b"device", b"phone"))
    weights = np.zeros(61, ">f4")
    weights[BLENDSHAPE_INDEX["jawOpen"]] = jaw
    return b"\x06" + texts + struct.pack(">ifii", index, 0.0, 60, 1) + b"\x3d" + weights.tobytes()


def phone(port: int, ended: threading.Event) -> None:
    """Send sixty faces a second until told to end."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        index = 0
        while not ended.wait(HAND):
            sender.sendto(packet(0.5 - 0.5 * math.cos(2 * math.pi * index / 60), index), ("127.0.0.1", port))
            index += 1


def heard(client: Client, shown: Previews, portrait: str, size: int) -> Iterator[tuple[str, float]]:
    """Milliseconds from a packet's coming to the picture of its face, and pictures a second; Blender's evaluation of the rig is not in it."""
    capture, ended, delays = Capture(), threading.Event(), []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.bind(("127.0.0.1", 0))
        port = one.getsockname()[1]
    reply = client.call("stream.open", {"input": f"livelink://127.0.0.1:{port}"})
    capture.begin(client, reply.fields["name"], reply.fields["where"])
    sender = threading.Thread(target=phone, args=(port, ended), daemon=True)
    sender.start()
    began = looked = time.monotonic()
    while time.monotonic() < began + SECONDS:
        if time.monotonic() >= looked + LOOK:
            looked = time.monotonic()
            clip = capture.look(client)
            if clip is not None:
                shown.show(client, Pose(portrait, [clip], size, "proxy", size, time.monotonic() - capture.delay))
        picture = shown.take()
        if picture is not None:
            delays.append(1000 * picture.delay)
        time.sleep(0.002)
    ended.set()
    sender.join()
    capture.end()
    yield f"captured_{size}_median_ms", float(np.median(delays))
    yield f"captured_{size}_95_ms", float(np.percentile(delays, 95))
    yield f"captured_{size}_pictures_per_s", len(delays) / SECONDS


def rest(client: Client, shown: Previews, portrait: str, size: int) -> float:
    """Seconds from the hand's last movement until the generated picture, median of five."""
    found = []
    for index in range(6):
        shown.show(client, pose(portrait, index / 7, size, "demo"))
        picture = None
        while picture is None or not picture.fine:
            shown.rest()
            picture = shown.take() or picture
            time.sleep(TICK)
        found.append(picture.delay)
    return float(np.median(found[1:]))  # the first one loads the networks


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        root, started = Path(folder), time.monotonic()
        command = [sys.executable, "-m", "mimaface.cli", "serve", "--connection", str(root / "c.json"), "--root", folder]
        process = subprocess.Popen(command)
        while not (root / "c.json").exists():
            time.sleep(0.02)
        client = Client(root / "c.json")
        portrait = client.call("portrait.fit", {}, [(ASSETS / "portrait.png").read_bytes()]).fields["portrait"]
        values = {"portrait_after_s": time.monotonic() - started}
        first, shown = time.monotonic(), Previews()  # one, as in Blender: the server leaves out what is older than what a slot has asked for
        shown.show(client, pose(portrait, 0.3, 384, "proxy"))
        while shown.take() is None:
            time.sleep(TICK)
        values["first_picture_s"] = time.monotonic() - first
        for size in (384, 512):
            values |= dict(drag(client, shown, portrait, size))
        values |= dict(heard(client, shown, portrait, 384))
        values["generated_after_rest_s"] = rest(client, shown, portrait, 384)
        report("live", values)
        client.call("shutdown")
        client.close()
        process.wait(60)


if __name__ == "__main__":
    main()
