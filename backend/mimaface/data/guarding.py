"""One clip at a time in a process of its own: what hangs it, ends it or takes too long is set aside, and the next clip goes on.

A clip is the unit of work, wherever it is done. Its result lies on the disk before its answer is given: a *piece*, which is an outcome
(``.json``) and before it, where the clip was kept, a shard of one sample (``.tar``). A unit whose piece is there is done.
"""

from __future__ import annotations

import errno
import json
import multiprocessing
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext, SpawnContext
from pathlib import Path
from typing import Any

from mimaface.protocol.errors import Cancelled, DiskFull, MimaFaceError, NotWritable, OutOfResources, error_from_wire
from mimaface.protocol.files import write_whole

from .recorded import GONE, Clip, Outcome, RecordedConfig, try_sample
from .samples import is_whole, write_shard

START = 300.0  # seconds in which a process has to start; it takes five, and more where many start at once
TRIES = 2  # of a clip that ended its process: the first time it may have been the system's lack of memory
GRACE = 10  # seconds after its limit at which a process that has lost its parent ends itself


@dataclass(frozen=True)
class Unit:
    """A clip, and where its piece belongs: ``piece`` has no suffix."""

    clip: Clip
    piece: Path

    def to_text(self) -> str:
        """One line that :meth:`from_text` reads on any machine; names of files need not be text."""
        return json.dumps([str(self.clip.path), self.clip.key, self.clip.person, str(self.piece)])

    @classmethod
    def from_text(cls, text: str) -> Unit:
        path, key, person, piece = json.loads(text)
        return cls(Clip(Path(path), key, person), Path(piece))

    @property
    def sample(self) -> Path:
        """The shard of one sample, there where the clip was kept."""
        return self.piece.with_suffix(".tar")

    def done(self) -> Outcome | None:
        """What became of the clip in an earlier run; None where that is not whole."""
        try:
            outcome = Outcome(**json.loads(self.piece.with_suffix(".json").read_bytes()))
        except (OSError, ValueError, TypeError):
            return None
        return outcome if outcome.reason or is_whole(self.sample) else None

    def keep(self, outcome: Outcome) -> None:
        """Raises ``OSError``."""
        self.piece.parent.mkdir(parents=True, exist_ok=True)
        write_whole(self.piece.with_suffix(".json"), json.dumps(asdict(outcome)).encode())


@dataclass(frozen=True)
class Answer:
    """A clip's outcome, or the error that stops the run because no clip is to blame: (code, message, hint)."""

    outcome: Outcome | None
    error: tuple[str, str, str] = ("", "", "")

    def checked(self) -> Outcome:
        """The outcome. Raises the error, where it is one."""
        if self.outcome is None:
            raise error_from_wire(*self.error)
        return self.outcome

    @classmethod
    def of_error(cls, error: MimaFaceError) -> Answer:
        return cls(None, (error.code, error.message, error.hint))


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Raises :class:`DiskFull` or :class:`NotWritable` for an ``OSError`` of the block."""
    try:
        yield
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise DiskFull(f"no space is left for {folder}", "free some; the run goes on where it was") from error
        raise NotWritable(f"{folder} cannot be written ({error.strerror or error})", "choose another folder") from error


def work(unit: Unit, config: RecordedConfig) -> Answer:
    """Make the piece of a unit, unless it is there."""
    try:
        earlier = unit.done()
        if earlier is not None:
            return Answer(earlier)
        outcome, sample = try_sample(unit.clip, config)
        with writing(unit.piece.parent):
            if sample is not None:
                write_shard(unit.sample, [sample])
            if outcome.reason != GONE:  # that is not for good: the next run looks again
                unit.keep(outcome)
        return Answer(outcome)
    except MimaFaceError as error:
        return Answer.of_error(error)


def _serve(connection: Connection, config: RecordedConfig, limit: float) -> None:
    """The process: answers unit after unit until nobody asks any more."""
    connection.send("ready")
    while True:
        try:
            unit = connection.recv()
        except (EOFError, OSError):
            return
        if hasattr(signal, "setitimer"):  # the system ends what hangs, also where the parent was killed meanwhile
            signal.setitimer(signal.ITIMER_REAL, limit + GRACE)
        answer = work(unit, config)
        if hasattr(signal, "setitimer"):
            signal.setitimer(signal.ITIMER_REAL, 0)
        try:
            connection.send(answer)
        except OSError:
            return


class Guard:
    """Does units in a process of its own, one at a time, ``limit`` seconds each; a process that is lost is replaced."""

    def __init__(self, config: RecordedConfig, limit: float) -> None:
        self.config, self.limit = config, limit
        self._process: Any = None
        self._connection: Any = None
        self._closed = False

    def __call__(self, unit: Unit) -> Answer:
        """The unit's answer, whatever its clip does to the process. Raises :class:`Cancelled` once :meth:`close` was called."""
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
            with writing(unit.piece.parent):
                unit.keep(outcome)
            return Answer(outcome)
        except Cancelled:
            raise
        except MimaFaceError as error:
            return Answer.of_error(error)

    def close(self) -> None:
        """End the process, from any thread; what it has not finished is not there."""
        self._closed = True
        if self._process is not None:
            self._process.kill()

    def _asked(self, unit: Unit) -> Answer | str:
        """The process's answer, or how it ended: "" where the limit was passed."""
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
        self._process = context.Process(target=_serve, args=(theirs, self.config, self.limit), daemon=True)
        self._process.start()
        theirs.close()
        self._connection = ours
        try:
            if ours.poll(START):
                ours.recv()
                return ours
            how = "takes too long"
        except (EOFError, OSError):
            how = self._end()
        self._end()
        raise OutOfResources(f"a process to read videos with does not start: it {how}", "use fewer --workers, or see: mimaface doctor")

    def _end(self) -> str:
        """Let go of the process, ended or not; how it ended by itself. Raises :class:`Cancelled` once it was closed."""
        process, connection, self._process, self._connection = self._process, self._connection, None, None
        process.join(0.5)
        code = process.exitcode
        if code is None:
            process.kill()
            process.join(5)  # what hangs in a disk that does not answer cannot even be killed
        connection.close()
        if self._closed:
            raise Cancelled("the run was stopped")
        return f"was ended by {signal.Signals(-code).name}" if code is not None and code < 0 else f"ended with code {code}"


def _context() -> ForkServerContext | SpawnContext:
    """Processes that share nothing with this one; where the system can fork, from a server that has everything imported."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    return context
