"""Processes clips one at a time in a separate process: a clip that hangs, crashes it or exceeds its time is rejected, and the run
continues.

A clip is the unit of work of all executors. Its result is on disk before its answer is returned: a *piece*, which is an outcome
(``.json``) preceded, if the clip was kept, by a shard of one sample (``.tar``). A unit with a complete piece is done.
"""

from __future__ import annotations

import json
import multiprocessing
import signal
from dataclasses import asdict, dataclass
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext, SpawnContext
from pathlib import Path
from typing import Any

from mimaface.protocol.errors import Cancelled, MimaFaceError, OutOfResources, error_from_wire
from mimaface.protocol.files import writable, write_whole

from .recorded import GONE, Clip, Outcome, RecordedConfig, try_sample
from .samples import is_whole, write_shard

START = 300.0  # seconds in which a process must start; it takes five, more if many start at once
TRIES = 2  # attempts per clip that ends its process: the first failure may be the system's lack of memory
GRACE = 10  # seconds after its limit at which an orphaned process ends itself


@dataclass(frozen=True)
class Unit:
    """A clip and the location of its piece; ``piece`` has no suffix."""

    clip: Clip
    piece: Path

    def to_text(self) -> str:
        """Encodes the unit in one line for :meth:`from_text` on any machine; file names need not be valid text."""
        return json.dumps([str(self.clip.path), self.clip.key, self.clip.person, str(self.piece)])

    @classmethod
    def from_text(cls, text: str) -> Unit:
        path, key, person, piece = json.loads(text)
        return cls(Clip(Path(path), key, person), Path(piece))

    @property
    def sample(self) -> Path:
        """Path of the shard with one sample, which exists if the clip was kept."""
        return self.piece.with_suffix(".tar")

    def done(self) -> Outcome | None:
        """Returns the outcome of an earlier run, or None if it is missing or incomplete."""
        try:
            outcome = Outcome(**json.loads(self.piece.with_suffix(".json").read_bytes()))
        except (OSError, ValueError, TypeError):
            return None
        return outcome if outcome.reason or is_whole(self.sample) else None

    def keep(self, outcome: Outcome) -> None:
        """Writes the outcome. Raises ``OSError``."""
        self.piece.parent.mkdir(parents=True, exist_ok=True)
        write_whole(self.piece.with_suffix(".json"), json.dumps(asdict(outcome)).encode())


@dataclass(frozen=True)
class Answer:
    """A clip's outcome, or an error that stops the run because the clip is not its cause: (code, message, hint)."""

    outcome: Outcome | None
    error: tuple[str, str, str] = ("", "", "")

    def checked(self) -> Outcome:
        """Returns the outcome, or raises the error."""
        if self.outcome is None:
            raise error_from_wire(*self.error)
        return self.outcome

    @classmethod
    def of_error(cls, error: MimaFaceError) -> Answer:
        return cls(None, (error.code, error.message, error.hint))


def work(unit: Unit, config: RecordedConfig) -> Answer:
    """Makes the piece of a unit unless it exists."""
    try:
        earlier = unit.done()
        if earlier is not None:
            return Answer(earlier)
        outcome, sample = try_sample(unit.clip, config)
        if (parent := multiprocessing.parent_process()) is not None and not parent.is_alive():
            return Answer(outcome)  # of a run that was killed: the next one may have completed the shard, and removed its pieces
        with writable(unit.piece.parent):
            if sample is not None:
                write_shard(unit.sample, [sample])
            if outcome.reason != GONE:  # not permanent: the next run retries
                unit.keep(outcome)
        return Answer(outcome)
    except MimaFaceError as error:
        return Answer.of_error(error)


def _serve(connection: Connection, config: RecordedConfig, limit: float) -> None:
    """Main function of the process: answers one unit after another until the connection closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to answer
    connection.send("ready")
    while True:
        try:
            unit = connection.recv()
        except (EOFError, OSError):
            return
        if hasattr(signal, "setitimer"):  # the system ends a hanging process even if the parent was killed
            signal.setitimer(signal.ITIMER_REAL, limit + GRACE)
        answer = work(unit, config)
        if hasattr(signal, "setitimer"):
            signal.setitimer(signal.ITIMER_REAL, 0)
        try:
            connection.send(answer)
        except OSError:
            return


class Guard:
    """Processes units in a separate process, one at a time, ``limit`` seconds each; replaces a lost process."""

    def __init__(self, config: RecordedConfig, limit: float) -> None:
        self.config, self.limit = config, limit
        self._process: Any = None
        self._connection: Any = None
        self._closed = False

    def __call__(self, unit: Unit) -> Answer:
        """Returns the unit's answer, whatever happens to the process. Raises :class:`Cancelled` after :meth:`close`."""
        how = ""
        try:
            for _ in range(TRIES):
                answer = self._asked(unit)
                if isinstance(answer, Answer):
                    return answer
                how = answer
                if how == "":
                    outcome = Outcome(unit.clip.key, "time limit", f"{self.limit:g} s were not enough")
                    break
            else:
                outcome = Outcome(unit.clip.key, "crashed", f"the process that read it {how}, {TRIES} times")
            with writable(unit.piece.parent):
                unit.keep(outcome)
            return Answer(outcome)
        except Cancelled:
            raise
        except MimaFaceError as error:
            return Answer.of_error(error)

    def close(self) -> None:
        """Ends the process; may be called from any thread. Unfinished work is lost."""
        self._closed = True
        if self._process is not None:
            self._process.kill()

    def _asked(self, unit: Unit) -> Answer | str:
        """Returns the process's answer, or how it ended; "" if it exceeded the limit."""
        connection = self._connection or self._start()
        try:
            connection.send(unit)
            if connection.poll(self.limit):
                answer: Answer = connection.recv()
                return answer
        except (EOFError, OSError):
            return self._end()
        self._end()
        return ""

    def _start(self) -> Connection:
        if self._closed:
            raise Cancelled("the run was stopped")
        context = _context()
        ours, theirs = context.Pipe()
        process = context.Process(target=_serve, args=(theirs, self.config, self.limit), daemon=True)
        process.start()
        theirs.close()
        self._process, self._connection = process, ours
        try:
            if ours.poll(START):
                ours.recv()
                return ours
            self._end()
            how = f"is not ready after {START:g} s"
        except (EOFError, OSError):
            how = self._end()
        hint = 'use fewer --workers; a script of yours needs: if __name__ == "__main__"'
        raise OutOfResources(f"a process to read videos with does not start: it {how}", hint)

    def _end(self) -> str:
        """Releases the process and returns how it ended. Raises :class:`Cancelled` after :meth:`close`."""
        process, connection, self._process, self._connection = self._process, self._connection, None, None
        process.join(0.5)
        code = process.exitcode
        if code is None:
            process.kill()
            process.join(5)  # a process that waits for an unresponsive disk cannot be killed
        connection.close()
        if self._closed:
            raise Cancelled("the run was stopped")
        return f"was ended by {signal.Signals(-code).name}" if code is not None and code < 0 else f"ended with code {code}"


def _context() -> ForkServerContext | SpawnContext:
    """Returns a context without shared state; where the system can fork, from a server with all imports loaded."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    return context
