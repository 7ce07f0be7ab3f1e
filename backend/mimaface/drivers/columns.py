"""Column names of takes in their many spellings → names of Live Link Face."""

from __future__ import annotations

import re

from mimaface.protocol.arkit import BLENDSHAPE_NAMES

POSES = tuple(f"{part}{axis}" for part in ("Head", "LeftEye", "RightEye") for axis in ("Yaw", "Pitch", "Roll"))
TIME, COUNT = "Timecode", "BlendShapeCount"
# headers of the time column in order of preference
TIME_NAMES = (
    "timecode", "smptetimecode", "timestamp", "time", "seconds", "sec", "timesec", "timeseconds", "timems", "timestampms", "milliseconds",
    "framenumber", "frameindex", "frame", "frameid",
)  # fmt: skip
TIME_WORDS = {"time", "timestamp", "timecode", "elapsed", "clock", "t", "ts", "pts", "frame"}  # last word of other headers of time columns
LENGTHS = {"delta", "exposure", "processing", "render", "latency"}  # with these before it, it is no time of a row
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
