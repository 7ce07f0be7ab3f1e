"""Opens this computer's cameras by FFmpeg on each system, with error messages for those that cannot be opened."""

from __future__ import annotations

import errno
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mimaface.optional import optional
from mimaface.protocol.errors import InvalidInput

# tried in this order; cameras differ in their modes
RATES: tuple[dict[str, str], ...] = ({"framerate": "30", "video_size": "640x480"}, {"framerate": "30"}, {})


@dataclass(frozen=True)
class System:
    """Camera access of a system.

      device    input device of FFmpeg
      numbered  file name of a numbered camera; "" if FFmpeg has none
      named     file name of a named camera
      options   tried in order until the camera accepts one
      allow     hint that grants a program access to the camera
    """

    device: str
    numbered: str
    named: str
    options: tuple[dict[str, str], ...]
    allow: str


SYSTEMS = {
    "linux": System("v4l2", "/dev/video{}", "{}", RATES, "add yourself to the group that may: sudo usermod -aG video $USER, and log in again"),
    "darwin": System("avfoundation", "{}", "{}", RATES, "allow it in System Settings, Privacy & Security, Camera, and start the program again"),
    "win32": System("dshow", "", "video={}", RATES, "allow it in Settings, Privacy & security, Camera: let desktop apps access your camera"),
}
ABSENT = {errno.ENOENT, errno.ENODEV, errno.ENXIO, errno.ENOTTY, errno.EINVAL}
DENIED = {errno.EACCES, errno.EPERM}


def open_camera(name: str) -> Any:
    """Returns the container of a camera by its number, 0 for the first, or by its name. Raises :class:`InvalidInput` and
    :class:`NotInstalled`.
    """
    av = optional("av", "a webcam needs PyAV", "video")
    system = SYSTEMS.get(sys.platform)
    if system is None:
        raise InvalidInput(f"webcam:{name}: webcams are not known on {sys.platform}", "use a phone, or record a video and animate with it")
    path = _path(system, name)
    problem: Any = None
    for options in system.options:
        try:
            return av.open(path, format=system.device, options=options)
        except (av.error.FFmpegError, OSError) as error:
            problem = error
            if error.errno in (errno.ENOENT, errno.EBUSY, *DENIED):
                break
        except ValueError as error:  # this FFmpeg lacks the device
            raise InvalidInput(f"webcam:{name}: this PyAV was built without {system.device}", 'pip install --upgrade "av>=15"') from error
    raise _refusal(system, name, problem) from problem


def _path(system: System, name: str) -> str:
    """Returns FFmpeg's name of a camera. Raises :class:`InvalidInput` for a number out of range where cameras have only names."""
    if not name.isdecimal():
        return system.named.format(name)
    if system.numbered:
        return system.numbered.format(int(name))
    known = cameras(system)
    if int(name) >= len(known):
        raise _absent(system, name)
    return system.named.format(known[int(name)])


def cameras(system: System) -> list[str]:
    """Returns the names of the connected cameras, if the system reports them."""
    if system.device == "v4l2":
        return sorted(str(path) for path in Path("/dev").glob("video*"))
    return names_of(system.device, "video")


def names_of(device: str, media: str) -> list[str]:
    """Returns the names of the inputs of one of FFmpeg's devices, for "video" or "audio", if the system reports them."""
    import av.device

    try:
        found = av.device.enumerate_input_devices(device)
    except (AttributeError, ValueError, OSError):  # an older PyAV, or a device without a list
        return []
    return [item.description or item.name for item in found if not item.media_types or media in item.media_types]


def _refusal(system: System, name: str, error: Any) -> InvalidInput:
    if error.errno in ABSENT:
        return _absent(system, name)
    if error.errno in DENIED:
        return InvalidInput(f"webcam:{name}: this program is not allowed to use the camera", system.allow)
    if error.errno == errno.EBUSY:
        return InvalidInput(f"webcam:{name}: another program uses the camera", "end it, or its call, and try again")
    reason = error.strerror or error
    hint = f"end other programs that use it; if it may not be used, {system.allow}"
    return InvalidInput(f"webcam:{name}: the camera cannot be opened ({reason})", hint)


def _absent(system: System, name: str) -> InvalidInput:
    known = cameras(system)
    there = f"use one of those that are there: {', '.join(known)} (webcam:0 is the first)" if known else "plug one in, or use a phone"
    return InvalidInput(f"webcam:{name}: no such camera", there)
