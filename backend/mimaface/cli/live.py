"""``mimaface live``: shows a portrait in a window that follows a stream of face capture."""

from __future__ import annotations

import argparse
import contextlib
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mimaface.protocol.errors import InvalidInput, MimaFaceError, NotInstalled
from mimaface.protocol.settings import BODY_FOLLOWS, RenderSettings

from . import marking
from .terminal import STREAM_ADDRESSES, Commands, stop_on_signals, warn

if TYPE_CHECKING:
    from mimaface.drivers.streams import Input
    from mimaface.live import Puppet
    from mimaface.marking.marker import Marker
    from mimaface.output.sinks import FrameSink
    from mimaface.output.window import Window

RATE = 25.0  # frames per second of the film
WAIT = 0.02  # seconds to wait for a packet before the window's events are handled. Higher: the window reacts later; lower: more CPU load
KEYS = "N: set neutral   Esc: end"


def add(commands: Commands) -> None:
    """Add ``live``."""
    live = commands.add_parser("live", help="show a portrait that follows face capture from a phone or another program")
    live.add_argument("portrait", type=Path, help="a photograph of a face")
    live.add_argument("--input", required=True, metavar="ADDRESS", help=STREAM_ADDRESSES)
    live.add_argument("-o", "--output", help="an .mp4 file to write as well, or virtualcam: for a webcam that other programs can open")
    live.add_argument("--size", type=int, default=512, help="pixels of the longer side")
    live.add_argument(
        "--framing", choices=("photo", "face"), default="photo", help="the whole photograph, or the square around the head"
    )
    live.add_argument(
        "--body-follows", type=float, default=BODY_FOLLOWS, metavar="SHARE",
        help="how far the shoulders go with a head that moves far: 0, they stay, to 1 (default: %(default)s)",
    )  # fmt: skip
    live.add_argument("--face", type=int, default=0, help="number of the face in the photograph; 0 is the largest")
    live.add_argument(
        "--seconds", type=float, default=0.0, help="end after so many seconds (default: when the window is closed or at Ctrl-C)"
    )
    marking.add_options(live)
    live.add_argument("--overwrite", action="store_true", help="replace an output that exists")
    live.set_defaults(command=_live)


def _live(parsed: argparse.Namespace) -> int:
    from mimaface.drivers.streams import open_stream
    from mimaface.face.portrait import Portrait
    from mimaface.live import Puppet
    from mimaface.output.sinks import is_film
    from mimaface.output.virtual_camera import is_virtual_camera

    if parsed.output is not None and not is_virtual_camera(parsed.output) and not is_film(Path(parsed.output)):
        raise InvalidInput(f"{parsed.output}: this kind of output is not supported", "use an .mp4 file, or virtualcam:")
    settings = RenderSettings(
        "proxy", parsed.size, parsed.framing, face=parsed.face, watermark=not parsed.no_watermark, body_follows=parsed.body_follows
    )
    portrait = Portrait.open(parsed.portrait, parsed.face)
    for warning in portrait.warnings:
        warn(warning)
    puppet = Puppet(portrait, settings.size, settings.framing, settings.body_follows)
    with contextlib.ExitStack() as stack:
        receiver = stack.enter_context(open_stream(parsed.input))
        window = _window(stack, parsed)
        sink = None
        if parsed.output is not None:
            marker = marking.marker_for(portrait, settings, parsed.consent, parsed.portrait.name)
            sink = _sink(stack, parsed, puppet, marker)
        shown = _run(puppet, receiver, window, sink, parsed.seconds)
    print(f"{shown} pictures shown" + (f"; {parsed.output} is written" if parsed.output else ""))
    return 0


def _sink(stack: contextlib.ExitStack, parsed: argparse.Namespace, puppet: Puppet, marker: Marker) -> FrameSink:
    from mimaface.output.sinks import open_sink
    from mimaface.output.virtual_camera import VirtualCamera, is_virtual_camera

    if not is_virtual_camera(parsed.output):
        return stack.enter_context(open_sink(Path(parsed.output), RATE, parsed.overwrite, marker=marker))
    height, width = puppet.picture().shape[:2]
    camera = stack.enter_context(VirtualCamera(parsed.output, (height, width), RATE, marker))
    print(f"other programs can open it as {camera.name}")
    return camera


def _window(stack: contextlib.ExitStack, parsed: argparse.Namespace) -> Window | None:
    """Returns the window; None, with a warning, where none can be opened but an output is written."""
    from mimaface.output.window import Window

    try:
        return stack.enter_context(Window(f"MIMAFace: {parsed.portrait.name}"))
    except NotInstalled as error:
        if parsed.output is None:
            raise
        warn(f"{error.message}: only {parsed.output} is written")
        return None


def _run(puppet: Puppet, receiver: Input, window: Window | None, sink: FrameSink | None, seconds: float) -> int:
    """Show the newest sample until the window is closed, Escape, Ctrl-C or the end of ``seconds``; return the number of pictures."""
    from mimaface.drivers.streams import newest_of

    stop = threading.Event()
    stop_on_signals(stop)
    picture, newest, shown, written = puppet.picture(), None, 0, 0
    started, delay = time.monotonic(), 0.0
    for now in _ticks(started, seconds, stop, window):
        try:
            samples = receiver.poll(WAIT)
        except MimaFaceError as error:  # the camera was disconnected: keep the film written so far
            warn(str(error))
            break
        fresh: Any = None
        before, newest = newest, newest_of(samples, newest)  # without a face, the last pose stays
        if newest is not before:
            arrived = time.monotonic()
            picture = fresh = puppet.picture(newest)
            shown, delay = shown + 1, receiver.delay + time.monotonic() - arrived
        if window is not None:
            light = "tracking" if receiver.tracking else "no face" if receiver.packets else "waiting for packets"
            line = f"{receiver.name}, {receiver.where}: {light}, {1000 * delay:.0f} ms   {receiver.note or KEYS}"
            window.show(picture if shown <= 1 else fresh, line)
            if "n" in (pressed := window.keys()):
                puppet.set_neutral(newest)
            if "escape" in pressed:
                break
        while sink is not None and written <= (now - started) * RATE:
            sink.write(written, picture)
            written += 1
    return shown


def _ticks(started: float, seconds: float, stop: threading.Event, window: Window | None) -> Iterator[float]:
    while not stop.is_set() and (window is None or window.is_open):
        now = time.monotonic()
        if seconds and now - started >= seconds:
            return
        yield now
