"""Exit codes, warnings and progress bars of all commands."""

from __future__ import annotations

import argparse
import os
import re
import signal
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from mimaface.protocol.errors import InvalidInput

if TYPE_CHECKING:
    from rich.progress import Progress

Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"

USER_ERROR, INTERRUPTED, UNREAD = 2, 130, 141
STREAM_ADDRESSES = "livelink://:11111, ifacialmocap://PHONE, vts://PHONE, meowface://PHONE, vmc:, openseeface:, webcam:0 or microphone:"


def warn(words: str) -> None:
    """Print a warning or an assumption to stderr."""
    print(f"mimaface: {words}", file=sys.stderr)


def new_output(path: Path, overwrite: bool) -> None:
    """Raise :class:`InvalidInput` for a file that exists, without ``overwrite``, or whose folder does not."""
    if path.exists() and not overwrite:
        raise InvalidInput(f"{path} exists", "choose another name or add --overwrite")
    if not path.parent.is_dir():
        raise InvalidInput(f"{path.parent}: no such folder", "make it, or choose another place")


def not_a_source(output: Path, *sources: Path) -> None:
    """Raise :class:`InvalidInput` for an output that would replace a file, or frames in a folder, of which it is made, with --overwrite too."""
    for source in sources:
        frame = output.is_dir() and re.fullmatch(r"\d{6}\.png", source.name) and source.parent.exists() and source.parent.samefile(output)
        if frame or (output.exists() and source.exists() and source.samefile(output)):
            raise InvalidInput(f"{output}: the shot would replace {source.name}, of which it is made", "choose another output")


def stop_on_signals(stop: threading.Event) -> None:
    """Sets ``stop`` for Ctrl-C, for a request to end, and for a terminal that is closed, so that what is done is kept; on Windows also for
    Ctrl-Break, which ends a process group there."""

    def end(number: int, _: object) -> None:
        if number == getattr(signal, "SIGHUP", None):  # the terminal is gone, and writing to it would fail
            nowhere = os.open(os.devnull, os.O_WRONLY)
            for stream in (1, 2):
                os.dup2(nowhere, stream)
        stop.set()

    for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK"):
        number = getattr(signal, name, None)
        if number is not None and (name == "SIGINT" or signal.getsignal(number) != signal.SIG_IGN):  # nohup goes on without a terminal
            signal.signal(number, end)


def counting_bar() -> Progress:
    """Returns a progress bar that shows the number done, the total, and the time left."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    return Progress(TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), transient=True)
