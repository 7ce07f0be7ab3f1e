"""Large pictures some rows at a time: what a step makes on its way takes the memory of a strip, not of the picture."""

from __future__ import annotations

from collections.abc import Iterator

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
