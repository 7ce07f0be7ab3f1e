"""This checkout beside an older one, in turns: how many times faster frames are made and written, as a Markdown table.

python tests/bench/bench_against.py OLD_CHECKOUT [--sizes 512 2048 4096] [--frames 24] [--rounds 3]

Each round runs ``mimaface animate`` on the same shot with the old code and with the new, with this Python, into a folder of PNG files;
the median of the rounds counts. A frame's time is that between the first file and the last; the way to the first, with the start of the
program, is a column of its own. For Linux and macOS.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

NEW = Path(__file__).resolve().parents[2]
ASSETS = NEW / "backend" / "mimaface" / "assets"
RECORDED, RATE = 60, 24  # frames a second of the take, and of what is rendered


def rendered(checkout: Path, portrait: Path, take: Path, engine: str, size: int) -> dict[str, float]:
    """Seconds to the first frame and a frame after it, and gigabytes at most, of ``mimaface animate`` by the code of ``checkout``."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out"
        command = [sys.executable, "-m", "mimaface.cli", "animate", str(portrait), str(take), "-o", str(out)]
        command += ["--engine", engine, "--size", str(size), "--fps", str(RATE)]
        started = time.time()
        with (Path(folder) / "said").open("w+") as said:
            child = subprocess.Popen(command, env=os.environ | {"PYTHONPATH": str(checkout / "backend")}, stdout=said, stderr=said)
            _, code, usage = os.wait4(child.pid, 0)
            child.returncode = code
            said.seek(0)
            if code:
                raise SystemExit(f"{checkout}: {said.read().strip().splitlines()[-1]}")
        written = [path.stat().st_mtime for path in sorted(out.glob("*.png"))]
    frame = (written[-1] - written[0]) / max(len(written) - 1, 1)
    return {"first": written[0] - started, "frame": frame, "memory": usage.ru_maxrss * 1024 / 1e9}


def beginning(folder: Path, frames: int) -> Path:
    """The take that is installed, as long as so many rendered ``frames``."""
    lines = (ASSETS / "take.csv").read_text().splitlines()
    path = folder / f"take{frames}.csv"
    path.write_text("\n".join(lines[: 2 + round((frames - 1) * RECORDED / RATE)]) + "\n")
    return path


def enlarged(size: int, folder: Path) -> Path:
    """The portrait that is installed, ``size`` pixels wide."""
    from PIL import Image

    path = folder / f"{size}.png"
    with Image.open(ASSETS / "portrait.png") as picture:
        picture.convert("RGB").resize((size, size), Image.Resampling.LANCZOS).save(path)
    return path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("old", type=Path, help="the checkout of the older commit")
    parser.add_argument("--sizes", type=int, nargs="+", default=[512, 2048, 4096])
    parser.add_argument("--engines", nargs="+", default=["demo", "proxy"])
    parser.add_argument("--frames", type=int, default=24)
    parser.add_argument("--rounds", type=int, default=3)
    parsed = parser.parse_args()
    print("| engine | size | a frame, before | now | times as fast | first frame, before | now | memory, before | now |")
    print("|---|---|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for engine in parsed.engines:
            for size in parsed.sizes:
                portrait, take = enlarged(size, Path(folder)), beginning(Path(folder), parsed.frames)
                for checkout in (parsed.old, NEW):  # whose kernels are compiled once, by frames that move
                    rendered(checkout, portrait, beginning(Path(folder), 24), engine, 128)
                rounds = [
                    [rendered(checkout, portrait, take, engine, size) for checkout in (parsed.old, NEW)]
                    for _ in range(parsed.rounds)
                ]
                old, new = ({key: statistics.median(pair[k][key] for pair in rounds) for key in rounds[0][0]} for k in (0, 1))
                cells = [f"{1000 * each['frame']:.0f} ms" for each in (old, new)] + [f"{old['frame'] / new['frame']:.2f}"]
                cells += [f"{each['first']:.1f} s" for each in (old, new)] + [f"{each['memory']:.2f} GB" for each in (old, new)]
                print(f"| {engine} | {size}² | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
