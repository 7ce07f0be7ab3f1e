"""Calibration of the released renderer's gaze: an affine map from the tracker's gaze to the four numbers of the authors' network.

The meaning of the four numbers is not published. The map is fitted to a video of a person who looks around.
"""

from __future__ import annotations

import json
from collections.abc import Iterable

import numpy as np

from mimaface.basel.transfer import GazeAdapter
from mimaface.face.track import Tracker
from mimaface.protocol.arrays import Array
from mimaface.protocol.errors import InvalidCheckpoint
from mimaface.protocol.files import writable, write_whole
from mimaface.renderers.released_shot import net_input, net_output
from mimaface.weights.convert import FaceNetworks
from mimaface.weights.library import gaze_file

SIDE = 512  # pixels, side of the released model's input


def calibrate(networks: FaceNetworks, frames: Iterable[tuple[float, Array]], name: str) -> tuple[GazeAdapter, int]:
    """Fit the adapter to (seconds, RGB (H, W, 3) uint8) frames; return it and the number of frames with open eyes.

    Raises :class:`InvalidInput` where the eyes hardly move, :class:`NoFaceFound`.
    """
    tracker, outputs = Tracker(), []
    device = next(networks.reconstruction.parameters()).device
    network = networks.reconstruction.float()
    for seconds, image in frames:
        tracker.add(seconds, image)
        points = tracker.last_points
        numbers = np.full(4, np.nan)
        if points is not None:
            numbers = net_output(network, net_input(image, points[:, :2], SIDE).crop, device)[1]
        outputs.append(numbers)
    *_, motion = tracker.finish(name)
    assert motion is not None
    sure = motion.valid[:, 2]
    return GazeAdapter.fit(motion.gaze[sure], np.stack(outputs)[sure]), int(sure.sum())


def save_calibration(adapter: GazeAdapter, name: str) -> None:
    """Store the calibration for later renders. Raises :class:`NotWritable` and :class:`DiskFull`."""
    path = gaze_file()
    content = {"video": name, "matrix": adapter.matrix.tolist(), "offset": adapter.offset.tolist()}
    with writable(path, "choose another MIMAFACE_HOME"):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, (json.dumps(content, indent=1) + "\n").encode())


def load_calibration() -> GazeAdapter | None:
    """Returns the stored calibration, None without one. Raises :class:`InvalidCheckpoint` for a damaged file."""
    path = gaze_file()
    if not path.exists():
        return None
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        matrix, offset = (np.array(content[field], np.float64) for field in ("matrix", "offset"))
        if matrix.shape != (4, 4) or offset.shape != (4,) or not (np.isfinite(matrix).all() and np.isfinite(offset).all()):
            raise ValueError("not 4 × 4 and 4 numbers")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InvalidCheckpoint(
            f"{path} is damaged ({error})", "delete it, and calibrate again: mimaface models gaze VIDEO"
        ) from error
    return GazeAdapter(matrix, offset, fitted=True)
