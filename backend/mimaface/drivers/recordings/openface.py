"""OpenFace 2 CSV (Baltrušaitis, Zadeh, Lim and Morency 2018): action units, head and gaze of one face per row.

Axes of computer vision: x to the right of the picture, y down, z away from the camera. ``pose_R`` in radians, R = Rx · Ry · Rz,
Rx + looks down, Ry + to the subject's right; ``pose_T`` in millimetres; ``gaze_0`` is the eye at the left of the picture, the
subject's right.
"""

from __future__ import annotations

import csv
import io
from typing import Any

import numpy as np

from mimaface.drivers.reading import ReadingSettings
from mimaface.drivers.table import decoded
from mimaface.drivers.timecode import OPTION
from mimaface.protocol.arkit import BLENDSHAPE_INDEX, BLENDSHAPE_NAMES
from mimaface.protocol.arrays import Array
from mimaface.protocol.errors import InvalidMotion
from mimaface.protocol.motion import MotionClip

from .base import VISION_AXES, Reader, Recorded

LARGEST_INTENSITY = 5.0  # largest intensity of an action unit
# action unit → blendshapes and their share; ``*`` is both sides, for units have no sides
ACTION_UNITS: dict[str, dict[str, float]] = {
    "AU01": {"browInnerUp": 1}, "AU02": {"browOuterUp*": 1}, "AU04": {"browDown*": 1}, "AU05": {"eyeWide*": 1}, "AU06": {"cheekSquint*": 1},
    "AU07": {"eyeSquint*": 1}, "AU09": {"noseSneer*": 1}, "AU10": {"mouthUpperUp*": 1}, "AU12": {"mouthSmile*": 1}, "AU14": {"mouthDimple*": 1},
    "AU15": {"mouthFrown*": 1}, "AU17": {"mouthShrugLower": 1}, "AU20": {"mouthStretch*": 1}, "AU23": {"mouthPress*": 1},
    "AU25": {"mouthLowerDown*": 0.5}, "AU26": {"jawOpen": 1}, "AU45": {"eyeBlink*": 1},
}  # fmt: skip


def _recognises(name: str, start: bytes) -> bool:
    head = (decoded(start, whole=False) or "").partition("\n")[0]
    return "pose_Rx" in head and ("AU01_r" in head or "gaze_0_x" in head)


def _read(content: bytes, name: str, settings: ReadingSettings) -> MotionClip:
    text = decoded(content)
    if text is None:
        raise InvalidMotion(f"{name}: not a text file", "choose the .csv that OpenFace wrote")
    rows = csv.reader(io.StringIO(text))
    header = [title.strip() for title in next(rows)]
    values, warnings = _numbers(rows, header, name)
    place = {title: index for index, title in enumerate(header)}
    missing = [title for title in ("pose_Rx", "pose_Ry", "pose_Rz") if title not in place]
    if missing:
        raise InvalidMotion(f"{name}: line 1: column {missing[0]} is missing", "let OpenFace write the pose, too")

    def column(title: str, otherwise: float = 0.0) -> Array:
        return values[:, place[title]] if title in place else np.full(len(values), otherwise)

    faces = column("face_id")
    if len(set(faces)) > 1:
        taken = max(dict.fromkeys(faces), key=lambda face: column("success", 1.0)[faces == face].sum())
        warnings.append(f"several faces are in the file: that seen most often was taken, number {taken:g}")
        values = values[faces == taken]
    from scipy.spatial.transform import Rotation  # 0.3 s: only when one is read

    turned = Rotation.from_euler("XYZ", np.stack([column(f"pose_R{axis}") for axis in "xyz"], axis=1)).as_matrix()
    head = VISION_AXES @ turned @ VISION_AXES
    position = np.stack([column(f"pose_T{axis}", np.nan) for axis in "xyz"], axis=1) / 1000 @ VISION_AXES
    weights = np.zeros((len(values), len(BLENDSHAPE_NAMES)))
    for unit, shares in ACTION_UNITS.items():
        for shape, share in shares.items():
            for side in ("Left", "Right") if shape.endswith("*") else ("",):
                weights[:, BLENDSHAPE_INDEX[shape.rstrip("*") + side]] += share * column(f"{unit}_r") / LARGEST_INTENSITY
    has_units = any(f"{unit}_r" in place for unit in ACTION_UNITS)
    if not has_units:
        warnings.append("the file has no action units (AU01_r …): head and gaze only")
    gaze = None
    if "gaze_0_x" in place and "gaze_1_x" in place:
        sight = np.stack([np.stack([column(f"gaze_{eye}_{axis}") for axis in "xyz"], axis=1) for eye in (1, 0)], axis=1) @ VISION_AXES
        x, y, z = np.moveaxis(np.einsum("tij,tei->tej", head, sight), 2, 0)
        gaze = np.stack([np.arctan2(x, z), np.arctan2(y, np.hypot(x, z))], axis=2)
    time = column("timestamp") if "timestamp" in place else np.arange(len(values)) / (settings.timecode_rate or 30)
    if "timestamp" not in place and not settings.timecode_rate:
        warnings.append(f"the file has no column timestamp: 30 frames a second are assumed; {OPTION} changes that")
    face = column("success", 1.0) > 0
    return Recorded(time, face, weights if has_units else None, head, position, gaze, warnings).clip(name, "openface")


def _numbers(rows: Any, header: list[str], name: str) -> tuple[Array, list[str]]:
    """Returns the rows' numbers (T, columns), and warnings."""
    values, warnings = [], list[str]()
    for cells in rows:
        if not cells:
            continue
        if len(cells) < len(header):
            warnings.append(f"line {rows.line_num} and what follows is incomplete and was left out: the file may have been cut off")
            break
        try:
            values.append([float(cell) for cell in cells[: len(header)]])
        except ValueError as error:
            raise InvalidMotion(f"{name}: line {rows.line_num}: {error}", "correct or delete the line") from error
    if not values:
        raise InvalidMotion(f"{name}: the recording has no frames", "process the video with OpenFace again")
    return np.array(values), warnings


READER = Reader("OpenFace 2", _recognises, _read)
