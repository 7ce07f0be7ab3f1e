"""Points that an artist places by hand on a photograph: their names, their checks, and the landmarks that follow them.

A placed point is where it was placed; landmarks between points follow as a thin plate does (Bookstein 1989) that is laid out on an
open mouth and open eyes, where no two contours touch.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from mimaface.geometry.similarity import Similarity
from mimaface.protocol.arrays import Array
from mimaface.protocol.errors import InvalidInput, NoFaceFound

from . import tuning
from .head import ASSETS

Points = Mapping[str, tuple[float, float]]  # name → (u, v) pixels of the picture
# landmark under each point; .L and .R are the subject's left and right
PLACES: dict[str, int] = {
    "forehead": 10, "temple.L": 251, "temple.R": 21, "side.L": 454, "side.R": 234, "jaw.L": 397, "jaw.R": 172, "chin.L": 378, "chin.R": 149,
    "chin": 152,
    "brow.outer.L": 300, "brow.middle.L": 334, "brow.inner.L": 336, "brow.outer.R": 70, "brow.middle.R": 105, "brow.inner.R": 107,
    "eye.outer.L": 263, "lid.upper.outer.L": 388, "lid.upper.L": 386, "lid.upper.inner.L": 384, "eye.inner.L": 362, "lid.lower.L": 374,
    "eye.outer.R": 33, "lid.upper.outer.R": 161, "lid.upper.R": 159, "lid.upper.inner.R": 157, "eye.inner.R": 133, "lid.lower.R": 145,
    "iris.L": 473, "iris.R": 468,
    "nose.bridge": 168, "nose.tip": 4, "nose.L": 358, "nose.R": 129,
    "mouth.L": 291, "lip.upper.L": 269, "lip.upper": 0, "lip.upper.R": 39, "mouth.R": 61, "lip.lower.L": 405, "lip.lower": 17, "lip.lower.R": 181,
    "lip.upper.inner.L": 311, "lip.upper.inner": 13, "lip.upper.inner.R": 81,
    "lip.lower.inner.L": 402, "lip.lower.inner": 14, "lip.lower.inner.R": 178,
}  # fmt: skip
# upper and lower edge of what opens, each from one corner to the other, from the picture's left to its right while the head stands upright
OPENINGS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "the subject's right eye": (
        ("eye.outer.R", "lid.upper.outer.R", "lid.upper.R", "lid.upper.inner.R", "eye.inner.R"), ("eye.outer.R", "lid.lower.R", "eye.inner.R")
    ),
    "the subject's left eye": (
        ("eye.inner.L", "lid.upper.inner.L", "lid.upper.L", "lid.upper.outer.L", "eye.outer.L"), ("eye.inner.L", "lid.lower.L", "eye.outer.L")
    ),
    "the mouth": (
        ("mouth.R", "lip.upper.inner.R", "lip.upper.inner", "lip.upper.inner.L", "mouth.L"),
        ("mouth.R", "lip.lower.inner.R", "lip.lower.inner", "lip.lower.inner.L", "mouth.L"),
    ),
    "the lips": (
        ("mouth.R", "lip.upper.R", "lip.upper", "lip.upper.L", "mouth.L"), ("mouth.R", "lip.lower.R", "lip.lower", "lip.lower.L", "mouth.L")
    ),
}  # fmt: skip
GROUPS = {"the left eye": (".L", ("eye", "lid")), "the right eye": (".R", ("eye", "lid")), "the mouth": ("", ("mouth", "lip"))}
LEAST = 8  # points on a picture in which no face is found: fewer do not determine pose, size and proportions
# share of an opening's width by which its upper edge may lie below its lower one (shut lids and lips touch), and by which a point may lie
# behind its neighbour (seen from the side). Higher: crossed edges are accepted, and their lids tear
CROSSED, BACKWARD = 0.08, 0.15
GUIDE = "their names are in docs/CONVENTIONS.md; “mimaface points” writes those of a picture to a file"


def checked(points: Mapping[str, Any], width: int, height: int) -> dict[str, tuple[float, float]]:
    """The points in the order of PLACES, as numbers. Raises :class:`InvalidInput` for an unknown name, for what is no place, and for a
    place outside a picture ``width`` × ``height`` pixels."""
    unknown = next((name for name in points if name not in PLACES), None)
    if unknown is not None:
        near = [name for name in PLACES if str(unknown).split(".")[0] == name.split(".")[0]]
        raise InvalidInput(f"there is no point {str(unknown)!r}", f"use one of: {', '.join(near)}" if near else GUIDE)
    result = {}
    for name in PLACES:
        if name not in points:
            continue
        try:
            u, v = (float(value) for value in points[name])
        except (TypeError, ValueError) as error:
            words = f"point {name!r} has no place: it is {str(points[name])[:60]!r}"
            raise InvalidInput(words, "give two numbers, pixels from the left and from the top") from error
        if not (math.isfinite(u) and math.isfinite(v) and 0 <= u <= width and 0 <= v <= height):
            raise InvalidInput(
                f"point {name!r} at ({u:.0f}, {v:.0f}) lies outside the picture, which is {width} x {height} pixels",
                "place it inside, or leave it out",
            )
        result[name] = (u, v)
    return result


def in_middle(width: int, height: int) -> dict[str, tuple[float, float]]:
    """All points of a generic face, as large as it fits well, in the middle of a picture ``width`` × ``height`` pixels."""
    shut = _generic()[0]
    low, high = shut.min(0), shut.max(0)
    scale = tuning.TEMPLATE_SHARE * min(width / (high - low)[0], height / (high - low)[1])
    place = (shut - (low + high) / 2) * scale + np.array([width, height]) / 2
    return of_landmarks(place)


def of_landmarks(landmarks: Array) -> dict[str, tuple[float, float]]:
    """Returns the place of every point, u and v in pixels, from landmarks (478, 2 or 3)."""
    return {name: (float(landmarks[index, 0]), float(landmarks[index, 1])) for name, index in PLACES.items()}


def follow(points: Points, landmarks: Array | None) -> Array:
    """The landmarks (478, 3) that follow ``points``: of a face that was found, ``landmarks`` (478, 3), whose other points stay, or of a
    generic face. Raises :class:`NoFaceFound` for too few points without a face, and :class:`InvalidInput` for edges that cross."""
    if landmarks is None:
        base, fixed = _aligned(points), dict(points)
    else:
        base, fixed = landmarks, {**of_landmarks(landmarks), **points}
    fixed = _with_thick_lips(fixed)
    index = [PLACES[name] for name in fixed]
    away = np.array(list(fixed.values())) - base[index, :2]
    from scipy.interpolate import RBFInterpolator  # 0.2 s: only when points are placed

    plate = RBFInterpolator(_generic()[1][index].astype(np.float64), away, kernel="thin_plate_spline", degree=1)
    result = np.array(base, np.float64)
    result[:, :2] += plate(_generic()[1].astype(np.float64))
    result[index, :2] = list(fixed.values())
    _uncrossed(points, of_landmarks(result))
    return result


def _with_thick_lips(points: Points) -> dict[str, tuple[float, float]]:
    """Returns the points with lips of a least thickness: where the outer edge of a lip lies on the inner one, as in a mouth drawn as a line,
    the outer edge is moved away."""
    result = dict(points)
    if not {"mouth.L", "mouth.R"} <= points.keys():
        return result
    across = np.subtract(points["mouth.L"], points["mouth.R"])
    width = max(float(np.linalg.norm(across)), 1e-6)
    down = np.array([-across[1], across[0]]) / width
    for lip, outward in (("lip.upper", -down), ("lip.lower", down)):
        for side in ("", ".L", ".R"):
            inner, outer = points.get(f"{lip}.inner{side}"), points.get(f"{lip}{side}")
            if inner is None or outer is None:
                continue
            lacking = tuning.LIP_LEAST * width - float(np.subtract(outer, inner) @ outward)
            if lacking > 0:
                u, v = np.asarray(outer) + lacking * outward
                result[f"{lip}{side}"] = (float(u), float(v))
    return result


def lie_on(points: Points, landmarks: Array) -> bool:
    """Returns whether the points belong to this face, not to another one that was not detected."""
    index = [PLACES[name] for name in points]
    away = np.linalg.norm(np.array(list(points.values())) - landmarks[index, :2], axis=1)
    return bool(np.median(away) <= tuning.OTHER_FACE * np.ptp(landmarks[:468, :2], axis=0).max())


def _aligned(points: Points) -> Array:
    """Returns a generic face (478, 3) with the size, place and tilt of the points."""
    missing = [
        words
        for words, (side, parts) in GROUPS.items()
        if not any(name.endswith(side) and name.split(".")[0] in parts for name in points)
    ]
    if len(points) < LEAST or missing:
        count = f"{len(points)} point{'s' * (len(points) != 1)} {'are' if len(points) != 1 else 'is'} too few to fit a head to"
        lacking = f", and {' and '.join(missing)} {'have' if len(missing) > 1 else 'has'} none" * bool(missing)
        raise NoFaceFound(
            f"no face found under the points, and {count}{lacking}",
            f"place at least {LEAST}, with some of both eyes and of the mouth",
        )
    shut = _generic()[0].astype(np.float64)
    flat = Similarity.between(shut[[PLACES[name] for name in points]], list(points.values()))
    return np.concatenate([flat(shut), np.zeros((len(shut), 1))], axis=1)


def _uncrossed(points: Points, every: Points) -> None:
    """Raise :class:`InvalidInput` where an edge that has a placed point runs backwards, or the upper one below the lower one."""
    for what, (upper, lower) in OPENINGS.items():
        if not any(name in points for name in upper + lower):
            continue
        first, last = np.array(every[upper[0]]), np.array(every[upper[-1]])
        width = max(float(np.linalg.norm(last - first)), 1e-6)
        axis = (last - first) / width
        frame = np.array([axis, [-axis[1], axis[0]]]) / width  # along the opening, and down
        along = [np.array([frame @ (np.array(every[name]) - first) for name in edge]) for edge in (upper, lower)]
        for edge, places in zip((upper, lower), along):
            ends = edge[0] in points or edge[-1] in points
            mine = [k for k in range(len(edge) - 1) if ends or edge[k] in points or edge[k + 1] in points]
            wrong = next((k for k in mine if places[k + 1, 0] < places[k, 0] - BACKWARD), None)
            if wrong is not None:
                raise InvalidInput(
                    f"the points of {what} are out of order: {edge[wrong]!r} and {edge[wrong + 1]!r}",
                    "place them in their order from corner to corner; .L is the subject's left",
                )
        for name, (x, y) in zip(upper[1:-1], along[0][1:-1]):
            if y > np.interp(x, np.maximum.accumulate(along[1][:, 0]), along[1][:, 1]) + CROSSED:
                words = f"the upper edge of {what} lies below the lower one at {name!r}"
                raise InvalidInput(words, "place it above, or on the lower edge to shut it")


@functools.cache
def _generic() -> Array:
    """The landmarks (2, 478, 2) of the mean head from the front, mouth shut and open, in distances between the outer corners of the eyes."""
    with np.load(ASSETS / "landmarks.npz", allow_pickle=False) as file:
        return np.asarray(file["generic"])
