"""Heads of skeletons that other programs name and turn as they like: the bones from neck to head, and the axes of the figure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from .arrays import Array

# words of a name: after no letter, or with a capital after a small letter; bones that only end a chain are none
_WORD = r"(?:(?:^|(?<=[^A-Za-z]))(?i:{word})|(?<=[a-z]){title})"
_ENDS = re.compile(r"(?i)(top|nub|site|(?<!b)end)[\W_\d]*$")
HEAD, NECK = (re.compile(_WORD.format(word=word, title=word.title())) for word in ("head", "neck"))
WHOLE = re.compile(HEAD.pattern + r"[\W_\d]*$")  # names of which the head is the last word, unlike those of helpers such as HeadTarget
# sides in names: words, or letters that stand alone or begin a name such as lShldr
_SIDES = (re.compile("(?i)left|right"), re.compile(r"(?<![A-Za-z])[LRlr](?![A-Za-z])"), re.compile("^[lr](?=[A-Z])"))
SNAP = 0.866  # cosine of the angle to an axis of the file within which a figure stands along it: skeletons are not quite symmetric

FACING = "no bones of two sides tell which way the figure looks: along z, or against y where z is up; --swap and --flip correct that"


class Bone(NamedTuple):
    """parent: its index, −1 for none; place (3,): of its joint at rest, in the axes and unit of the file."""

    name: str
    parent: int
    place: Array


def head_chain(bones: Sequence[Bone]) -> list[int]:
    """Returns the indexes of the bones from the lowest of the neck to the head, [] if none has such a name; namespaces ("mixamorig:") are
    ignored.
    """
    titles = ["" if _ENDS.search(bone.name) else bone.name.rpartition(":")[2] for bone in bones]
    heads = [index for index, title in enumerate(titles) if HEAD.search(title)]
    necks = [index for index, title in enumerate(titles) if NECK.search(title)]
    if not heads and not necks:
        return []
    paths = {index: _path(bones, index) for index in heads or necks}
    if heads:
        last = min(heads, key=lambda index: (not WHOLE.search(titles[index]), len(paths[index])))
    else:
        last = max(necks, key=lambda index: len(paths[index]))
    path = paths[last]
    return path[next(place for place, index in enumerate(path) if index in heads or index in necks) :]


def axes_of(bones: Sequence[Bone], head: int) -> tuple[Array, bool]:
    """Returns axes (3, 3), whose rows are the figure's left, up and front in the file's axes at rest, and whether its front is known:
    from bones of two sides. Else it looks along z, or along −y where z is up.
    """
    rise = bones[head].place - bones[_path(bones, head)[0]].place
    up = _axis(rise) if np.abs(rise).max() > 0 else np.array([0.0, 1.0, 0.0])
    places = {bone.name: bone.place for bone in bones}
    sides = [bone.place - places[other] for bone in bones if (other := _across(bone.name)) in places]
    left = np.sum(sides, axis=0) if sides else np.zeros(3)
    left = left - up * (left @ up)
    length = np.linalg.norm(left)
    known = bool(length > 1e-3 * np.linalg.norm(np.ptp([bone.place for bone in bones], axis=0)))
    if known:
        left = left / length
        left = _axis(left) if np.abs(left).max() > SNAP else left
    else:
        left = np.cross(up, [0.0, -1.0, 0.0] if up[2] else [0.0, 0.0, 1.0])
    return np.stack([left, up, np.cross(left, up)]), known


def _path(bones: Sequence[Bone], index: int) -> list[int]:
    """Returns the indexes of a bone and its ancestors, the root's first."""
    path = [index]
    while (parent := bones[path[-1]].parent) >= 0 and len(path) <= len(bones):
        path.append(parent)
    return path[::-1]


def _axis(direction: Array) -> Array:
    """Returns the axis nearest to a direction, with its sign."""
    nearest = np.zeros(3)
    index = int(np.argmax(np.abs(direction)))
    nearest[index] = np.sign(direction[index])
    return nearest


def _across(name: str) -> str:
    """Returns the name of the right bone across from a left one, "" for other names."""
    match = next((match for pattern in _SIDES if (match := pattern.search(name)) is not None), None)
    if match is None or match[0][0] not in "Ll":
        return ""
    side = match[0]
    other = "right" if len(side) > 1 else "r"
    other = other.upper() if side.isupper() else other.title() if side[0].isupper() else other
    return name[: match.start()] + other + name[match.end() :]
