"""Columns of takes: names in their many spellings → names of Live Link Face, values in their units → shares and radians."""

from __future__ import annotations

import math
import re

import numpy as np

from mimaface.protocol.arkit import BLENDSHAPE_NAMES
from mimaface.protocol.arrays import Array

POSES = tuple(f"{part}{axis}" for part in ("Head", "LeftEye", "RightEye") for axis in ("Yaw", "Pitch", "Roll"))
TIME, COUNT = "Timecode", "BlendShapeCount"
# headers of the time column in order of preference
TIME_NAMES = (
    "timecode", "smptetimecode", "timestamp", "time", "seconds", "sec", "timesec", "timeseconds", "timems", "timestampms", "milliseconds",
    "framenumber", "frameindex", "frame", "frameid",
)  # fmt: skip
TIME_WORDS = {"time", "timestamp", "timecode", "elapsed", "clock", "t", "ts", "pts", "frame"}  # last word of other headers of time columns
LENGTHS = {"delta", "exposure", "processing", "render", "latency"}  # with these before it, it is no time of a row
# what writers put into a cell that has no value
EMPTY = re.compile(r"(|null|none|na|n/a|-|[-+]?(1\.#)?[qs]?(nan|ind)(\(.*\))?|#[a-z/0-9]+[!?]?)", re.IGNORECASE)
UNIT_WORDS = {"deg", "degrees", "degree", "rad", "radians", "percent", "value", "weight", "values", "s", "ms", "sec", "seconds", "us", "ns"}


def _key(text: str) -> str:
    return re.sub(r"[^a-z0-9]", "", text.lower())


def _spellings() -> dict[str, str]:
    """Returns a dictionary from every lower-case spelling without punctuation to the column's name."""
    known: dict[str, str] = {}
    for blendshape in BLENDSHAPE_NAMES:
        known |= {before + blendshape.lower(): blendshape for before in ("", "arblendshapelocation", "blendshape", "arkit")}
        for side in ("Left", "Right"):
            if blendshape.endswith(side):
                base = blendshape.removesuffix(side).lower()
                known |= {base + side[0].lower(): blendshape, side.lower() + base: blendshape}
    for pose in POSES:
        known[pose.lower()] = pose
        part, axis = re.fullmatch("(Head|LeftEye|RightEye)(.*)", pose).groups()  # type: ignore[union-attr]
        swapped = {"LeftEye": "eyeleft", "RightEye": "eyeright", "Head": "head"}[part]
        short = {"LeftEye": "eyel", "RightEye": "eyer", "Head": "headrotation"}[part]
        known |= {swapped + axis.lower(): pose, short + axis.lower(): pose}
    return known | dict.fromkeys(("blendshapecount", "blendshapescount"), COUNT)


SPELLINGS = _spellings()


def known_column(header: str) -> str:
    """Returns the column's name, or "": case, ``_``, ``-``, spaces, prefixes such as ``blendShape1.`` and units are ignored.

    :func:`time_column` finds the time column.
    """
    whole = SPELLINGS.get(_key(header))
    if whole:
        return whole
    words = [word for word in re.split(r"[^A-Za-z0-9]+", header) if word]
    while len(words) > 1 and words[-1].lower() in UNIT_WORDS:
        words.pop()
    return next((SPELLINGS[key] for start in range(len(words)) if (key := _key("".join(words[start:]))) in SPELLINGS), "")


def time_column(headers: list[str]) -> int | None:
    """Returns the index of the time column, or None: one of ``TIME_NAMES``, else one such as ``deviceTime (ms)``."""
    keys = [_key(header) for header in headers]
    plain = [_key(" ".join(w for w in re.split(r"[^A-Za-z0-9]+", header) if w.lower() not in UNIT_WORDS)) for header in headers]
    for name in TIME_NAMES:
        for index, (key, bare) in enumerate(zip(keys, plain)):
            if name in (key, bare):
                return index
    for index, header in enumerate(headers):
        words = [word.lower() for word in re.findall("[A-Za-z][a-z]*|[A-Z]+", header) if word.lower() not in UNIT_WORDS]
        if words and words[-1] in TIME_WORDS and not LENGTHS.intersection(words):
            return index
    return None


