"""Head and neck rotation from Biovision hierarchies (.bvh): degrees, in each joint's channel order; y up, z out of the face."""

from __future__ import annotations

import re

import numpy as np

from mimaface.drivers.reading import ReadingSettings
from mimaface.drivers.table import decoded
from mimaface.protocol.errors import InvalidMotion
from mimaface.protocol.motion import MotionClip

from .base import Reader, Recorded

HEAD_OR_NECK = re.compile(r"(?i)(^|[^a-z])(neck|head)(?!.*(end|top|nub|site))")


def _recognises(name: str, start: bytes) -> bool:
    return start.lstrip(b"\xef\xbb\xbf \t\r\n")[:9].upper() == b"HIERARCHY"


def _read(content: bytes, name: str, settings: ReadingSettings) -> MotionClip:
    text = decoded(content) or ""
    structure, found, motion = text.partition("MOTION")
    frames = re.match(r"\s*Frames:\s*(\d+)\s+Frame Time:\s*([0-9.eE+-]+)\s*\n", motion)
    if not found or frames is None:
        raise InvalidMotion(f"{name}: the part MOTION with Frames and Frame Time is missing", "export the .bvh again")
    step = float(frames[2])
    if not 0 < step < 10:
        raise InvalidMotion(f"{name}: a Frame Time of {step:g} s is out of range", "export the .bvh again")
    width, joints = 0, list[tuple[str, int, list[str]]]()
    title = ""
    for line in structure.splitlines():
        words = line.split()
        if words and words[0].upper() in ("ROOT", "JOINT"):
            title = " ".join(words[1:])
        elif words and words[0].upper() == "CHANNELS":
            channels = words[2:]
            if HEAD_OR_NECK.search(title.rpartition(":")[2]):
                joints.append((title, width, channels))
            width += len(channels)
    if not joints:
        raise InvalidMotion(f"{name}: it has no joint called neck or head", "rename the joints of head and neck, or export them, too")
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
    from scipy.spatial.transform import Rotation  # 0.3 s: only when one is read

    turned = Rotation.identity(len(rows))
    for _, place, channels in joints:
        axes = [(index, channel[0].upper()) for index, channel in enumerate(channels) if channel.lower().endswith("rotation")]
        for index, axis in axes:
            turned = turned * Rotation.from_euler(axis, values[:, [place + index]], degrees=True)
    time = np.arange(len(rows)) * (1 / settings.timecode_rate if settings.timecode_rate else step)
    face = np.ones(len(rows), bool)
    return Recorded(time, face, None, turned.as_matrix(), None, None, warnings).clip(name, "bvh")


READER = Reader("BVH", _recognises, _read)
