"""The frames of a film in any order, for a player that stops, jumps and goes on."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from mimaface.pictures import Picture, open_picture
from mimaface.protocol.errors import InvalidInput, UnknownJob
from mimaface.protocol.texts import shown

from .film import Film
from .folders import in_order
from .video import video_pictures

# Frames up to which a later one is reached by decoding those between. Raised: jumps forward take longer; lowered: a player that leaves out
# frames looks for the last key frame each time, which may be 250 frames back
AHEAD = 24


class FilmPictures:
    """Reads a film. Frames in their order are the quickest, for the file stays open; not safe from several threads."""

    def __init__(self, film: Film) -> None:
        self._film = film
        self._frames: Iterator[tuple[int, Picture]] = iter(())
        self._last: tuple[int, Picture] | None = None

    def at(self, index: int) -> Picture:
        """Returns frame ``index`` from 0. Raises :class:`UnknownJob` where the film is not there, :class:`InvalidInput` for a changed one."""
        path, last = self._film.path, self._last
        if not path.exists():
            raise UnknownJob(f"the film {shown(path)} is not there any more", "put it back, or load it again")
        self._last = None  # until it is read again, so that an error leaves nothing behind
        if last is None or not 0 <= index - last[0] <= AHEAD:
            last, self._frames = None, self._from(index)
        while last is None or last[0] < index:
            last = next(self._frames, None)
            if last is None:
                raise InvalidInput(f"the film {shown(path)} has no frame {index} any more", "load it again")
        self._last = last
        return last[1]

    def _from(self, index: int) -> Iterator[tuple[int, Picture]]:
        """Yields (number, frame) to the film's end, beginning no later than with ``index``."""
        film = self._film
        if film.path.is_dir():
            yield from ((number, open_picture(path)[0]) for number, path in enumerate(in_order(film.path)[index:], index))
            return
        frames = self._numbered(float(film.times[index]))
        first = next(frames, None)
        if first is not None and first[0] <= index:
            yield first
        else:  # the container's index of key frames is wrong
            frames = self._numbered(0.0)
        yield from frames

    def _numbered(self, since: float) -> Iterator[tuple[int, Picture]]:
        for seconds, picture in video_pictures(self._film.path, since):
            yield int(np.abs(self._film.times - seconds).argmin()), picture
