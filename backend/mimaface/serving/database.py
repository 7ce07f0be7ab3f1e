"""Opens ``jobs.sqlite``, whatever its condition. Damaged rows are restored from the job folders and logged."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import sqlite3
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from .jobs import COLUMNS, RECORD, job_of, read_record, write_record

log = logging.getLogger(__name__)
NAME = "jobs.sqlite"
SCHEMA = """
CREATE TABLE IF NOT EXISTS jobs (
  id TEXT PRIMARY KEY, portrait TEXT NOT NULL, settings TEXT NOT NULL, name TEXT NOT NULL, frames INTEGER NOT NULL,
  state TEXT NOT NULL, code TEXT NOT NULL DEFAULT '', message TEXT NOT NULL DEFAULT '', hint TEXT NOT NULL DEFAULT '',
  created REAL NOT NULL, motion TEXT NOT NULL DEFAULT '', build TEXT NOT NULL DEFAULT '', done INTEGER NOT NULL DEFAULT 0,
  starts INTEGER NOT NULL DEFAULT 0);
CREATE TABLE IF NOT EXISTS frames (
  job TEXT NOT NULL REFERENCES jobs(id), number INTEGER NOT NULL, sha256 TEXT NOT NULL, PRIMARY KEY (job, number));
"""
ADDED = {"motion": "TEXT NOT NULL DEFAULT ''", "build": "TEXT NOT NULL DEFAULT ''", "done": "INTEGER NOT NULL DEFAULT 0",
         "starts": "INTEGER NOT NULL DEFAULT 0"}  # fmt: skip  # columns that stores of older versions lack
DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR)
REBUILT = "the record of this job was damaged and has been restored from its folder"
LOST = "the record of this job is damaged"
Row = tuple[Any, ...]


def open_database(root: Path) -> sqlite3.Connection:
    """Returns the database of a store, with every row readable. Raises :class:`sqlite3.Error` where it cannot be written."""
    path = root / NAME
    try:
        database = _connected(path)
    except sqlite3.DatabaseError as error:
        if error.sqlite_errorcode & 0xFF not in DAMAGED:
            raise
        aside = path.with_name(f"{NAME}.damaged-{time.strftime('%Y%m%d-%H%M%S')}")
        log.warning("the database %s is damaged (%s): renamed to %s and restored from the job folders", path, error, aside.name)
        for suffix in ("", "-wal", "-shm"):
            with contextlib.suppress(FileNotFoundError):
                path.with_name(NAME + suffix).replace(aside.with_name(aside.name + suffix))
        database = _connected(path)
    database.execute("BEGIN IMMEDIATE")
    database.execute("DELETE FROM frames WHERE typeof(number) != 'integer' OR number < 0 OR typeof(sha256) != 'text'")
    _mend_rows(database, root)
    _adopt(database, root)
    _count(database)
    database.execute("COMMIT")
    return database


def _connected(path: Path) -> sqlite3.Connection:
    database = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
    try:
        database.text_factory = lambda content: content.decode("utf-8", "replace")
        database.execute("PRAGMA journal_mode=WAL")
        (found,) = database.execute("PRAGMA integrity_check(1)").fetchone()
        database.executescript(SCHEMA)
        described = database.execute("PRAGMA table_info(jobs)").fetchall()
        columns = {row[1] for row in described}
        needed = [name for _, name, _, must, otherwise, _ in described if must and otherwise is None and name not in COLUMNS.split(", ")]
        if needed:  # of a newer version, for which no row of this one is whole
            unknown = sqlite3.DatabaseError(f"unknown columns: {', '.join(needed)}")
            unknown.sqlite_errorcode = sqlite3.SQLITE_ERROR
            raise unknown
        for name, kind in ADDED.items():
            if name not in columns:
                database.execute(f"ALTER TABLE jobs ADD COLUMN {name} {kind}")
        database.execute(f"SELECT {COLUMNS} FROM jobs LIMIT 1")
        database.execute("SELECT job, number, sha256 FROM frames LIMIT 1")
    except sqlite3.Error:
        database.close()
        raise
    if found != "ok":
        database.close()
        damage = sqlite3.DatabaseError(found)
        damage.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
        raise damage
    return database


def insert(database: sqlite3.Connection, row: Sequence[Any]) -> None:
    """Insert a row of ``COLUMNS``, or replace the one with its id."""
    database.execute(f"INSERT OR REPLACE INTO jobs ({COLUMNS}) VALUES ({','.join('?' * len(row))})", row)


def _mend_rows(database: sqlite3.Connection, root: Path) -> None:
    """Make every row readable: keep it, restore it from its folder's record, or replace it by a failed job with a message."""
    for row in database.execute(f"SELECT {COLUMNS} FROM jobs").fetchall():
        folder = root / "jobs" / str(row[0])
        try:
            job_of((*row[:6], 0, *row[7:]))  # done is counted afterwards
        except ValueError as error:
            log.warning("the record of job %s is damaged: %s", row[0], error)
            database.execute("DELETE FROM jobs WHERE id IS ?", (row[0],))
            if (
                folder.parent == root / "jobs" and folder.is_dir() and read_record(folder) is None
            ):  # else _adopt finds it, or it is no job's
                database.execute("DELETE FROM frames WHERE job=?", (folder.name,))
                insert(database, _lost(folder.name, row))
            continue
        if not (folder / RECORD).exists() and folder.is_dir():  # a store of an older version
            motion = hashlib.sha256((folder / "motion.npz").read_bytes()).hexdigest() if (folder / "motion.npz").exists() else ""
            row = (*row[:11], row[11] or motion, *row[12:])
            insert(database, row)
            write_record(folder, row)


