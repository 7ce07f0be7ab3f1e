"""Folders of pictures that are the frames of a film: which they are, in what order, and where frames are missing."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import numpy as np

from mimaface.pictures import ENDINGS
from mimaface.protocol.driver_files import MOTIONS, VIDEOS, ends
from mimaface.protocol.errors import InvalidInput
from mimaface.protocol.motion_files import MAX_FRAMES
from mimaface.protocol.texts import shown, some

NUMBER = re.compile(r"((?:(?<![^\W_])-)?\d+)")  # of a name; a minus, which is no hyphen behind a letter or number, belongs to it


def in_order(folder: Path) -> list[Path]:
    """The pictures of a folder by name, with the numbers in names as numbers: 9 before 10, -1 before 0. Hidden files are none.

    Raises :class:`InvalidInput` for a folder without pictures, or of something else.
    """
    try:
        files = [path for path in folder.iterdir() if path.is_file() and not path.name.startswith(".")]
    except OSError as error:
        raise InvalidInput(f"cannot read {folder}: {error.strerror}", "check the path") from error
    found = sorted((path for path in files if ends(path.name, ENDINGS)), key=lambda path: _split(path.name.lower()))
    takes = sorted(path.name for path in files if ends(path.name, (".csv", ".tsv", *MOTIONS, *VIDEOS)) and path not in found)
    if len(found) < 2 and takes:
        raise InvalidInput(f"{shown(folder)}: the folder of a take, not of pictures", f"choose one of its files: {some(takes)}")
    if not found:
        raise InvalidInput(f"{shown(folder)}: the folder holds no pictures", f"use {', '.join(ENDINGS)}")
    if len(found) > MAX_FRAMES:
        raise InvalidInput(f"{shown(folder)}: more than {MAX_FRAMES} pictures", "use a shorter sequence")
    twice = [name for name, count in Counter(path.stem for path in found).items() if count > 1]
    if twice:
        raise InvalidInput(
            f"{shown(folder)}: several pictures are called {some(twice)}", "put the frames of one film into a folder of their own"
        )
    return found


def places(paths: list[Path]) -> tuple[list[int], list[str]]:
    """The place of every picture in its film, from 0 on, with room where numbers are missing, and a note where it is not one film."""
    names = [_split(path.stem.lower()) for path in paths]
    plain = list(range(len(paths)))
    films = list(dict.fromkeys((*name[:-2], name[-1]) for name in names if len(name) > 1))
    if len(films) != 1 or any(len(name) == 1 for name in names):
        several = len(films) > 1 and len(films) * 2 <= len(paths)
        return plain, [f"the pictures have names of {len(films)} films: read one after the other"] if several else []
    numbers = np.array([int(name[-2]) for name in names], float)
    steps = np.diff(numbers)
    values, counts = np.unique(steps, return_counts=True)
    usual = float(values[counts.argmax()]) if len(steps) else 1.0
    if usual < 1 or (steps % usual).any() or (steps == usual).mean() < 0.5:
        return plain, []
    return [int(place) for place in (numbers - numbers[0]) / usual], []


def _split(name: str) -> list[str | int]:
    """Texts and, at every second place, numbers."""
    return [int(part) if place % 2 else part for place, part in enumerate(NUMBER.split(name))]
