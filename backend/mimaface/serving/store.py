"""Jobs in SQLite, frames as files. A frame counts once its file is complete on disk and its hash is recorded.

Every file is compared with its hash when it is read. The record of a damaged frame is deleted, so that it is rendered again. A damaged
portrait or motion raises an error until the client sends it again.
"""

from __future__ import annotations

import errno
import hashlib
import json
import logging
import shutil
import sqlite3
import threading
import time
from collections.abc import Iterator, MutableMapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from mimaface.protocol.errors import DiskFull, InternalError, InvalidInput, MimaFaceError, NotWritable, OutOfResources, UnknownJob
from mimaface.protocol.files import write_whole
from mimaface.protocol.settings import RenderSettings
from mimaface.renderers import registry

from .database import open_database
from .home import keep_private
from .jobs import ACTIVE, COLUMNS, LONGEST_NAME, Job, identity_of, job_of, write_record

log = logging.getLogger(__name__)
FOLDERS, PRIVATE = ("portraits", "jobs"), ("jobs.sqlite*", "backend.*", "connection.json")
DEADLY = 2  # crashes of the backend in the same frame after which the job is paused. Higher: more crashes before the user is asked


class Store:
    """One folder: ``jobs.sqlite``, ``portraits/``, ``jobs/<id>/``, readable by its owner only. Safe from several threads.

    Raises :class:`NotWritable` when the folder cannot be used, :class:`DiskFull` when something does not fit, and
    :class:`OutOfResources` when it cannot be written now for another reason that may pass.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._lock = threading.RLock()
        self._unsaved: dict[str, tuple[str, str, str, str]] = {}  # job → state, code, message, hint that could not be written yet
        try:
            for folder in (root, *(root / name for name in FOLDERS)):
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._database = open_database(root)
            keep_private(root, FOLDERS, PRIVATE)
            self._sweep()
        except (OSError, sqlite3.Error) as error:
            raise self._explained(error, "the database", 0) from error

    def close(self) -> None:
        """Close the database, and reset the counts of starts: an orderly end is no crash."""
        with self._lock:
            try:
                self._database.execute("UPDATE jobs SET starts=0")
            except sqlite3.Error as error:
                log.warning("the database could not be closed in order: %s", error)
            self._database.close()

    def put_portrait(self, content: bytes) -> str:
        """Store a picture file and return its name, the SHA-256 of its content. A damaged file of that name is written again."""
        name = hashlib.sha256(content).hexdigest()
        self._write_once(self.root / "portraits" / name, content, name, "the portrait")
        return name

    def portrait(self, name: str) -> bytes:
        """Returns the content of a stored picture. Raises :class:`UnknownJob` where it is missing or damaged."""
        if not (len(name) == 64 and name.isalnum() and name.isascii()):
            raise UnknownJob(f"portrait {name[:16]!r} is unknown", "load the portrait again")
        content = read(self.root / "portraits" / name)
        if content is None:
            raise UnknownJob(f"portrait {name[:12]} is unknown here", "load the portrait again")
        if hashlib.sha256(content).hexdigest() != name:
            raise UnknownJob(f"the file of portrait {name[:12]} is damaged", "load the portrait again")
        return content

    def put_path(self, name: str, path: Path) -> None:
        """Store the path of the file of this SHA-256, a film, which is not copied."""
        self._write(self.root / "portraits" / f"{name}.path", str(path).encode("utf-8", "surrogateescape"), "the path of a film")

    def path(self, name: str) -> Path:
        """Returns the last path given to :meth:`put_path` for a file. Raises :class:`UnknownJob`."""
        content = read(self.root / "portraits" / f"{name}.path")
        if content is None:
            raise UnknownJob(f"the film {name[:12]} is unknown here", "load the film again")
        return Path(content.decode("utf-8", "surrogateescape"))

    def submit(self, portrait: str, settings: RenderSettings, name: str, motion: bytes, frames: int) -> Job:
        """Add a job, or return the existing one: the same request has the same name. Damaged files of the job are written again."""
        text, build, digest = (
            json.dumps(settings.to_wire(), sort_keys=True),
            registry.build(settings.engine),
            hashlib.sha256(motion).hexdigest(),
        )
        identity = identity_of(portrait, digest, text, build, frames)
        row = (identity, portrait, text, name[:LONGEST_NAME], frames, "queued", 0, "", "", "", time.time(), digest, build, 0)
        folder = self.root / "jobs" / identity
        try:
            self._make(folder)
            write_record(folder, row)
        except OSError as error:
            raise self._explained(error, "the job", len(motion)) from error
        self._write_once(folder / "motion.npz", motion, digest, "the motion")
        with self._lock:
            self._change(
                f"INSERT INTO jobs ({COLUMNS}) VALUES ({','.join('?' * len(row))}) ON CONFLICT(id) DO UPDATE SET name=excluded.name, "
                "portrait=excluded.portrait, settings=excluded.settings, frames=excluded.frames, motion=excluded.motion, "
                "build=excluded.build, code='', message='', hint='', starts=0, "
                "state=CASE WHEN state IN ('done','running') AND frames=excluded.frames THEN state ELSE 'queued' END",
                row,
            )
            self._unsaved.pop(identity, None)
        return self.job(identity)

    def job(self, identity: str) -> Job:
        """Raises :class:`UnknownJob`."""
        with self._lock:
            row = self._database.execute(f"SELECT {COLUMNS} FROM jobs WHERE id=?", (identity,)).fetchone()
            if row is None:
                raise UnknownJob(f"job {identity[:12]!r} is unknown", "submit it again")
            return self._job(row)

    def jobs(self, *states: str) -> list[Job]:
        """Jobs in the given states (all without), oldest first."""
        with self._lock:
            rows = self._database.execute(f"SELECT {COLUMNS} FROM jobs ORDER BY created, id").fetchall()
            found = [self._job(row) for row in rows]
        return [job for job in found if not states or job.state in states]

    def interrupted(self) -> list[Job]:
        """Returns the jobs that a starting backend continues. A job in which the backend crashed DEADLY times at one frame is paused."""
        for job in self.jobs(*ACTIVE):
            if job.starts >= DEADLY:
                words = f"the backend ended {job.starts} times while it made frame {job.done} of this"
                self.set_state(
                    job.id, "paused", InternalError.code, words, "resume it to try once more; a smaller size needs less memory"
                )
        return self.jobs(*ACTIVE)

    def set_state(self, identity: str, state: str, code: str = "", message: str = "", hint: str = "") -> None:
        """Set a job's state. Never raises: a state that cannot be written is kept in memory and written with the next one."""
        with self._lock:
            self._unsaved[identity] = (state, code, message, hint)
            try:
                for name, values in list(self._unsaved.items()):
                    ended = "" if values[0] in ACTIVE else ", starts=0"
                    self._database.execute(
                        f"UPDATE jobs SET state=?, code=?, message=?, hint=?{ended} WHERE id=?", (*values, name)
                    )
                    del self._unsaved[name]
            except sqlite3.Error as failure:
                log.warning("the state of %d jobs could not be written yet: %s", len(self._unsaved), failure)

    def begin(self, identity: str) -> None:
        """Set a job to "running" and count the start, which the next frame or an orderly end resets."""
        with self._lock:
            self._change("UPDATE jobs SET starts=starts+1 WHERE id=?", (identity,))
            self.set_state(identity, "running")

    def finish(self, identity: str) -> Job:
        """Set a rendered job to "done", or to "queued" if frames are missing because they were damaged; return it."""
        with self._lock:
            job = self.job(identity)
            self.set_state(identity, "done" if job.done == job.frames else "queued")
            return self.job(identity)

    def motion(self, identity: str) -> bytes:
        """Returns the motion file of a job. Raises :class:`InvalidInput` where it is missing or damaged."""
        content, wanted = read(self.root / "jobs" / identity / "motion.npz"), self.job(identity).motion
        if content is None or (wanted and hashlib.sha256(content).hexdigest() != wanted):
            what = "missing" if content is None else "damaged"
            raise InvalidInput(f"the stored motion of this job is {what}", "submit it again: press Generate")
        return content

    def memory(self, identity: str) -> JobMemory:
        """Returns the state of a job's sampler, which survives a restart: see :data:`mimaface.sampling.clips.Memory`."""
        return JobMemory(self, self.root / "jobs" / identity / "memory")

    def put_frame(self, identity: str, number: int, content: bytes) -> str:
        """Write one frame file and record its SHA-256."""
        digest = hashlib.sha256(content).hexdigest()
        try:
            self._write(self._frame_path(identity, number), content, f"frame {number}")
            with self._lock:
                self._change("INSERT OR REPLACE INTO frames (job, number, sha256) VALUES (?,?,?)", (identity, number, digest))
                self._change("UPDATE jobs SET done=?, starts=1 WHERE id=?", (self._contiguous(identity), identity))
        except DiskFull as error:
            left = self.job(identity).frames - number
            raise DiskFull(
                f"{error.message}; the {left} frames to come need about {in_words(left * len(content))}", error.hint, error.needed
            ) from error
        return digest

    def frame(self, identity: str, number: int) -> tuple[bytes, str] | None:
        """Returns the file and SHA-256 of a recorded frame; None where it is missing or damaged. A damaged one's record is deleted."""
        with self._lock:
            row = self._database.execute("SELECT sha256 FROM frames WHERE job=? AND number=?", (identity, number)).fetchone()
        content = None if row is None else read(self._frame_path(identity, number))
        if row is None or (content is not None and hashlib.sha256(content).hexdigest() == row[0]):
            return None if content is None else (content, row[0])
        log.warning("frame %d of job %s is damaged and will be rendered again", number, identity)
        with self._lock:
            self._change("DELETE FROM frames WHERE job=? AND number=?", (identity, number))
            self._change("UPDATE jobs SET done=MIN(done,?) WHERE id=?", (number, identity))
            if self.job(identity).state == "done":
                self.set_state(identity, "queued")
        return None

    def verify(self, identity: str, stop: int) -> Iterator[int]:
        """Compare the recorded frames before ``stop`` with their files, one per step; delete the records of damaged and missing ones."""
        for number in range(stop):
            self.frame(identity, number)
            yield number

    def _job(self, row: tuple[Any, ...]) -> Job:
        try:
            job = job_of(row)
        except ValueError as error:  # damaged after the database was opened, which repairs such rows
            words = f"the record of this job is damaged: {error}"
            return Job(
                str(row[0]), "", RenderSettings(), "", 0, "failed", 0, "internal", words, "restart the backend, which repairs it"
            )
        if job.id in self._unsaved:
            state, code, message, hint = self._unsaved[job.id]
            job = replace(job, state=state, code=code, message=message, hint=hint)
        return job

    def _contiguous(self, identity: str) -> int:
        """Returns the number of frames from the start without a gap; reads only the rows added since the last count."""
        (done,) = self._database.execute("SELECT done FROM jobs WHERE id=?", (identity,)).fetchone() or (0,)
        query = "SELECT number FROM frames WHERE job=? AND number>=? ORDER BY number"
        for (number,) in self._database.execute(query, (identity, done)):
            if number != done:
                break
            done += 1
        return int(done)

    def _change(self, statement: str, values: tuple[Any, ...]) -> None:
        try:
            self._database.execute(statement, values)
        except sqlite3.Error as error:
            raise self._explained(error, "the database", 0) from error

    def _write_once(self, target: Path, content: bytes, digest: str, what: str) -> None:
        """Write a file unless it exists with this SHA-256."""
        found = read(target)
        if found is None or hashlib.sha256(found).hexdigest() != digest:
            self._write(target, content, what)

    def _frame_path(self, identity: str, number: int) -> Path:
        return self.root / "jobs" / identity / f"{number:06d}.png"

    def _make(self, folder: Path) -> None:
        """Make a folder of the store, and those around it where somebody has deleted them. Raises :class:`OSError`."""
        self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        for each in (folder.parent, folder):
            each.mkdir(mode=0o700, exist_ok=True)

    def _write(self, target: Path, content: bytes, what: str) -> None:
        try:
            self._make(target.parent)
            write_whole(target, content, private=True, durable=True)
        except OSError as error:
            raise self._explained(error, what, len(content)) from error

    def _explained(self, error: OSError | sqlite3.Error, what: str, size: int) -> MimaFaceError:
        """Returns the error for a failed write of ``what``, of ``size`` bytes."""
        number = getattr(error, "errno", None)
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if number in (errno.ENOSPC, errno.EDQUOT) or code == sqlite3.SQLITE_FULL:
            try:
                free = in_words(shutil.disk_usage(self.root).free)
            except OSError:
                free = "nothing"
            needs = f"needs {in_words(size)}" if size else "has to grow"
            return DiskFull(f"{what} {needs}, the disk of {self.root} has {free} left", "free some space, then try again", size)
        if number in (errno.EMFILE, errno.ENFILE):
            return OutOfResources(f"{what} cannot be written now: this computer has too many files open", "try again in a while")
        if number == errno.ENOMEM or code == sqlite3.SQLITE_NOMEM:
            return OutOfResources(
                f"{what} cannot be written now: there is not enough memory", "close other programs, then try again"
            )
        why = error.strerror if isinstance(error, OSError) else str(error)
        return NotWritable(
            f"{what} cannot be written to {self.root}: {why}", "choose a folder you can write to, or change the permissions of this one"
        )

    def _sweep(self) -> None:
        """Delete the unfinished files of a killed process."""
        unfinished = [self.root / "jobs" / job.id for job in self.jobs() if job.state != "done"]
        for folder in (self.root, self.root / "portraits", *unfinished, *(folder / "memory" for folder in unfinished)):
            for path in folder.glob("*.part"):
                path.unlink(missing_ok=True)


class JobMemory(MutableMapping[str, bytes]):
    """Files of a job by name. A file that is damaged or cannot be read counts as absent."""

    def __init__(self, store: Store, folder: Path) -> None:
        self._store, self._folder = store, folder

    def __getitem__(self, name: str) -> bytes:
        content = read(self._folder / name)
        if content is None or hashlib.sha256(content[32:]).digest() != content[:32]:
            raise KeyError(name)
        return content[32:]

    def __setitem__(self, name: str, value: bytes) -> None:
        try:
            self._folder.mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise self._store._explained(error, "the job's state", len(value)) from error
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


def read(path: Path) -> bytes | None:
    """Returns the content of a file; None where it cannot be read. Raises :class:`OutOfResources` without file handles or memory."""
    try:
        return path.read_bytes()
    except OSError as error:
        if error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOMEM):
            raise OutOfResources(f"{path} cannot be read now: {error.strerror}", "try again in a while") from error
        return None


def in_words(size: int) -> str:
    """Returns a number of bytes as text: "512 bytes", "3.4 MB"."""
    return f"{size} bytes" if size < 1_000_000 else f"{size / 1e6:.1f} MB"
