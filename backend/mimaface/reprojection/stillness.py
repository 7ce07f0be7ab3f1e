"""Keeps the photograph's own pixels where nothing moves: to cut the person out and paste it back would change its outline.

The outline then does not jump when a take leaves the neutral pose, and a blink changes no hair.
"""

from __future__ import annotations

import numba
import numpy as np
from scipy.ndimage import maximum_filter

from mimaface.face.head import Head
from mimaface.geometry.distances import distances
from mimaface.geometry.interpolation import smoothstep
from mimaface.protocol.arkit import regions_of
from mimaface.protocol.arrays import Array

from . import tuning


class Stillness:
    """Measures how far the surface moves around each knot of the person warp.

    knots (R, C, 2): pixels of the canvas at rest, evenly spaced; place (P, 2): the head's drawn vertices at rest, pixels of the canvas;
    head_width: pixels.
    """

    def __init__(self, knots: Array, place: Array, head_width: float) -> None:
        self._knots, self._place = knots, place
        self._origin, self._step = knots[0, 0], (knots[-1, -1] - knots[0, 0]) / (np.array(knots.shape[1::-1]) - 1)
        self._limits = tuning.SETTLED[0] * head_width, tuning.SETTLED[1] * head_width

    def share(self, knots: Array, shown: Array, points: Array) -> Array:
        """(R, C) float32 share of the photograph at each knot: 1 where nothing moves that is, or was in the photograph, within
        ``STILL_MARGIN`` knots of it.

        knots (R·C, 2 or more): the knots of the frame; shown (N,): those that show something of the person; points (P, 2 or more): the
        head's drawn vertices.
        """
        rest = self._knots.reshape(-1, 2)
        result = distances(knots, rest, 2).reshape(self._knots.shape[:2]).astype(np.float32)
        spread(result, rest[shown], knots[shown], self._origin, self._step)
        spread(result, self._place, points, self._origin, self._step)
        travelled = maximum_filter(result, 2 * tuning.STILL_MARGIN + 1)
        return np.asarray(1 - smoothstep(*self._limits, travelled), np.float32)

    def settle(
        self, share: Array, corner: tuple[int, int], rest: tuple[Array, Array], frame: tuple[Array, Array], still: Array,
        face: tuple[Array, int, int],
    ) -> None:  # fmt: skip
        """Blend a frame's picture and provenance (h, w, 3) uint8 towards those at rest where nothing moves, and write how far into ``still``
        (h, w) float32, all in place; provenance and still are left out where they have no pixels.

        share (R, C): as :meth:`share` returns it; corner: left and top of the frame on the canvas; rest: the photograph (h, w, 3)
        uint8, and the share (h, w) of each of its pixels that is the person; face: its layer (i, j, 4 or more), whose opacity keeps
        what is drawn, for it is the photograph's where it is still, and its first row and column in the frame.
        """
        start = (np.array(corner) + 0.5 - self._origin) / self._step
        (layer, row, column), (picture, provenance) = face, frame
        blend_still(picture, provenance, still, share, start, 1 / self._step, *rest, layer, row, column)


@numba.njit(cache=True, nogil=True)
def spread(travelled: Array, rest: Array, moved: Array, origin: Array, step: Array) -> None:
    """Raise ``travelled`` (R, C), in place, to how far a point goes from ``rest`` to ``moved`` (P, 2 or more), at the knots nearest to both."""
    rows, columns = travelled.shape
    for point in range(len(rest)):
        length = np.hypot(moved[point, 0] - rest[point, 0], moved[point, 1] - rest[point, 1])
        for place in (rest[point], moved[point]):
            across = min(max(int(np.rint((place[0] - origin[0]) / step[0])), 0), columns - 1)
            down = min(max(int(np.rint((place[1] - origin[1]) / step[1])), 0), rows - 1)
            travelled[down, across] = max(travelled[down, across], length)


@numba.njit(cache=True, nogil=True)
def blend_still(  # house: compiled, so it takes the arrays of the frame one by one
    picture: Array, provenance: Array, still: Array, share: Array, start: Array, step: Array, photograph: Array, person: Array, face: Array,
    row: int, column: int,
) -> None:  # fmt: skip
    """See :meth:`Stillness.settle`; share (R, C) float32: of the photograph at each knot, linear between them; start, step (2,): x and y of
    the first pixel, and of a pixel, in knots."""
    height, width = person.shape
    rows, columns = share.shape
    edges = np.empty(columns, np.int64)  # the first pixel of each knot's cell
    for knot in range(columns):
        edges[knot] = min(max(int(np.ceil((knot - start[0]) / step[0])), 0), width)
    edges[0], edges[columns - 1] = 0, width
    for y in range(height):
        v = min(max(start[1] + y * step[1], 0.0), rows - 1.0)
        above = min(int(v), rows - 2)
        down = np.float32(v - above)
        for left in range(columns - 1):
            first = share[above, left] + (share[above + 1, left] - share[above, left]) * down
            second = share[above, left + 1] + (share[above + 1, left + 1] - share[above, left + 1]) * down
            if first == 0 and second == 0:
                continue
            for x in range(edges[left], edges[left + 1]):
                across = np.float32(min(max(start[0] + x * step[0] - left, 0.0), 1.0))
                part = first + (second - first) * across
                i, j = y - row, x - column
                if 0 <= i < face.shape[0] and 0 <= j < face.shape[1]:
                    part *= np.float32(1) - face[i, j, 3]
                if still.size:
                    still[y, x] = part
                origin = np.float32(255) * person[y, x]
                if part == 1:  # the same as below, sooner
                    for channel in range(3):
                        picture[y, x, channel] = photograph[y, x, channel]
                    if provenance.size:
                        provenance[y, x, 0], provenance[y, x, 1] = np.uint8(origin + np.float32(0.5)), 0
                        provenance[y, x, 2] = np.uint8(np.float32(255.5) - origin)
                    continue
                for channel in range(3):
                    value = np.float32(picture[y, x, channel])
                    value += part * (np.float32(photograph[y, x, channel]) - value)
                    picture[y, x, channel] = np.uint8(value + np.float32(0.5))
                if not provenance.size:
                    continue
                value = np.float32(provenance[y, x, 0])
                provenance[y, x, 0] = np.uint8(value + part * (origin - value) + np.float32(0.5))
                value = np.float32(provenance[y, x, 1])
                provenance[y, x, 1] = np.uint8(value - part * value + np.float32(0.5))
                value = np.float32(provenance[y, x, 2])
                provenance[y, x, 2] = np.uint8(value + part * (np.float32(255) - origin - value) + np.float32(0.5))


def moving_share(only: str) -> Array | None:
    """Returns the share (V,) of each vertex in expressions of the regions ``only``, 0 to 1; None if they are the whole head."""
    if not only:
        return None
    regions, head = regions_of(only), Head.load()
    up = head.vertices[:, 1]
    around_eyes = np.linalg.norm(head.vertices[:, None] - head.eye_centres_for(np.zeros(head.identity_size)), axis=2).min(1)
    behind = np.maximum(head.vertices[head.region("lips"), 2].mean() - head.vertices[:, 2], 0)
    below, above = 1 - smoothstep(*tuning.LIPS_UP, up + tuning.LIPS_BACK * behind), smoothstep(*tuning.EYES_UP, up)
    near = 1 - smoothstep(*tuning.LIDS_AROUND, around_eyes)
    shares = {
        "lips": below, "cheeks": 1 - above, "lids": near, "gaze": near, "brows": above,
        "head": np.zeros(len(up)),
    }  # fmt: skip
    return np.asarray(np.max([shares[region] for region in regions], axis=0))
