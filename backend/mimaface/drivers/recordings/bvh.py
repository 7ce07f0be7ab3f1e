"""Head and neck rotation from Biovision hierarchies (.bvh): degrees, in each joint's channel order and the figure's own axes."""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np

from mimaface.drivers.reading import ReadingSettings
from mimaface.drivers.table import decoded
from mimaface.protocol.arrays import Array
from mimaface.protocol.errors import InvalidMotion
from mimaface.protocol.motion import MotionClip
from mimaface.protocol.skeleton import FACING, Bone, axes_of, head_chain

from .base import Reader, Recorded


def _recognises(name: str, start: bytes) -> bool:
    return start.lstrip(b"\xef\xbb\xbf \t\r\n")[:9].upper() == b"HIERARCHY"


def _read(content: bytes, name: str, settings: ReadingSettings) -> MotionClip:
    text = (decoded(content) or "").replace("\r", "\n")
    structure, motion = (*re.split(r"(?im)^\s*MOTION\s*$", text, maxsplit=1), "")[:2]
    motion = motion.replace(",", ".")
    frames = re.match(r"(?i)\s*Frames:\s*(\d+)\s+Frame\s+Time:\s*([0-9.e+-]+)\s*\n", motion)
    if frames is None:
        raise InvalidMotion(f"{name}: the part MOTION with Frames and Frame Time is missing", "export the .bvh again")
    step = float(frames[2])
    if not 0 < step < 10:
        raise InvalidMotion(f"{name}: a Frame Time of {step:g} s is out of range", "export the .bvh again")
    joints = list(_joints(structure))
    chain = head_chain([bone for bone, _ in joints])
    if not chain:
        raise InvalidMotion(f"{name}: it has no joint called neck or head", "rename the joints of head and neck, or export them, too")
    starts = np.cumsum([0, *(len(channels) for _, channels in joints)])
    width = int(starts[-1])
    rows = [line.split() for line in motion[frames.end() :].splitlines() if line.strip()]
    odd = next((number for number, row in enumerate(rows) if len(row) != width), None)
    warnings = ["a .bvh has no face: the head moves, the face stays as it is"]
    if odd is not None and odd == len(rows) - 1 and odd > 0:
        rows.pop()
        warnings.append("the last frame is incomplete and was left out: the file may have been cut off")
    elif odd is not None:
        raise InvalidMotion(f"{name}: frame {odd} has {len(rows[odd])} values, not {width}", "export the .bvh again")
    if len(rows) != int(frames[1]):
        warnings.append(f"the file has {len(rows)} frames but declares {frames[1]}")
    values = np.array(rows, float).reshape(len(rows), width)
    if not np.isfinite(values).all():
        frame = int(np.argmin(np.isfinite(values).all(axis=1)))
        raise InvalidMotion(f"{name}: frame {frame}: a value is not a number", "export the .bvh again")
    from scipy.spatial.transform import Rotation  # 0.3 s: only when one is read

    turned = Rotation.identity(len(rows))
    for index in chain:
        for place, channel in enumerate(joints[index][1], starts[index]):
            if channel.lower().endswith("rotation"):
                turned = turned * Rotation.from_euler(channel[0].upper(), values[:, [place]], degrees=True)
    axes, known = axes_of([bone for bone, _ in joints], chain[-1])
    if not known:
        warnings.append(FACING)
    time = np.arange(len(rows)) * (1 / settings.timecode_rate if settings.timecode_rate else step)
    face = np.ones(len(rows), bool)
    return Recorded(time, face, None, axes @ turned.as_matrix() @ axes.T, None, None, warnings).clip(name, "bvh")


def _joints(structure: str) -> Iterator[tuple[Bone, list[str]]]:
    """Yields the joints of a HIERARCHY and their channels, in order; ends of chains are left out."""
    open_joints, title, place, count = list[tuple[int, Array]](), "", np.zeros(3), 0  # index and place of each block around; −1: an end
    for words in (line.split() for line in structure.splitlines()):
        kind = words[0].upper() if words else ""
        if kind in ("ROOT", "JOINT"):
            title = " ".join(words[1:])
        elif kind == "OFFSET":
            place = np.array([word.replace(",", ".") for word in words[1:4]], float) + (open_joints[-2][1] if len(open_joints) > 1 else 0)
        elif kind == "CHANNELS":
            parent = open_joints[-2][0] if len(open_joints) > 1 else -1
            open_joints[-1] = (count, place)
            yield Bone(title, parent, place), words[2:]
            count += 1
        if "{" in words or kind.endswith("{"):
            open_joints.append((-1, np.zeros(3)))
        if "}" in words:
            open_joints.pop()


READER = Reader("BVH", _recognises, _read)
