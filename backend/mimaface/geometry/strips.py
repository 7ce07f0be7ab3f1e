"""Processes large pictures in strips of rows: intermediate arrays take the memory of a strip, not of the picture."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from mimaface.protocol.arrays import Array

STRIP = 256  # rows. More: more memory, and fewer rows that are worked on twice where a step looks around


def row_strips(height: int) -> Iterator[slice]:
    """The rows of a picture in strips of an even number of them."""
    return (slice(top, min(top + STRIP, height)) for top in range(0, height, STRIP))


def with_around(rows: slice, reach: int, height: int) -> tuple[slice, slice]:
    """``rows`` with ``reach`` more before and after, where a picture has them; and which of these they are."""
    first = max(rows.start - reach, 0)
    return slice(first, min(rows.stop + reach, height)), slice(rows.start - first, rows.stop - first)


def same(one: Array, other: Array) -> bool:
    """Returns whether two pictures (H, W, …) are equal; where they differ early, it does not look further."""
    return one.shape == other.shape and all(np.array_equal(one[rows], other[rows]) for rows in row_strips(len(one)))


class Changed(NamedTuple):
    """The part of a picture that differs from another one: ``pixels`` (h, w, C), the first at ``top``, ``left`` of the picture."""

    top: int
    left: int
    pixels: Array

    @classmethod
    def of(cls, picture: Array, other: Array) -> Changed:
        """The smallest box of a picture (H, W, C) outside of which it equals ``other``; the whole picture if ``other`` has other channels."""
        if picture.shape != other.shape:
            return cls(0, 0, picture)
        rows, columns = np.zeros(picture.shape[0], bool), np.zeros(picture.shape[1], bool)
        for strip in row_strips(len(picture)):
            differs = (picture[strip] != other[strip]).any(axis=2)
            rows[strip] = differs.any(axis=1)
            columns |= differs.any(axis=0)
        (down, along) = (np.flatnonzero(each) for each in (rows, columns))
        if not len(down):
            return cls(0, 0, picture[:0, :0].copy())
        return cls(down[0], along[0], picture[down[0] : down[-1] + 1, along[0] : along[-1] + 1].copy())

    def on(self, other: Array) -> Array:
        """Returns the picture again, from the same ``other``."""
        if self.pixels.shape[2] != other.shape[2]:
            return self.pixels.copy()
        result = other.copy()
        height, width = self.pixels.shape[:2]
        result[self.top : self.top + height, self.left : self.left + width] = self.pixels
        return result
