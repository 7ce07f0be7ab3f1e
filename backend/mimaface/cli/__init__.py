"""The ``mimaface`` command: one module per group of commands. Each command imports heavy modules only when it runs."""

from __future__ import annotations

import argparse
import io
import logging
import os
import select
import sys
from collections.abc import Callable

from mimaface import __version__
from mimaface.protocol.errors import InvalidInput, MimaFaceError
from mimaface.shortage import shortage

from . import (
    animate,
    bench,
    data,
    doctor,
    evaluate,
    export,
    inspect,
    live,
    models,
    points,
    record,
    serve,
    track,
    train,
)
from .terminal import INTERRUPTED, UNREAD, USER_ERROR, warn

# in the order of --help
GROUPS = (animate, points, track, record, live, inspect, serve, doctor, bench, models, data, train, evaluate, export)


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return its exit code: 0 success, 1 a check failed, 2 an error with a message, 130 interrupted by Ctrl-C,
    141 the reader of the output has ended, as after ``| head``."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # letters that the terminal's encoding lacks become "?"
    parsed = parser().parse_args(arguments)
    logging.basicConfig(level=logging.INFO if parsed.verbose else logging.WARNING, format="%(levelname)s: %(message)s")
    logging.getLogger("PIL").setLevel(logging.CRITICAL)  # its warnings about damaged tags contain no next step
    command: Callable[[argparse.Namespace], int] = parsed.command
    try:
        code = command(parsed)
        print(end="", flush=True)
        return code
    except MimaFaceError as error:
        warn(str(error))
        return USER_ERROR
    except KeyboardInterrupt:
        warn("stopped")
        return INTERRUPTED
    except Exception as error:
        if isinstance(error, BrokenPipeError) and hasattr(select, "poll") and _is_unread():  # not a pipe to another process, which is a fault
            return UNREAD
        known = shortage(error) or _about_a_file(error)
        if known is None:
            raise
        warn(str(known))
        return USER_ERROR


def _is_unread() -> bool:
    """Returns whether the reader of the output has ended; if so, discards all further output, including what Python writes as it ends."""
    watch = select.poll()
    watch.register(sys.stdout.fileno(), 0)
    unread = any(event & select.POLLERR for _, event in watch.poll(0))
    if unread:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return unread


def _about_a_file(error: Exception) -> MimaFaceError | None:
    """Returns the error for a file or folder that the system refuses, such as one without permission to write; None for other errors."""
    if not isinstance(error, OSError) or error.filename is None:
        return None
    return InvalidInput(f"{error.filename} cannot be used ({error.strerror})", "check its path, and that it may be read and written")


def parser() -> argparse.ArgumentParser:
    """Returns the parser of all commands; ``command`` of its result is the function that runs the chosen one."""
    whole = argparse.ArgumentParser(prog="mimaface", description="Animate one portrait photo with controls, mocap or video.")
    whole.add_argument("--version", action="version", version=f"mimaface {__version__}")
    whole.add_argument("-v", "--verbose", action="store_true", help="print progress messages and information")
    commands = whole.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for group in GROUPS:
        group.add(commands)
    return whole