def _lost(name: str, row: Row) -> Row:
    """Returns the replacement for a row that cannot be restored. Submitting the job again completes it."""
    called = row[3] if isinstance(row[3], str) else ""
    return (name, "", "{}", called, 0, "failed", 0, "internal", LOST, "submit it again: press Generate", 0.0, "", "", 0)


def _adopt(database: sqlite3.Connection, root: Path) -> None:
    """Add the jobs of folders that the database lacks, with their undamaged frames."""
    known = {name for (name,) in database.execute("SELECT id FROM jobs")}
    for folder in sorted((root / "jobs").iterdir()):
        row = None if folder.name in known else read_record(folder)
        if row is None:
            continue
        log.warning("job %s was missing in the database and has been restored with the frames in its folder", folder.name)
        recorded = database.execute("SELECT COUNT(*) FROM frames WHERE job=?", (folder.name,)).fetchone()[0]
        for path in () if recorded else sorted(folder.glob("[0-9]*.png")):
            if path.stem.isdecimal() and _is_whole(path):
                digest = hashlib.sha256(path.read_bytes()).hexdigest()
                database.execute("INSERT OR REPLACE INTO frames (job, number, sha256) VALUES (?,?,?)", (folder.name, int(path.stem), digest))
        insert(database, (*row[:7], "internal", REBUILT, "resume it to continue", *row[10:]))


def _is_whole(path: Path) -> bool:
    """Whether the checksums of a PNG file are right."""
    try:
        with Image.open(path, formats=["PNG"]) as picture:
            picture.verify()
        return True
    except Exception:  # Pillow raises many types for damaged files
        return False


def _count(database: sqlite3.Connection) -> None:
    """Set ``done`` of every job, the frames from the start without a gap. A restored job that has all its frames becomes "done"."""
    query = "SELECT job, MIN(number), MAX(number), COUNT(*) FROM frames GROUP BY job"
    counts = {}
    for job, first, last, count in database.execute(query).fetchall():
        counts[job] = count if first == 0 and last == count - 1 else _until_gap(database, job)
    for name, frames in database.execute("SELECT id, frames FROM jobs").fetchall():
        done = min(counts.get(name, 0), frames)
        database.execute("UPDATE jobs SET done=? WHERE id=? AND done!=?", (done, name, done))
    database.execute(
        "UPDATE jobs SET state='done', code='', message='', hint='' WHERE done=frames AND frames>0 AND message=?", (REBUILT,)
    )


def _until_gap(database: sqlite3.Connection, job: str) -> int:
    numbers = [number for (number,) in database.execute("SELECT number FROM frames WHERE job=? ORDER BY number", (job,))]
    return next((index for index, number in enumerate(numbers) if index != number), len(numbers))
