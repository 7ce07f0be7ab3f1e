# SPDX-License-Identifier: GPL-3.0-or-later
"""The film that a rig acts anew. The rig stores its path, and the backend reads the file from there."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import bpy
import numpy as np

from ..core.words import rpt_
from ..protocol.errors import InvalidInput
from ..protocol.motion import MotionClip
from . import bake

TAG = "mimaface_film"  # of a rig: :class:`Film` as JSON
SAME_RATE = 0.02  # frames a second: 23.976 is written as 23.98


@dataclass(frozen=True)
class Film:
    """identity: of the backend; face: its number in the film; start: the frame of the scene that shows the film's first."""

    identity: str
    path: str
    face: int
    frames: int
    rate: float
    start: int

    @property
    def last(self) -> int:
        return self.start + self.frames - 1

    def shown(self, frame: int) -> int:
        """Returns the number, from 0, of the film's frame that a frame of the scene shows: the first before the film, the last after it."""
        return min(max(frame - self.start, 0), self.frames - 1)


def of(item: bpy.types.Object) -> Film | None:
    """Returns the film of a rig, None for a rig of a photograph."""
    return Film(**json.loads(item[TAG])) if item.get(TAG) else None


def remember(item: bpy.types.Object, film: Film) -> None:
    item[TAG] = json.dumps(asdict(film))


def source(item: bpy.types.Object) -> str:
    """Returns the backend's id of the film or portrait that a rig moves."""
    film = of(item)
    return str(item.get("mimaface_portrait", "")) if film is None else film.identity


def named(identity: str) -> Film | None:
    """Returns the film with this id of the backend, if a rig has it."""
    films = (of(item) for item in bpy.data.objects if TAG in item)
    return next((film for film in films if film is not None and film.identity == identity), None)


def find(film: Film) -> Path | None:
    """Returns the path of a film: its stored path, or beside the .blend; None where there is no file."""
    places = [Path(film.path), Path(bpy.path.abspath("//")) / Path(film.path.replace("\\", "/")).name]
    return next((path for path in places if path.is_file()), None)


def acted(motion: MotionClip, absolute: bool) -> MotionClip:
    """Returns a rig's motion for its film; with ``absolute``, the head's place is the film's own."""
    return motion.but(head_pos=np.full((len(motion), 3), np.nan)) if absolute else motion


def frames_of(scene: bpy.types.Scene, film: Film) -> range:
    """Returns the scene's frames of a take of a film. Raises :class:`InvalidInput` where scene and film differ in their rate."""
    rate = bake.frames_per_second(scene)
    if abs(rate - film.rate) > SAME_RATE:
        raise InvalidInput(different_rate(film, rate), rpt_("set Frame Rate in the Output properties to {rate:.5g}").format(rate=film.rate))
    return range(film.start, film.last + 1)


def different_rate(film: Film, rate: float) -> str:
    return rpt_("the film has {film:.5g} frames a second, and the scene {scene:.5g}").format(film=film.rate, scene=rate)
