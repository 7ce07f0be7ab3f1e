"""The watermark of shots by Projected: how faint it is, what it costs, and after what it is still read.

Seven portraits of 400 to 512 pixels: photographs in colour and grey, one lying, one of two people, and a drawing; ten frames each.
A shot counts as read if its message comes back with its check right. Bits are those of the sum of its frames, at the size that is known here.

python tests/bench/bench_marking.py [OUTPUT.json]
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from measure import median_ms, report

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from conftest import CASES, COLLINS, HOPPER, motion_of
from marking.degraded import Array, cut, filmed, halved
from mimaface.animation import animate
from mimaface.face.portrait import Portrait
from mimaface.marking.marker import Marker
from mimaface.marking.watermark import Watermark, bits_of, decoded_bits, folded, message_of, patterns, read_watermark
from mimaface.pictures.writing import encode_png
from mimaface.protocol.settings import RenderSettings
from mimaface.reprojection.crops import face_box

PORTRAITS = (COLLINS, HOPPER, *(CASES / name for name in ("grey.jpg", "lying.jpg", "two_near_far.jpg", "wide_gamut_a.jpg", "cartoon.png")))
SETTINGS = RenderSettings(size=512)
WAYS: dict[str, Callable[[list[Array]], list[Array]]] = {
    "as it is": lambda frames: frames,
    "H.264 at crf 28": filmed,
    "half the size": lambda frames: [halved(frame) for frame in frames],
    "a tenth cut off": lambda frames: [cut(frame) for frame in frames],
    "H.264 at crf 28, cut, half": lambda frames: [halved(cut(frame)) for frame in filmed(frames)],
    "half, H.264 at crf 28": lambda frames: filmed([halved(frame) for frame in frames]),
}


def decibels(frame: Array, marked: Array) -> float:
    return float(10 * np.log10(255**2 / np.mean((marked.astype(float) - frame) ** 2)))


def share_of_bits(frames: list[Array], way: str, message: int) -> float:
    """The share of the message's 32 bits that come back right; half of them would by chance."""
    size = 0.5 if "half" in way else 1.0
    bits, _ = decoded_bits(np.sum([folded(frame, size) for frame in frames], axis=0), np.conj(np.fft.fft2(patterns())))
    return float((bits == bits_of(message)).mean())


def main() -> None:
    motion = motion_of(*[{"angles": (2.0 * i, -1.0 * i, 0), "jawOpen": 0.06 * i, "mouthSmileLeft": 0.05 * i} for i in range(1, 11)])
    read, bits, unmarked, faint = dict.fromkeys(WAYS, 0), dict.fromkeys(WAYS, 0.0), 0, []
    for path in PORTRAITS:
        portrait = Portrait.open(path)
        box = face_box(portrait, SETTINGS.size, SETTINGS.framing)
        frames = [np.ascontiguousarray(frame.image[..., :3]) for frame in animate(portrait, motion, SETTINGS)]
        watermark = Watermark.of(portrait.sha256, box)
        marked = [watermark.mark(frame) for frame in frames]
        faint += [decibels(*pair) for pair in zip(frames, marked)]
        unmarked += read_watermark(frames) is not None
        for way, change in WAYS.items():
            changed, message = change(marked), message_of(portrait.sha256)
            found = read_watermark(changed)
            read[way] += found is not None and found.message == message
            bits[way] += 100 * share_of_bits(changed, way, message) / len(PORTRAITS)
    with tempfile.TemporaryDirectory() as home:
        marker, content = Marker(portrait.sha256, SETTINGS, Path(home)), encode_png(marked[-1])
        signing = median_ms(lambda: marker.png(content))
    begin = time.process_time()
    for _ in range(20):
        watermark.mark(frames[-1])
    figures: dict[str, float | int | str] = {f"shots read: {way}": count for way, count in read.items()}
    figures |= {f"bits right, %: {way}": share for way, share in bits.items()}
    report("marking", {
        "shots": len(PORTRAITS), **figures, "shots read: unmarked": unmarked, "least PSNR of a frame, dB": min(faint),
        "marking, CPU ms a picture": (time.process_time() - begin) / 20 * 1000, "signing, ms a picture": signing,
    })  # fmt: skip


if __name__ == "__main__":
    main()
