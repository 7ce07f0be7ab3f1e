"""Exit codes, warnings and progress bars of all commands."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from rich.progress import Progress

Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"

USER_ERROR, INTERRUPTED = 2, 130
STREAM_ADDRESSES = "livelink://:11111, ifacialmocap://PHONE, vts://PHONE, meowface://PHONE, vmc:, openseeface:, webcam:0 or microphone:"


def warn(words: str) -> None:
    """Print a warning or an assumption to stderr."""
    print(f"mimaface: {words}", file=sys.stderr)


def counting_bar() -> Progress:
    """Returns a progress bar that shows the number done, the total, and the time left."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    return Progress(TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), transient=True)
