"""``mimaface record``: records a stream of face capture to a motion file."""

from __future__ import annotations

import argparse
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from mimaface.protocol.errors import InvalidMotion, MimaFaceError

from .terminal import STREAM_ADDRESSES, Commands, new_output, stop_on_signals, warn

if TYPE_CHECKING:
    from mimaface.drivers.streams import Input, Recording
    from mimaface.protocol.motion import MotionClip

LOOK = 0.1  # seconds between two checks of the time and of Ctrl-C. Higher: a take ends later


def add(commands: Commands) -> None:
    """Add ``record``."""
    record = commands.add_parser("record", help="record face capture from a phone or another program")
    record.add_argument("--input", required=True, metavar="ADDRESS", help=STREAM_ADDRESSES)
    record.add_argument("-o", "--output", type=Path, required=True, help="the .motion.npz to write")
    record.add_argument("--seconds", type=float, default=0.0, help="length of the take (default: until Ctrl-C, or SIGTERM)")
    record.add_argument("--overwrite", action="store_true", help="replace an output that exists")
    record.set_defaults(command=_record)


def _record(parsed: argparse.Namespace) -> int:
    from mimaface.drivers.streams import Recording, open_stream

    new_output(parsed.output, parsed.overwrite)
    recording, stop = Recording(), threading.Event()
    with open_stream(parsed.input) as receiver:
        stop_on_signals(stop)
        try:
            _listen(receiver, recording, parsed.seconds, stop)
        except MimaFaceError as error:  # the camera was disconnected: keep the samples recorded so far
            if len(recording) == 0:
                raise
            warn(str(error))
        if len(recording) == 0:
            hint = (
                receiver.note
                or "check that both are in one network, that the sender has this computer's address, and the firewall"
            )
            raise InvalidMotion(f"{receiver.name}: no face came from {receiver.where}", hint)
        if receiver.ignored:
            warn(f"{receiver.ignored} packets were left out: of another format, of another sender, or too many")
        name = receiver.name
    clip = recording.finish(name)
    _save(clip, parsed.output, name)
    for warning in clip.meta["warnings"]:
        warn(f"{name}: {warning}")
    print(f"{parsed.output}: {len(clip)} frames, {clip.duration:.1f} s")
    return 0


def _save(clip: MotionClip, output: Path, name: str) -> None:
    """Write the take; where that cannot be, keep it in the user's folder, for nobody performs it again. Raises the error of writing."""
    from mimaface.protocol.captures import captures_folder, keep

    try:
        clip.save(output)
    except MimaFaceError as error:
        raise type(error)(f"{error.message}; the take is kept as {keep(clip, captures_folder(), name)}", error.hint) from error


def _listen(receiver: Input, recording: Recording, seconds: float, stop: threading.Event) -> None:
    """Record until ``stop``, or ``seconds`` after the first sample (0: no limit); without a sample, end after ``seconds``."""
    from rich.progress import Progress, TextColumn

    end = time.monotonic() + seconds if seconds else float("inf")
    begun = False
    with Progress(TextColumn("{task.description}"), transient=True) as bar:
        task = bar.add_task("")
        while not stop.is_set() and time.monotonic() < end:
            for sample in receiver.poll(LOOK):
                if not begun and seconds:
                    end = time.monotonic() + seconds
                begun = True
                if not recording.add(sample):
                    warn("the take has reached its greatest length: recording ended")
                    return
            light = "tracking" if receiver.tracking else "no face" if begun else "waiting"
            bar.update(task, description=f"{receiver.name}, {receiver.where}: {receiver.note or light}, {len(recording)} frames")
