# SPDX-License-Identifier: GPL-3.0-or-later
"""Requests that the artist waits for, with their progress as a sentence. No bpy here."""

from __future__ import annotations

import itertools
import time
from dataclasses import dataclass, field

from .words import n_, rpt_

SAID_AFTER = 3.0  # seconds without a count after which elapsed seconds are shown. Higher: a slow request looks dead for longer
# what a stage does; other stages are the request's own
STAGES = {"following": n_("Following the face in {name}"), "aligning": n_("Aligning the head in {name}"), "hearing": n_("Hearing {name}")}
FRAMES = (n_("{work}: frame {done}"), n_("{work}: frame {done} of {total}"))  # without and with a known total
PARTS = (n_("{work}: part {done}"), n_("{work}: part {done} of {total}"))  # of a sound
_numbers = itertools.count(1)


@dataclass(eq=False)
class Activity:
    """A request that panels show and the artist can cancel.

    title: the work on ``{name}``, marked by :func:`n_`; subject: its name in the backend's progress events, whose ``stage``, ``done`` and
    ``total`` are stored here; target: what it changes: a newer request with the same target replaces it.
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

    @property
    def work(self) -> str:
        return rpt_(self.title).format(name=self.name)

    def sentence(self) -> str:
        if not self.done and self.stage != "following":
            return f"{self.work}{seconds_since(self.began)}"
        work = rpt_(STAGES.get(self.stage, self.title)).format(name=self.name)
        counted = PARTS if self.stage == "hearing" else FRAMES
        return rpt_(counted[bool(self.total)]).format(work=work, done=self.done, total=self.total)


def seconds_since(began: float) -> str:
    """Returns the elapsed time as " (12 s)"; "" during the first SAID_AFTER seconds."""
    seconds = time.monotonic() - began
    return f" ({seconds:.0f} s)" if seconds >= SAID_AFTER else ""
