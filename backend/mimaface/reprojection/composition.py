"""Composes layers into a picture and its provenance."""

from __future__ import annotations

from typing import NamedTuple

import numba
import numpy as np

from mimaface.protocol.arrays import Array

Part = tuple[slice, slice]  # rows and columns of a picture, as numbers of pixels


class Origins(NamedTuple):
    """The provenance of a part of a picture: ``pixels`` (h, w, 3) uint8, or none, whose first one is at ``top``, ``left`` of the picture."""

    top: int
    left: int
    pixels: Array

    @classmethod
    def background(cls, part: Part | None) -> Origins:
        """That of a ``part`` of a picture that shows the background alone; without pixels for None."""
        rows, columns = part or (slice(0, 0), slice(0, 0))
        pixels = np.zeros((rows.stop - rows.start, columns.stop - columns.start, 3), np.uint8)
        pixels[..., 2] = 255
        return cls(rows.start, columns.start, pixels)

    def seen_from(self, top: int, left: int) -> Origins:
        """The same pixels, counted from another corner of the picture."""
        return Origins(self.top - top, self.left - left, self.pixels)

    def shared(self, place: Part) -> tuple[Part, Part]:
        """What these pixels and a ``place`` of the picture share: as a part of these, and of the place."""
        mine, its = [], []
        for start, size, wanted in zip((self.top, self.left), self.pixels.shape, place):
            first = max(start, wanted.start)
            last = max(min(start + size, wanted.stop), first)
            mine.append(slice(first - start, last - start))
            its.append(slice(first - wanted.start, last - wanted.start))
        return (mine[0], mine[1]), (its[0], its[1])

    def at(self, place: Part) -> Array:
        """Returns the provenance of a ``place`` of the picture, for kernels to write: none if nothing of it is wanted."""
        mine, its = self.shared(place)
        own = self.pixels[mine]
        shape = tuple(each.stop - each.start for each in place)
        if own.shape[:2] == shape or not own.size:
            return own
        result = np.zeros((*shape, 3), np.uint8)
        result[its] = own
        return result

    def put(self, place: Part, provenance: Array) -> None:
        """Takes over what is wanted of a ``provenance`` that :meth:`at` returned for the same ``place``."""
        if provenance.size:
            mine, its = self.shared(place)
            self.pixels[mine] = provenance[its]


@numba.njit(cache=True, nogil=True)
def compose(  # house: compiled, so it takes the arrays of layers one by one
    photograph: Array, behind: Array, invented: Array, shell: Array, sheet: Array, kept: Array, over: Array, row: int, column: int,
    picture: Array, provenance: Array, cover: Array,
) -> None:  # fmt: skip
    """Four layers become picture and provenance (h, w, 3) uint8, and how much of the hindmost is covered (h, w) float32, in place: where
    only the hindmost shows, they stay as they are. Provenance and cover are left out where they have no pixels.

    From the back the layers are the ``photograph`` (h, w, 3) uint8, of which ``invented`` (h, w) gives way to what is ``behind`` (h, w, 3)
    uint8; ``shell`` (i, j, 5); ``sheet`` (h, w, 4); and ``over`` (i, j, 4 or more). Shell and over are nothing but at i rows and j columns
    from ``row`` and ``column`` on.

    Colours are 0 to 255, opacities 0 to 1; the sheet's colours are times its opacity. Of the sheet only the share ``kept`` (h, w)
    shows where the shell is below it. The provenance says how much of a pixel is the photographed person, how much is shown by no
    pixel of the photograph, and how much is the photographed background.
    """
    height, width = kept.shape
    for y in range(height):
        for x in range(width):
            i, j = y - row, x - column
            head = 0 <= i < shell.shape[0] and 0 <= j < shell.shape[1]
            if not head or (shell[i, j, 3] == 0 and over[i, j, 3] == 0):
                if sheet[y, x, 3] == 0:
                    continue
                if sheet[y, x, 3] == 1:  # the same as below, sooner
                    if cover.size:
                        cover[y, x] = 1
                    if provenance.size:
                        provenance[y, x, 0], provenance[y, x, 1], provenance[y, x, 2] = 255, 0, 0
                    for channel in range(3):
                        picture[y, x, channel] = np.uint8(min(max(sheet[y, x, channel], 0.0), 255.0) + 0.5)
                    continue
            i, j = (i, j) if head else (0, 0)
            below, top = (shell[i, j, 3], over[i, j, 3]) if head else (np.float32(0), np.float32(0))
            share = 1 - below * (1 - kept[y, x])
            through = (1 - top) * (1 - share * sheet[y, x, 3])
            if cover.size:
                cover[y, x] = 1 - through * (1 - below)
            if provenance.size:
                unseen = through * (below * shell[i, j, 4] + (1 - below) * invented[y, x])
                rest = through * (1 - below) * (1 - invented[y, x])
                provenance[y, x, 0] = np.uint8(255 * min(max(1 - unseen - rest, 0.0), 1.0) + 0.5)
                provenance[y, x, 1] = np.uint8(255 * min(max(unseen, 0.0), 1.0) + 0.5)
                provenance[y, x, 2] = np.uint8(255 * min(max(rest, 0.0), 1.0) + 0.5)
            for channel in range(3):
                value = np.float32(photograph[y, x, channel])
                value += invented[y, x] * (np.float32(behind[y, x, channel]) - value)
                value += below * (shell[i, j, channel] - value)
                value = value * (1 - share * sheet[y, x, 3]) + share * sheet[y, x, channel]
                value += top * (over[i, j, channel] - value)
                picture[y, x, channel] = np.uint8(min(max(value, 0.0), 255.0) + 0.5)


@numba.njit(cache=True, nogil=True)
def hindmost(picture: Array, provenance: Array, photograph: Array, behind: Array, invented: Array) -> None:
    """Write picture and provenance (h, w, 3) uint8 of the hindmost layer alone, in place; a provenance without pixels is not written."""
    height, width = invented.shape
    for y in range(height):
        for x in range(width):
            share = invented[y, x]
            if share == 0 or share == 1:  # the same as below, sooner
                for channel in range(3):
                    picture[y, x, channel] = behind[y, x, channel] if share else photograph[y, x, channel]
                if provenance.size:
                    provenance[y, x, 0], provenance[y, x, 1], provenance[y, x, 2] = 0, 255 * np.uint8(share), 255 * np.uint8(1 - share)
                continue
            for channel in range(3):
                value = np.float32(photograph[y, x, channel])
                value += share * (np.float32(behind[y, x, channel]) - value)
                picture[y, x, channel] = np.uint8(value + np.float32(0.5))
            if provenance.size:
                exact = np.float64(share)
                provenance[y, x, 0] = 0
                provenance[y, x, 1] = np.uint8(255 * exact + 0.5)
                provenance[y, x, 2] = np.uint8(255 * (1 - exact) + 0.5)