def number_of(text: str) -> float | None:
    """A cell's number, NaN when it is empty, None when it is neither; a decimal comma is one, ``%`` and ``°`` are heeded."""
    if EMPTY.fullmatch(text):
        return float("nan")
    plain = text.replace("\N{MINUS SIGN}", "-")
    try:
        value = float(plain.rstrip(" %°") if "." in text else plain.rstrip(" %°").replace(",", "."))
    except ValueError:
        return None
    return value / 100 if text.endswith("%") else math.radians(value) if text.endswith("°") else value


# radians. Larger angles are taken for degrees: no recorded head or eye turns so far
LARGEST_HEAD_ANGLE, LARGEST_EYE_ANGLE = 1.75, 1.6
# Median head speed in radians per second above which angles are degrees, and seconds that a take must last for this test. Talking
# heads move at 0.1 to 0.5, shaken ones at 2; a nearly still head in degrees exceeds 3.
LARGEST_HEAD_SPEED, SHORTEST_TAKE = 3.0, 0.5
# blendshape value that half of the frames must exceed to be percent; 1 is nominal, exaggerated takes reach 1.5
LARGEST_SHARE = 2.0


def in_radians(head: Array, eyes: Array, time: Array, wanted: str) -> tuple[Array, Array, list[str]]:
    """Returns head (T, 3) and eye angles (T, 2, 2) in radians, and notes on what was taken for degrees; NaN is ignored.

    wanted: "degrees", "radians", or "" to detect the unit of head and eyes separately.
    """
    seen = np.isfinite(head).all(axis=1)
    moves = np.linalg.norm(np.diff(head[seen], axis=0), axis=1)
    long = seen.sum() > 2 and np.ptp(time[seen]) >= SHORTEST_TAKE
    fast = bool(long and np.median(moves / np.maximum(np.diff(time[seen]), 1e-3)) > LARGEST_HEAD_SPEED)
    turned = wanted == "degrees" or (wanted == "" and (largest_of(head) > LARGEST_HEAD_ANGLE or fast))
    aside = wanted == "degrees" or (wanted == "" and largest_of(eyes) > LARGEST_EYE_ANGLE)
    notes = []
    for what, yes, largest in (("head angles", turned, largest_of(head)), ("eye angles", aside, largest_of(eyes))):
        if yes and not wanted:
            notes.append(f"the {what} go up to {largest:.3g}: read as degrees; if they are radians, use --angles radians (Blender: Angles)")
    return (np.deg2rad(head) if turned else head), (np.deg2rad(eyes) if aside else eyes), notes


def as_shares(blendshapes: Array, wanted: str) -> tuple[Array, list[str]]:
    """Returns blendshapes (T, 52) as shares of 1, and notes when they were taken for percent or are large; NaN is ignored."""
    strongest = np.nanmax(np.where(np.isfinite(blendshapes), np.abs(blendshapes), 0.0), axis=1)
    largest = float(strongest.max())
    if wanted == "percent" or (wanted == "" and np.median(strongest) > LARGEST_SHARE):
        note = f"the blendshapes go up to {largest:.4g}: read as percent; if they are shares of 1, use --values shares (Blender: Values)"
        return blendshapes / 100, [] if wanted else [note]
    if largest > LARGEST_SHARE and not wanted:
        return blendshapes, [f"some blendshapes go up to {largest:.4g}, far above 1; if they are percent, use --values percent (Blender: Values)"]
    return blendshapes, []


def largest_of(values: Array) -> float:
    """Returns the largest magnitude among finite values, 0 without any."""
    return float(np.abs(values[np.isfinite(values)]).max(initial=0.0))
