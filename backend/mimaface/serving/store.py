"""Jobs in SQLite, frames as files. A frame counts once its file is complete on disk and its hash is recorded."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import sqlite3
import threading
import time
from collections.abc import Iterator, MutableMapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mimaface.animate import engine_build
from mimaface.protocol.errors import DiskFull, NotWritable, UnknownJob
from mimaface.protocol.settings import RenderSettings

ACTIVE = ("queued", "running")
SCHEMA = """
CREATE TABLE IF NOT EXISTS jobs (
  id TEXT PRIMARY KEY, portrait TEXT NOT NULL, settings TEXT NOT NULL, name TEXT NOT NULL, frames INTEGER NOT NULL,
  state TEXT NOT NULL, code TEXT NOT NULL DEFAULT '', message TEXT NOT NULL DEFAULT '', hint TEXT NOT NULL DEFAULT '',
  created REAL NOT NULL);
CREATE TABLE IF NOT EXISTS frames (
  job TEXT NOT NULL REFERENCES jobs(id), number INTEGER NOT NULL, sha256 TEXT NOT NULL, PRIMARY KEY (job, number));
"""


@dataclass(frozen=True)
class Job:
    """state: queued, running, paused, done, failed or cancelled; done: frames finished from the start without a gap."""

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

    def to_wire(self) -> dict[str, Any]:
        return {
            "job": self.id, "state": self.state, "frames": self.frames, "done": self.done, "name": self.name,
            "code": self.code, "message": self.message, "hint": self.hint, "created": self.created,
        }  # fmt: skip


class Store:
    """One folder: ``jobs.sqlite``, ``portraits/``, ``jobs/<id>/``. Safe from several threads.

    Raises :class:`NotWritable` when the folder cannot be used and :class:`DiskFull` when a frame does not fit.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._lock = threading.RLock()
        try:
            for folder in (root / "portraits", root / "jobs"):
                folder.mkdir(parents=True, exist_ok=True)
            probe = root / ".probe"
            probe.write_bytes(b"")
            probe.unlink()
            self._database = sqlite3.connect(root / "jobs.sqlite", check_same_thread=False, isolation_level=None)
            self._database.execute("PRAGMA journal_mode=WAL")
            self._database.executescript(SCHEMA)
        except (OSError, sqlite3.Error) as error:
            raise NotWritable(f"the folder {root} cannot be used: {error}", "choose a folder you can write to") from error

    def close(self) -> None:
        with self._lock:
            self._database.close()

    def put_portrait(self, content: bytes) -> str:
        """Keep a picture file; the same content has the same name."""
        name = hashlib.sha256(content).hexdigest()
        target = self.root / "portraits" / name
        if not target.exists():
            self._write(target, content, "the portrait")
        return name

    def portrait(self, name: str) -> bytes:
        """Raises :class:`UnknownJob` for a portrait that was never sent."""
        if not (len(name) == 64 and name.isalnum()):
            raise UnknownJob(f"portrait {name[:16]!r} is unknown", "load the portrait again")
        try:
            return (self.root / "portraits" / name).read_bytes()
        except OSError as error:
            raise UnknownJob(f"portrait {name[:12]} is unknown here", "load the portrait again") from error

    def submit(self, portrait: str, settings: RenderSettings, name: str, motion: bytes, frames: int) -> Job:
        """Accept a job, named by what it shows: the same portrait, motion, settings and weights are the same job."""
        text = json.dumps(settings.to_wire(), sort_keys=True)
        parts = (portrait.encode(), hashlib.sha256(motion).digest(), text.encode(), engine_build(settings.engine).encode())
        identity = hashlib.sha256(b"\0".join(parts)).hexdigest()[:32]
        folder = self.root / "jobs" / identity
        folder.mkdir(parents=True, exist_ok=True)
        if not (folder / "motion.npz").exists():
            self._write(folder / "motion.npz", motion, "the motion")
        with self._lock:
            self._database.execute(
                "INSERT INTO jobs (id, portrait, settings, name, frames, state, created) VALUES (?,?,?,?,?,'queued',?) "
                "ON CONFLICT(id) DO UPDATE SET name=excluded.name, code='', message='', hint='', "
                "state=CASE WHEN state IN ('done','running') THEN state ELSE 'queued' END",
                (identity, portrait, text, name, frames, time.time()),
            )
        self.verify(identity)
        return self.job(identity)

    def job(self, identity: str) -> Job:
        """Raises :class:`UnknownJob`."""
        with self._lock:
            row = self._database.execute(
                "SELECT id, portrait, settings, name, frames, state, code, message, hint, created FROM jobs WHERE id=?",
                (identity,),
            ).fetchone()
            if row is None:
                raise UnknownJob(f"job {identity[:12]!r} is unknown", "submit it again")
            numbers = [n for (n,) in self._database.execute("SELECT number FROM frames WHERE job=? ORDER BY number", (identity,))]
        done = next((index for index, number in enumerate(numbers) if index != number), len(numbers))
        settings = RenderSettings.from_wire(json.loads(row[2]))
        return Job(row[0], row[1], settings, row[3], row[4], row[5], done, row[6], row[7], row[8], row[9])

    def jobs(self, *states: str) -> list[Job]:
        """Jobs in the given states (all without), oldest first."""
        with self._lock:
            rows = self._database.execute("SELECT id, state FROM jobs ORDER BY created, id").fetchall()
        return [self.job(identity) for identity, state in rows if not states or state in states]

    def set_state(self, identity: str, state: str, code: str = "", message: str = "", hint: str = "") -> None:
        with self._lock:
            self._database.execute(
                "UPDATE jobs SET state=?, code=?, message=?, hint=? WHERE id=?", (state, code, message, hint, identity)
            )

    def motion(self, identity: str) -> bytes:
        return (self.root / "jobs" / identity / "motion.npz").read_bytes()

    def memory(self, identity: str) -> JobMemory:
        """What the job's engine keeps between runs."""
        return JobMemory(self, self.root / "jobs" / identity / "memory")

    def put_frame(self, identity: str, number: int, content: bytes) -> str:
        """Write one frame file and record its SHA-256."""
        digest = hashlib.sha256(content).hexdigest()
        self._write(self._frame_path(identity, number), content, f"frame {number}")
        with self._lock:
            self._database.execute("INSERT OR REPLACE INTO frames VALUES (?,?,?)", (identity, number, digest))
        return digest

    def frame(self, identity: str, number: int) -> tuple[bytes, str] | None:
        """The file and hash of a recorded frame; None when there is none or it is damaged (then it is forgotten)."""
        with self._lock:
            row = self._database.execute("SELECT sha256 FROM frames WHERE job=? AND number=?", (identity, number)).fetchone()
        if row is None:
            return None
        try:
            content = self._frame_path(identity, number).read_bytes()
        except OSError:
            content = b""
        if hashlib.sha256(content).hexdigest() == row[0]:
            return content, row[0]
        with self._lock:
            self._database.execute("DELETE FROM frames WHERE job=? AND number=?", (identity, number))
            self._database.execute("UPDATE jobs SET state='queued' WHERE id=? AND state='done'", (identity,))
        return None

    def verify(self, identity: str) -> None:
        """Compare every recorded frame with its file; damaged and missing ones are forgotten and rendered again."""
        with self._lock:
            numbers = [n for (n,) in self._database.execute("SELECT number FROM frames WHERE job=?", (identity,))]
        for number in numbers:
            self.frame(identity, number)

    def _frame_path(self, identity: str, number: int) -> Path:
        return self.root / "jobs" / identity / f"{number:06d}.png"

    def _write(self, target: Path, content: bytes, what: str) -> None:
        part = target.with_name(target.name + ".part")
        try:
            with part.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            part.replace(target)
        except OSError as error:
            part.unlink(missing_ok=True)  # also makes room for the database to note what happened
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                free = shutil.disk_usage(self.root).free
                raise DiskFull(
                    f"{what} needs {len(content)} bytes, the disk of {self.root} has {free} left", "free some space, then resume"
                ) from error
            raise NotWritable(f"{what} cannot be written to {self.root}: {error.strerror}", "check the folder") from error


class JobMemory(MutableMapping[str, bytes]):
    """Files of a job by name, each whole or absent; one that cannot be read, or is damaged, is as absent."""

    def __init__(self, store: Store, folder: Path) -> None:
        self._store, self._folder = store, folder

    def __getitem__(self, name: str) -> bytes:
        try:
            content = (self._folder / name).read_bytes()
        except OSError as error:
            raise KeyError(name) from error
        digest, value = content[:32], content[32:]
        if hashlib.sha256(value).digest() != digest:
            raise KeyError(name)
        return value

    def __setitem__(self, name: str, value: bytes) -> None:
        self._folder.mkdir(exist_ok=True)
        self._store._write(self._folder / name, hashlib.sha256(value).digest() + value, "the job's state")

    def __delitem__(self, name: str) -> None:
        try:
            (self._folder / name).unlink()
        except OSError as error:
            raise KeyError(name) from error

    def __iter__(self) -> Iterator[str]:
        return (path.name for path in sorted(self._folder.glob("*")) if path.suffix != ".part")

    def __len__(self) -> int:
        return sum(1 for _ in self)
