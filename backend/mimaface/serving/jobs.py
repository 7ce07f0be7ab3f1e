"""Records of a job: a row of the database, and ``job.json`` in its folder, from which the row can be restored."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mimaface.protocol.errors import MimaFaceError, is_shortage
from mimaface.protocol.files import write_whole
from mimaface.protocol.settings import RenderSettings

RECORD = "job.json"
STATES = ("queued", "running", "paused", "done", "failed", "cancelled")
ACTIVE = ("queued", "running")
COLUMNS = "id, portrait, settings, name, frames, state, done, code, message, hint, created, motion, build, starts"
RECORDED = ("portrait", "settings", "name", "frames", "created", "motion", "build")
LONGEST_NAME = 200  # letters; a list of 200 jobs has to fit into one message


@dataclass(frozen=True)
class Job:
    """A job. state: queued, running, paused, done, failed or cancelled; done: frames finished from the start without a gap.

    code, message, hint: of the error that ended or paused it; created: seconds since 1970; motion: SHA-256 of the motion file; build:
    :func:`mimaface.renderers.registry.build` of its frames, empty in jobs of old stores; starts: starts of rendering since the last
    finished frame or orderly end.
    """

    id: str
    portrait: str
    settings: RenderSettings
    name: str
    frames: int
    state: str
    done: int
    code: str = ""
    message: str = ""
    hint: str = ""
    created: float = 0.0
    motion: str = ""
    build: str = ""
    starts: int = 0

    @property
    def waits_for_room(self) -> bool:
        return self.state == "paused" and is_shortage(self.code)

    def to_wire(self) -> dict[str, Any]:
        return {
            "job": self.id, "state": self.state, "frames": self.frames, "done": self.done, "name": self.name,
            "code": self.code, "message": self.message, "hint": self.hint, "created": self.created,
        }  # fmt: skip


def identity_of(portrait: str, motion: str, settings: str, build: str, frames: int) -> str:
    """Returns a job's id, 32 hex digits: a hash of everything that its frames depend on, so that equal requests are one job."""
    return hashlib.sha256("\0".join((portrait, motion, settings, build, str(frames))).encode()).hexdigest()[:32]


def job_of(row: Sequence[Any]) -> Job:
    """Returns the job of a row of ``COLUMNS``. Raises :class:`ValueError` for a damaged row, such as one whose id does not match its fields."""
    texts = [row[place] for place in (0, 1, 2, 3, 5, 7, 8, 9, 11, 12)]
    numbers = [row[place] for place in (4, 6, 13)]
    if not all(isinstance(text, str) for text in texts) or not all(isinstance(number, int) for number in numbers):
        raise ValueError("a field has the wrong type")
    if row[5] not in STATES or min(numbers) < 0 or row[6] > row[4]:
        raise ValueError("a field has an impossible value")
    if not isinstance(row[10], (int, float)) or not math.isfinite(row[10]):
        raise ValueError("the time is not a number")
    if row[12] and identity_of(row[1], row[11], row[2], row[12], row[4]) != row[0]:
        raise ValueError("its id does not match its fields")
    try:
        settings = RenderSettings.from_wire(json.loads(row[2]))
    except (MimaFaceError, ValueError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError("the settings cannot be read") from error
    return Job(row[0], row[1], settings, *row[3:])


def write_record(folder: Path, row: Sequence[Any]) -> None:
    """Write the constant fields of a row of ``COLUMNS`` to the job's folder. Raises :class:`OSError`."""
    fields = dict(zip(COLUMNS.split(", "), row))
    write_whole(folder / RECORD, json.dumps({name: fields[name] for name in RECORDED}).encode(), private=True)


def read_record(folder: Path) -> tuple[Any, ...] | None:
    """Returns the row of a folder's job, paused and without frames; None where the record is missing, damaged or of another folder."""
    try:
        fields = json.loads((folder / RECORD).read_text(encoding="utf-8"))
        fixed = {"id": folder.name, "state": "paused", "done": 0, "code": "", "message": "", "hint": "", "starts": 0}
        row = tuple({**{name: fields[name] for name in RECORDED}, **fixed}[name] for name in COLUMNS.split(", "))
        job_of(row)
        return row
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
