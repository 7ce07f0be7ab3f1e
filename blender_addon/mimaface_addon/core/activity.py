# SPDX-License-Identifier: GPL-3.0-or-later
"""Requests that the artist waits for, with their progress as a sentence. No bpy here."""

from __future__ import annotations

import itertools
import time
from dataclasses import dataclass, field

SAID_AFTER = 3.0  # seconds without a count after which elapsed seconds are shown. Higher: a slow request looks dead for longer
# What a stage does, and what it counts; other stages are the request's own
STAGES = {
    "following": ("Following the face in", "frame"), "aligning": ("Aligning the head in", "frame"), "hearing": ("Hearing", "part"),
}  # fmt: skip
_numbers = itertools.count(1)


@dataclass(eq=False)
class Activity:
    """A request that panels show and the artist can cancel.

    title: the work, on ``name``; subject: its name in the backend's progress events, whose ``stage``, ``done`` and ``total`` are stored
    here; target: what it changes: a newer request with the same target replaces it.
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
        title, unit = STAGES.get(self.stage, (self.title, "frame"))
        count = f"{unit} {self.done} of {self.total}" if self.total else f"{unit} {self.done}"
        return f"{title} {self.name}: {count}"


def seconds_since(began: float) -> str:
    """Returns the elapsed time as " (12 s)"; "" during the first SAID_AFTER seconds."""
    seconds = time.monotonic() - began
    return f" ({seconds:.0f} s)" if seconds >= SAID_AFTER else ""
