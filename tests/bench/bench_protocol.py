"""Frames per second over the encrypted socket, and of a whole job.    python tests/bench/bench_protocol.py [OUT.json]"""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from measure import median_ms, report

from mimaface.drivers import open_motion
from mimaface.face.head import ASSETS
from mimaface.protocol.client import Client
from mimaface.protocol.codec import Codec, Message
from mimaface.protocol.motion import MotionClip


def drain(client: Client, job: str, frames: int) -> float:
    """Seconds until all frames of a finished job have come."""
    started = time.perf_counter()
    client.call("job.attach", {"job": job, "from_frame": 0, "credit": 8})
    received = 0
    while received < frames:
        for event in client.events():
            if event.kind == "frame":
                received += 1
                client.grant(job, 1)
        time.sleep(0.001)
    return time.perf_counter() - started


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        command = [sys.executable, "-m", "mimaface.cli", "serve", "--connection", str(root / "c.json"), "--root", folder]
        process = subprocess.Popen(command)
        while not (root / "c.json").exists():
            time.sleep(0.02)
        client = Client(root / "c.json")
        portrait = client.call("portrait.fit", {}, [(ASSETS / "portrait.png").read_bytes()]).fields["portrait"]
        motion = open_motion(ASSETS / "take.csv").resampled(np.arange(72) / 24)
        started = time.perf_counter()
        fields = {"portrait": portrait, "settings": {"engine": "proxy"}}
        job = client.call("job.submit", fields, [motion.to_bytes()]).fields["job"]
        drain(client, job, 72)
        made = time.perf_counter() - started
        again = sorted(drain(client, job, 72) for _ in range(5))[2]
        size = sum(path.stat().st_size for path in (root / "jobs" / job).glob("*.png"))
        still = MotionClip.at_rest(np.zeros(1)).to_bytes()
        request = {"portrait": portrait, "slot": "a", "generation": 1, "settings": {"engine": "proxy"}}
        preview = median_ms(lambda: client.call("preview", request, [still]), 20)
        message = Message("frame", {"job": job, "index": 1, "frames": 72, "sha256": "0" * 64}, (bytes(300_000),))
        report(
            "protocol",
            {
                "picture": "512 x 512 PNG",
                "job_frames_per_s": 72 / made,
                "delivery_frames_per_s": 72 / again,
                "delivery_mb_per_s": size / 1e6 / again,
                "preview_round_trip_ms": preview,
                "encode_and_decode_ms": median_ms(lambda: Codec.decode(Codec.encode(message)), 200),
            },
        )
        client.call("shutdown")
        client.close()
        process.wait(10)


if __name__ == "__main__":
    main()
