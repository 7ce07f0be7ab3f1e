"""Writing a shot: a folder of PNG files or an MP4, each complete or not there."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mimaface.protocol.errors import DiskFull, InvalidInput, NotInstalled, NotWritable

Array = NDArray[Any]


class FrameSink(Protocol):
    """Takes frames in order."""

    def write(self, index: int, image: Array) -> None: ...


class Folder:
    """``000000.png`` and on; a frame appears under its name only when it is whole."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def write(self, index: int, image: Array) -> None:
        target = self.path / f"{index:06d}.png"
        part = target.with_suffix(".png.part")
        with _reported(self.path):
            Image.fromarray(image).save(part, "PNG", compress_level=1)
            part.replace(target)


class Mp4:
    """H.264 in yuv420p with the motion's own frame rate; odd sizes lose their last row or column."""

    def __init__(self, path: Path, rate: float) -> None:
        try:
            import av
        except ImportError as error:
            raise NotInstalled("writing video needs PyAV", 'pip install "mimaface[video]"') from error
        self._av = av
        self._container = av.open(str(path), "w", format="mp4")
        self._rate = Fraction(rate).limit_denominator(1001)
        self._stream: Any = None

    def write(self, index: int, image: Array) -> None:
        height, width = image.shape[0] // 2 * 2, image.shape[1] // 2 * 2
        if self._stream is None:
            self._stream = self._container.add_stream("libx264", rate=self._rate, options={"crf": "16", "preset": "medium"})
            self._stream.width, self._stream.height, self._stream.pix_fmt = width, height, "yuv420p"
        frame = self._av.VideoFrame.from_ndarray(np.ascontiguousarray(image[:height, :width, :3]), format="rgb24")
        frame.pts, frame.time_base = index, 1 / self._rate
        for packet in self._stream.encode(frame):
            self._container.mux(packet)

    def close(self) -> None:
        if self._stream is not None:
            for packet in self._stream.encode():
                self._container.mux(packet)
        self._container.close()


@contextmanager
def open_sink(path: Path, rate: float, overwrite: bool) -> Iterator[FrameSink]:
    """A sink for ``path``: .mp4, or a folder for PNG files. An unfinished MP4 is removed, finished PNG files stay.

    Raises :class:`InvalidInput` when something is there already, :class:`NotWritable` and :class:`DiskFull`.
    """
    with _reported(path):
        if path.suffix.lower() != ".mp4":
            if re.fullmatch(r"\.[A-Za-z]\w{1,4}", path.suffix) and not path.is_dir():
                raise InvalidInput(f"{path.name}: this kind of output is not known", "use a folder or an .mp4 file")
            if path.exists() and any(path.glob("*.png")) and not overwrite:
                raise InvalidInput(f"{path} already holds frames", "choose another folder or add --overwrite")
            for stale in path.glob("[0-9]" * 6 + ".png"):
                stale.unlink()
            path.mkdir(parents=True, exist_ok=True)
            yield Folder(path)
            return
        if path.is_dir() or (path.exists() and not overwrite):
            raise InvalidInput(f"{path} exists", "choose another name or add --overwrite")
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(path.name + ".part")
        sink = Mp4(part, rate)
        try:
            yield sink
            sink.close()
            part.replace(path)
        finally:
            if part.exists():
                sink._container.close()
                part.unlink()


@contextmanager
def _reported(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        import errno

        if error.errno == errno.ENOSPC:
            raise DiskFull(f"the disk of {path} is full", "free some space and run again") from error
        raise NotWritable(f"cannot write to {path}: {error.strerror or error}", "choose another place") from error


def contact_sheet(images: Iterable[Array], columns: int, width: int) -> Array:
    """Pictures (H, W, 3) of one size in rows of ``columns``, each ``width`` pixels wide → one picture."""
    cells = []
    for image in images:
        height = round(width * image.shape[0] / image.shape[1])
        cells.append(np.asarray(Image.fromarray(image[..., :3]).resize((width, height), Image.Resampling.LANCZOS)))
    blank = np.full_like(cells[0], 255)
    cells += [blank] * (-len(cells) % columns)
    return np.vstack([np.hstack(cells[row : row + columns]) for row in range(0, len(cells), columns)])
