# SPDX-License-Identifier: GPL-3.0-or-later
"""Visemes on frames, as markers that an artist moves, renames and deletes. No bpy here."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import SequenceMatcher

from ..protocol.visemes import VISEMES, Timed, viseme_of

REST = VISEMES[0]


@dataclass(frozen=True)
class Placed:
    """A viseme that begins ``offset`` of a frame, -0.5 to 0.5, after the frame of its marker; ``strength`` as in the protocol."""

    name: str
    frame: int
    offset: float = 0.0
    strength: float = 1.0

    @property
    def time(self) -> float:
        """In frames."""
        return self.frame + self.offset


def placed(visemes: list[Timed], seconds: float, start: int, rate: float) -> list[Placed]:
    """Visemes as markers, frame ``start`` being 0 seconds; the last one is rest."""
    timed = visemes if visemes[-1][0] == REST else [*visemes, (REST, seconds, 1.0)]
    found = []
    for name, begin, strength in timed:
        frame = start + round(begin * rate)
        found.append(Placed(name, frame, start + begin * rate - frame, strength))
    return found


def followed(before: list[Placed], markers: list[tuple[str, int]]) -> list[Placed]:
    """The visemes of (name, frame) of ``markers`` in order of time; what the names of ``before`` can be followed through, also when it was
    moved or renamed, keeps its strength and its place between frames."""
    now = sorted(markers, key=lambda marker: marker[1])
    names = [viseme_of(name) for name, _ in now]
    old = [item.name for item in before]
    found = [Placed(name, frame) for name, (_, frame) in zip(names, now)]
    for kind, first, last, begin, end in SequenceMatcher(None, old, names, autojunk=False).get_opcodes():
        if kind == "equal" or (kind == "replace" and last - first == end - begin):
            for index, item in zip(range(begin, end), before[first:last]):
                found[index] = Placed(names[index], now[index][1], item.offset, item.strength)
    return sorted(found, key=lambda item: item.time)


def timed(visemes: list[Placed], start: int, rate: float) -> list[Timed]:
    """The seconds of visemes, frame ``start`` being 0."""
    return [(item.name, max((item.time - start) / rate, 0.0), item.strength) for item in visemes]
