"""A microphone as a stream: the shape of a mouth from the spectrum of its sound as it comes, in any language, without a model of speech."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Any

from mimaface.drivers.speech.live_mouth import LiveMouth
from mimaface.drivers.speech.sound import RATE
from mimaface.optional import optional
from mimaface.protocol.errors import InvalidInput, MimaFaceError

from .base import Sample
from .device_stream import DeviceStream
from .devices import names_of

# by system: input device of FFmpeg, its names of the usual microphone (none: the first that is listed), and that of a named one
DEVICES: dict[str, tuple[str, tuple[str, ...], str]] = {
    "linux": ("alsa", ("default", "hw:0"), "{}"), "darwin": ("avfoundation", (":default", ":0"), ":{}"), "win32": ("dshow", (), "audio={}"),
}  # fmt: skip
ALSA = "/usr/share/alsa/alsa.conf"  # of the system; wheels of PyAV look for it where they were built


class Microphone(DeviceStream):
    """50 samples a second."""

    name = "Microphone"

    def __init__(self, microphone: str) -> None:
        """Opens a microphone by its name, "" the usual one. Raises :class:`InvalidInput` and :class:`NotInstalled`."""
        super().__init__(f"microphone {microphone}".strip())
        self._container = open_microphone(microphone)
        self._start(self._run)

    def _run(self) -> None:
        problem: Exception = MimaFaceError("the microphone gives no more sound", "plug it in again, and try again")
        try:
            self._read()
        except OSError as error:
            problem.__cause__ = error
        except Exception as error:
            problem = error
        with self._changed:
            self._problem = problem
            self._changed.notify_all()

    def _read(self) -> None:
        import av

        mouth, resampler = LiveMouth(), av.AudioResampler(format="flt", layout="mono", rate=RATE)
        with self._container as container:
            for frame in container.decode(audio=0):
                came = time.monotonic()
                frame.pts = None
                for piece in resampler.resample(frame):
                    shapes = [Sample(seconds, weights) for seconds, weights in mouth.add(piece.to_ndarray()[0])]
                    with self._changed:
                        self._samples.extend(shapes)
                        self._changed.notify_all()
                self.packets += 1
                self._tracked, self.delay = came, time.monotonic() - came
                if self._closing.is_set():
                    return


def open_microphone(name: str) -> Any:
    """Returns the container of a microphone by its name, "" the usual one. Raises :class:`InvalidInput` and :class:`NotInstalled`."""
    av = optional("av", "a microphone needs PyAV", "video")
    if sys.platform not in DEVICES:
        raise InvalidInput(f"microphones are not known on {sys.platform}", "record the voice, and animate with the file")
    device, usual, named = DEVICES[sys.platform]
    if device == "alsa" and Path(ALSA).exists():
        os.environ.setdefault("ALSA_CONFIG_PATH", ALSA)
    there = names_of(device, "audio")
    problem: OSError | None = None
    for path in [named.format(name)] if name else usual or [named.format(each) for each in there[:1]]:
        try:
            return av.open(path, format=device)
        except OSError as error:
            problem = problem or error
        except ValueError as error:  # this FFmpeg lacks the device
            raise InvalidInput(f"this PyAV was built without {device}", 'pip install --upgrade "av>=15"') from error
    known = f"use one of those that are there: {', '.join(there)}" if there else "plug one in, or record the voice and animate with the file"
    reason = (problem.strerror or problem) if problem else "there is none"
    raise InvalidInput(f"microphone:{name}: it cannot be opened ({reason})", known) from problem
