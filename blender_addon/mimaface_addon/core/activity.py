# SPDX-License-Identifier: GPL-3.0-or-later
"""What the artist waits for, in a sentence that goes on changing. No bpy here."""

from __future__ import annotations

import itertools
import time
from dataclasses import dataclass, field

SAID_AFTER = 3.0  # seconds without a count after which the seconds are said, so that the panel is seen to be alive
_numbers = itertools.count(1)


@dataclass(eq=False)
class Activity:
    """A request that has a name for the artist and can be cancelled.

    title: what is done, to ``name``. subject: what the backend's progress calls it; its ``stage``, ``done`` and ``total`` are kept.
    target: what it changes; a newer request for the same takes its place.
    """

    title: str
    name: str
    subject: str = ""
    target: object = None
    stage: str = ""
    done: int = 0
    total: int = 0
    number: int = field(default_factory=_numbers.__next__)
    began: float = field(default_factory=time.monotonic)

    def told(self, stage: str, done: int, total: int) -> None:
        self.stage, self.done, self.total = stage, done, max(total, 0)

    def sentence(self) -> str:
        if not self.done and self.stage != "following":
            return f"{self.title} {self.name}{seconds_since(self.began)}"
        title, unit = {"following": ("Following the face in", "frame"), "hearing": ("Hearing", "part")}.get(self.stage, (self.title, "frame"))
        count = f"{unit} {self.done} of {self.total}" if self.total else f"{unit} {self.done}"
        return f"{title} {self.name}: {count}"


def seconds_since(began: float) -> str:
    """How long something has taken, in brackets; "" at first."""
    seconds = time.monotonic() - began
    return f" ({seconds:.0f} s)" if seconds >= SAID_AFTER else ""
