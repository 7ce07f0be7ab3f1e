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
            differs = picture[strip] != other[strip]
            rows[strip] = differs.reshape(len(differs), -1).any(axis=1)
            columns |= differs.any(axis=0).any(axis=1)  # in this order: channel by channel is six times slower
        (down, along) = (np.flatnonzero(each) for each in (rows, columns))
        if not len(down):
            return cls(0, 0, picture[:0, :0].copy())
        return cls(down[0], along[0], picture[down[0] : down[-1] + 1, along[0] : along[-1] + 1].copy())

    def on(self, other: Array, part: tuple[slice, slice] | None = None) -> Array:
        """Returns the picture again, from the same ``other``, or a ``part`` of it: rows and columns."""
        rows, columns = part or (slice(0, len(other)), slice(0, other.shape[1]))
        if self.pixels.shape[2] != other.shape[2]:
            return self.pixels[rows, columns].copy()
        result = other[rows, columns].copy()
        top, left = max(self.top, rows.start), max(self.left, columns.start)
        bottom, right = min(self.top + self.pixels.shape[0], rows.stop), min(self.left + self.pixels.shape[1], columns.stop)
        if top < bottom and left < right:
            changed = self.pixels[top - self.top : bottom - self.top, left - self.left : right - self.left]
            result[top - rows.start : bottom - rows.start, left - columns.start : right - columns.start] = changed
        return result
