"""What Live draws with, in a Blender without a window that has a GPU (5.2 on): a picture between corners, its wipe and a line of text."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "blender_addon"))
import bpy
import numpy as np

import drive

SIZE = 64


def drawn(act) -> np.ndarray:
    """(SIZE, SIZE, 4) uint8, the upper row first, of what is drawn between −1 and 1 on black."""
    import gpu

    target = gpu.types.GPUOffScreen(SIZE, SIZE)
    with target.bind():
        frame = gpu.state.active_framebuffer_get()
        frame.clear(color=(0.0, 0.0, 0.0, 1.0))
        act()
        pixels = frame.read_color(0, 0, SIZE, SIZE, 4, 0, "UBYTE")
    pixels.dimensions = SIZE * SIZE * 4
    found = np.array(pixels, np.uint8).reshape(SIZE, SIZE, 4)[::-1]
    target.free()
    return found


def main() -> dict:
    import gpu
    from mathutils import Vector

    gpu.init()
    bpy.ops.wm.read_factory_settings(use_empty=True)
    drive.enable()
    view, previews = drive.part("ui.live_view"), drive.part("core.previews")
    rows = np.zeros((SIZE, SIZE, 3), np.uint8)
    rows[: SIZE // 2] = (200, 100, 50)  # sRGB, above
    rows[SIZE // 2 :, : SIZE // 2] = (20, 128, 235)  # lower left
    pixels = np.ones((SIZE, SIZE, 4), np.float32)
    pixels[..., :3] = previews.LINEAR[rows[::-1]]
    picture = previews.Picture(pixels, "proxy", "portrait", 1, 0.03)
    corners = [Vector(corner) for corner in ((-1, -1, 0), (1, -1, 0), (1, 1, 0), (-1, 1, 0))]

    def draw() -> None:
        view.draw_between(corners, view.texture_of(picture))

    places = [(16, 16), (16, 48), (48, 16), (48, 48)]
    shown, said = drawn(draw), {"version": bpy.app.version_string}
    said["shown"] = [shown[place][:3].tolist() for place in places]
    bpy.context.window_manager.mimaface_wipe = 0.5
    wiped = drawn(draw)
    said["wiped"] = [wiped[place][:3].tolist() for place in places]
    said["edge"] = int(wiped[4:28, 30:34, :3].max())
    return said


drive.run(main)
