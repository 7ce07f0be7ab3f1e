"""The demo's contact sheet and video, from the frames that Blender received; runs in the backend's environment.

python blender_addon/demo_pictures.py DEMO_FOLDER
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from mimaface.output.sinks import contact_sheet, open_sink

COLUMNS, WIDTH = 8, 240
COMPARED = ("projected", "generated")  # takes of the same motion, shown above each other


def moving_part(images: list[np.ndarray]) -> tuple[int, int, int, int]:
    """left, top, right, bottom of the square around nearly all that changes between pictures (H, W, 3)."""
    height, width = images[0].shape[:2]
    rows, columns = np.nonzero(np.ptp(np.stack(images), axis=0).max(2) > 60)
    if not len(rows):
        return 0, 0, width, height
    (first_row, last_row), (first, last) = np.percentile(rows, (10, 90)), np.percentile(columns, (10, 90))
    side = int(min(1.5 * max(last_row - first_row, last - first), height, width))
    top = int(np.clip((first_row + last_row - side) / 2, 0, height - side))
    left = int(np.clip((first + last - side) / 2, 0, width - side))
    return left, top, left + side, top + side


def frames_of(take: dict[str, Any]) -> list[Path]:
    return sorted(Path(take["folder"]).glob("*.png"))


def chosen(take: dict[str, Any], count: int) -> list[np.ndarray]:
    """``count`` frames (H, W, 3), evenly from first to last."""
    files = frames_of(take)
    return [np.asarray(Image.open(files[i]).convert("RGB")) for i in np.linspace(0, len(files) - 1, count).astype(int)]


def make_sheet(takes: dict[str, dict[str, Any]]) -> np.ndarray:
    """Projected above generated, twice eight moments of the same shot; then eight of the mocap take."""
    upper, lower = (chosen(takes[name], 2 * COLUMNS) for name in COMPARED)
    rows = [*upper[:COLUMNS], *lower[:COLUMNS], *upper[COLUMNS:], *lower[COLUMNS:], *chosen(takes["mocap"], COLUMNS)]
    left, top, right, bottom = moving_part(upper)
    return contact_sheet([image[top:bottom, left:right] for image in rows], COLUMNS, WIDTH)


def main() -> None:
    folder = Path(sys.argv[1])
    result = json.loads((folder / "result.json").read_text())
    takes = {take["name"]: take for take in result["takes"]}
    with open_sink(folder / "shot.mp4", result["rate"], overwrite=True) as sink:
        finals = [path for take in takes.values() for path in frames_of(take)]
        for number, path in enumerate(finals):
            sink.write(number, np.asarray(Image.open(path).convert("RGB")))
    Image.fromarray(make_sheet(takes)).save(folder / "sheet.png")
    for take in result["takes"]:
        rate = take["frames"] / take["seconds"]
        print(
            f"take “{take['name']}”: {take['frames']} frames in {take['seconds']:.1f} s, {rate:.1f} frames/s, in {take['folder']}"
        )
    for name in ("shot.blend", "shot.mp4", "sheet.png"):
        print(folder / name)


if __name__ == "__main__":
    main()
