"""Virtual camera, a webcam for other programs, on systems where FFmpeg can feed one: v4l2loopback on Linux."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path

import numpy as np

from mimaface.marking.marker import Marker
from mimaface.optional import optional
from mimaface.protocol.arrays import Array
from mimaface.protocol.errors import InvalidInput, NotWritable

from .sinks import exact_rate, on_black

ADDRESS = "virtualcam"  # as an output: virtualcam: or virtualcam:DEVICE
DEVICES = {"linux": "v4l2"}  # FFmpeg's output device by system
LOOPBACKS = Path("/sys/devices/virtual/video4linux")  # directory of cameras without hardware on Linux
INSTALL = "sudo apt install v4l2loopback-dkms, then sudo modprobe v4l2loopback exclusive_caps=1"
ELSEWHERE = "let OBS Studio capture the window and start its virtual camera, or write an .mp4"


def is_virtual_camera(output: str) -> bool:
    """Returns whether an output is the address of a virtual camera."""
    return output.partition(":")[0] == ADDRESS and ":" in output


class VirtualCamera:
    """Receives frames of one size as YUV 4:2:0; odd sizes lose their last row or column. Use as a context manager."""

    def __init__(self, address: str, size: tuple[int, int], rate: float, marker: Marker | None = None) -> None:
        """size: (height, width). Raises :class:`NotInstalled` without PyAV, and :class:`InvalidInput` if the camera does not
        exist.
        """
        av = optional("av", "a virtual camera needs PyAV", "video")
        if sys.platform not in DEVICES:
            raise InvalidInput(f"{address}: there is no virtual camera on {sys.platform} that could be fed", ELSEWHERE)
        self._av, self._marker, self._height, self._width = av, marker, size[0] // 2 * 2, size[1] // 2 * 2
        self.name = address.partition(":")[2] or _first()
        self._rate = exact_rate(rate)
        try:
            self._container = av.open(self.name, "w", format=DEVICES[sys.platform])
            self._stream = self._container.add_stream("rawvideo", rate=self._rate)
            self._stream.width, self._stream.height, self._stream.pix_fmt = self._width, self._height, "yuv420p"
            self._container.start_encoding()
        except (av.error.FFmpegError, OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise InvalidInput(f"{address}: {self.name} cannot be fed as a virtual camera ({reason})", INSTALL) from error

    def __enter__(self) -> VirtualCamera:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(self._av.error.FFmpegError, OSError):  # the camera has been removed
            self._container.close()

    def write(self, index: int, image: Array, still: bool = False, changed: Array | None = None) -> None:
        """Shows a picture (H, W, 3 or 4) uint8. Raises :class:`NotWritable` after the camera was removed."""
        shown = np.ascontiguousarray(on_black(image[: self._height, : self._width]))
        frame = self._av.VideoFrame.from_ndarray(shown if self._marker is None or still else self._marker.picture(shown), format="rgb24")
        frame.pts, frame.time_base = index, 1 / self._rate
        try:
            for packet in self._stream.encode(frame.reformat(format="yuv420p")):
                self._container.mux(packet)
        except (self._av.error.FFmpegError, OSError) as error:
            raise NotWritable(f"{self.name} takes no more pictures ({error.strerror or error})", "load v4l2loopback again") from error


def _first() -> str:
    """Returns the first virtual camera. Raises :class:`InvalidInput` if there is none."""
    found = sorted(LOOPBACKS.glob("video*"), key=lambda path: (len(path.name), path.name))
    if not found:
        raise InvalidInput("this system has no virtual camera", INSTALL)
    return f"/dev/{found[0].name}"
