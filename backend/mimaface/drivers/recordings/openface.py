"""OpenFace 2 CSV (Baltrušaitis, Zadeh, Lim and Morency 2018): action units, head and gaze of one face per row.

Axes of computer vision: x to the right of the picture, y down, z away from the camera. ``pose_R`` in radians, R = Rx · Ry · Rz,
Rx + looks down, Ry + to the subject's right; ``pose_T`` in millimetres; ``gaze_0`` is the eye at the left of the picture, the
subject's right.
"""

from __future__ import annotations

import numpy as np

from mimaface.drivers.columns import in_radians, number_of
from mimaface.drivers.reading import ReadingSettings
from mimaface.drivers.table import HEADER_WITHIN, Table, decoded, read_table
from mimaface.drivers.timecode import OPTION
from mimaface.protocol.arkit import BLENDSHAPE_INDEX, BLENDSHAPE_NAMES
from mimaface.protocol.arrays import Array
from mimaface.protocol.errors import InvalidMotion
from mimaface.protocol.motion import MotionClip
from mimaface.protocol.texts import shown

from .base import VISION_AXES, Reader, Recorded, stated_times

LARGEST_INTENSITY = 5.0  # largest intensity of an action unit
# action unit → blendshapes and their share; ``*`` is both sides, for units have no sides
ACTION_UNITS: dict[str, dict[str, float]] = {
    "AU01": {"browInnerUp": 1}, "AU02": {"browOuterUp*": 1}, "AU04": {"browDown*": 1}, "AU05": {"eyeWide*": 1}, "AU06": {"cheekSquint*": 1},
    "AU07": {"eyeSquint*": 1}, "AU09": {"noseSneer*": 1}, "AU10": {"mouthUpperUp*": 1}, "AU12": {"mouthSmile*": 1}, "AU14": {"mouthDimple*": 1},
    "AU15": {"mouthFrown*": 1}, "AU17": {"mouthShrugLower": 1}, "AU20": {"mouthStretch*": 1}, "AU23": {"mouthPress*": 1},
    "AU25": {"mouthLowerDown*": 0.5}, "AU26": {"jawOpen": 1}, "AU45": {"eyeBlink*": 1},
}  # fmt: skip


def _recognises(name: str, start: bytes) -> bool:
    head = (decoded(start, whole=False) or "").split("\n", HEADER_WITHIN)[:HEADER_WITHIN]
    return any("pose_Rx" in line and ("AU01_r" in line or "gaze_0_x" in line) for line in head)


def _is_header(cells: list[str]) -> bool:
    return "pose_Rx" in cells


def _read(content: bytes, name: str, settings: ReadingSettings) -> MotionClip:
    table = read_table(content, name, _is_header)
    header = table.header
    values, warnings = _numbers(table, name)
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

    time, notes = np.arange(len(values)) / (settings.timecode_rate or 30), list[str]()
    if "timestamp" in place:
        stated = stated_times(column("timestamp").tolist(), "timestamp (s)", name, settings)
        if stated is None:
            raise InvalidMotion(f"{name}: a timestamp is not a number", "correct or delete its line")
        time, notes = stated
    elif not settings.timecode_rate:
        notes = [f"the file has no column timestamp: 30 frames a second are assumed; {OPTION} changes that"]
    angles, _, large = in_radians(
        np.stack([column(f"pose_R{axis}") for axis in "xyz"], axis=1), np.zeros((len(values), 2, 2)), time, settings.angles
    )
    warnings += [*notes, *large]
    turned = Rotation.from_euler("XYZ", angles).as_matrix()
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
    face = column("success", 1.0) > 0
    return Recorded(time, face, weights if has_units else None, head, position, gaze, warnings).clip(name, "openface")


def _numbers(table: Table, name: str) -> tuple[Array, list[str]]:
    """Returns the rows' numbers (T, columns), NaN in cells without a value, and warnings."""
    width, values, warnings = len(table.header), [], list[str]()
    for line, cells in table.rows:
        if _is_header(cells):
            continue
        if len(cells) < width:
            warnings.append(f"line {line} and what follows is incomplete and was left out: the file may have been cut off")
            break
        try:
            row = [float(cell) for cell in cells[:width]]  # a tenth of the time: a file has 700 columns
        except ValueError:
            row = [_number(cell, title, line, name) for cell, title in zip(cells, table.header)]
        values.append(row)
    if not values:
        raise InvalidMotion(f"{name}: the recording has no frames", "process the video with OpenFace again")
    return np.array(values, float), warnings


def _number(cell: str, title: str, line: int, name: str) -> float:
    """Returns a cell's number, NaN without one. Raises :class:`InvalidMotion` for other text."""
    value = number_of(cell)
    if value is None:
        words = f"column {shown(title, 40)}: {shown(cell, 20)!r} is not a number"
        raise InvalidMotion(f"{name}: line {line}: {words}", "correct or delete the line")
    return value


READER = Reader("OpenFace 2", _recognises, _read)
