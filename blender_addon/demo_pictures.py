"""The demo's contact sheet and video, from the frames that Blender received; runs in the backend's environment.

python blender_addon/demo_pictures.py DEMO_FOLDER
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from mimaface.video_out import contact_sheet, open_sink

COLUMNS, ROWS, WIDTH = 8, 3, 240


def moving_part(images: list[np.ndarray]) -> tuple[int, int, int, int]:
    """left, top, right, bottom of the square around nearly all that changes between pictures (H, W, 3)."""
    height, width = images[0].shape[:2]
    rows, columns = np.nonzero(np.ptp(np.stack(images), axis=0).max(2) > 60)
    if not len(rows):
        return 0, 0, width, height
    (first_row, last_row), (first, last) = np.percentile(rows, (3, 97)), np.percentile(columns, (3, 97))
    side = int(min(1.5 * max(last_row - first_row, last - first), height, width))
    top = int(np.clip((first_row + last_row - side) / 2, 0, height - side))
    left = int(np.clip((first + last - side) / 2, 0, width - side))
    return left, top, left + side, top + side


def main() -> None:
    folder = Path(sys.argv[1])
    result = json.loads((folder / "result.json").read_text())
    chosen = []
    with open_sink(folder / "shot.mp4", result["rate"], overwrite=True) as sink:
        number = 0
        for take in result["takes"]:
            files = sorted(Path(take["folder"]).glob("*.png"))
            wanted = set(np.linspace(0, len(files) - 1, COLUMNS * ROWS).astype(int).tolist())
            for index, path in enumerate(files):
                image = np.asarray(Image.open(path).convert("RGB"))
                sink.write(number, image)
                number += 1
                if index in wanted:
                    chosen.append(image)
    left, top, right, bottom = moving_part(chosen)
    cropped = [image[top:bottom, left:right] for image in chosen]
    Image.fromarray(contact_sheet(cropped, COLUMNS, WIDTH)).save(folder / "sheet.png")
    for take in result["takes"]:
        rate = take["frames"] / take["seconds"]
        print(
            f"take “{take['name']}”: {take['frames']} frames in {take['seconds']:.1f} s, {rate:.1f} frames/s, in {take['folder']}"
        )
    for name in ("shot.blend", "shot.mp4", "sheet.png"):
        print(folder / name)


if __name__ == "__main__":
    main()
