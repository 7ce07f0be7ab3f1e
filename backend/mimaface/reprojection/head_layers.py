"""Draws the posed head of one frame as two layers, strip by strip: the whole head, behind the person's sheet, and the face, before it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numba
import numpy as np
from scipy.ndimage import uniform_filter

from mimaface.geometry.distances import bounds
from mimaface.geometry.interpolation import smoothstep
from mimaface.geometry.rasterise import Raster, rasterise
from mimaface.protocol.arrays import Array

from . import tuning
from .person_warp import Box, Rows
from .photograph import Look
from .projection import Projection
from .references import Shown

# raster, look, references, width of a pixel in pixels of the picture → colour, opacity and the share that no pixel shows (h, w, 5)
Shade = Callable[[Raster, Look, list[Shown], float], Array]
STRIP = 1 << 20  # pixels that are drawn at a time. More: 0.2 kB a pixel and thread more memory, and fewer rows are drawn twice


@dataclass(frozen=True, eq=False)
class HeadLayers:
    """A head ready to be drawn in a ``box`` of the canvas.

    points (V, 3): u, v in pixels of the box, depth in metres; look, shown: the face and its references, as ``shade`` takes them;
    openings: vertices of each eye and of the mouth, whose edges are smoothed; seam: pixels over which the sheet ends.
    """

    projection: Projection
    shade: Shade
    box: Box
    points: Array
    look: Look
    shown: list[Shown]
    openings: list[Array]
    seam: int

    def draw(self, rows: Rows, wide: Rows, sheet: Array, kept: Array) -> tuple[Array, Array, Array]:
        """Layers (h, w, 5) of ``rows`` of the box: the whole head, where it shows, and the face; and how much of the sheet is to be kept
        above the first (h, w).

        sheet, kept (i, w): the sheet's opacity and where it is not stretched, of ``wide`` rows: more than ``seam`` before and after, if
        there are.
        """
        left, top, right, bottom = self.box
        raster = rasterise(self.points, self.projection.triangles, bottom - top, right - left, wide)
        inner = np.s_[rows[0] - wide[0] : rows[1] - wide[0]]
        ends, edge = seams(sheet, raster.covered, self.seam)[inner], inner_edge(raster.covered)[inner]
        raster = Raster(raster.triangle[inner], raster.barycentric[inner], raster.depth[inner])
        sheet, kept = sheet[inner], kept[inner] * (1 - ends)
        bare = (sheet * kept < tuning.OPAQUE) & (not self.projection.drawn)  # a drawing has no other side than what is drawn
        wanted = Raster(np.where(bare, raster.triangle, np.int32(-1)), raster.barycentric, raster.depth)
        follow = self.projection.follow
        shell = self.shade(wanted, self.look.opaque(follow), [each.opaque(follow) for each in self.shown], 1.0)
        shell[..., 3] *= edge
        face = self.shade(raster, self.look, self.shown, 1.0)
        self._smooth_edges(face, rows)
        if self.projection.drawn:  # its mouth and chin end at its outline
            face[..., 3] *= sheet
        return shell, face, kept

    def _smooth_edges(self, face: Array, rows: Rows) -> None:
        """Average four samples a pixel where parts meet around eyes and mouth, and on triangles that are painted.

        face (h, w, 5), ``rows`` of the box, is changed in place, but for its last channel.
        """
        projection = self.projection
        first_corner, second_corner, third_corner = (self.look.painted > tuning.PAINTED_LEAST)[projection.triangles.T]
        painted = first_corner | second_corner | third_corner
        limits = 0, 0, self.box[2] - self.box[0], self.box[3] - self.box[1]
        for part in self.openings:
            left, top, right, bottom = around(self.points[part], limits, 3)
            first, last = max(rows[0], top) - top, min(rows[1], bottom) - top
            if right <= left or last <= first:
                continue
            points = (self.points - [left, top, 0]) * [2, 2, 1]
            fine = rasterise(points, projection.triangles, 2 * (bottom - top), 2 * (right - left), (2 * first, 2 * last))
            wanted = where_parts_meet(fine.triangle, projection.part, painted)
            shaded = self.shade(Raster(wanted, fine.barycentric, fine.depth), self.look, self.shown, 0.5)
            average_samples(face[top - rows[0] + first : top - rows[0] + last, left:right], wanted, shaded)


def strips(box: Box, least: int) -> Iterator[Rows]:
    """Rows of a ``box``, counted from its top, as equal parts of about ``STRIP`` pixels, but no fewer rows than ``least``."""
    height, width = box[3] - box[1], box[2] - box[0]
    count = max(min(round(height * width / STRIP), height // max(least, 1)), 1)
    edges = [height * index // count for index in range(count + 1)]
    return ((start, stop) for start, stop in zip(edges, edges[1:]) if stop > start and width > 0)


def widened(rows: Rows, margin: int, limits: Rows) -> Rows:
    """``rows`` with a ``margin`` before and after, inside of ``limits``."""
    return max(rows[0] - margin, limits[0]), min(rows[1] + margin, limits[1])


def around(points: Array, limits: Box, margin: int) -> Box:
    """left, top, right, bottom of the pixels within ``margin`` of points (P, 2 or more), inside of ``limits``."""
    left, top, right, bottom = bounds(points)
    low = np.clip(np.floor((left, top)) - margin, limits[:2], limits[2:])
    high = np.clip(np.ceil((right, bottom)) + margin, low, limits[2:])
    return int(low[0]), int(low[1]), int(high[0]), int(high[1])


def inner_edge(covered: Array) -> Array:
    """(h, w) float32: 1 inside of ``covered`` (h, w) bool, falling to 0 at its outermost pixel, so that the outline is smooth."""
    return np.asarray(np.clip(2 * _mean_around(covered, 1) - 1, 0, 1))


def seams(sheet: Array, head: Array, reach: int) -> Array:
    """(h, w) float32: 1 where the warped person, of opacity ``sheet`` (h, w) in [0, 1], ends inside the ``head`` (h, w) bool; falls to 0
    ``reach`` pixels inside the person. The person ends there at the photograph's outline, which contains some background."""
    edge = 1 - smoothstep(*tuning.SEAM_WARP, _mean_around(sheet, reach))
    return np.asarray(edge * smoothstep(*tuning.SEAM_HEAD, _mean_around(head, reach)), np.float32)


def _mean_around(values: Array, reach: int) -> Array:
    """Mean (h, w) float32 of ``values`` (h, w) over the square that reaches ``reach`` pixels to every side."""
    return np.asarray(uniform_filter(values.astype(np.float32), 2 * reach + 1, mode="nearest"))


@numba.njit(cache=True, nogil=True)
def where_parts_meet(found: Array, part: Array, painted: Array) -> Array:
    """The triangles (2h, 2w) int32 that a raster of four samples a pixel has ``found`` (2h, 2w), −1 but at the pixels in which parts meet, or
    a triangle is painted; part (N,), painted (N,) bool: of each triangle."""
    result = np.full(found.shape, np.int32(-1))
    for y in range(0, found.shape[0], 2):
        for x in range(0, found.shape[1], 2):
            first = found[y, x]
            meet = False
            for index in (first, found[y, x + 1], found[y + 1, x], found[y + 1, x + 1]):
                if index >= 0 and painted[index]:
                    meet = True
                elif index < 0 or first < 0:
                    meet |= (index < 0) != (first < 0)
                else:
                    meet |= part[index] != part[first]
            if meet:
                result[y : y + 2, x : x + 2] = found[y : y + 2, x : x + 2]
    return result


@numba.njit(cache=True, nogil=True)
def average_samples(layer: Array, wanted: Array, samples: Array) -> None:
    """Colours and opacity of a ``layer`` (h, w, 5), in place, become the means of four ``samples`` (2h, 2w, 5) a pixel, weighted by their
    opacity, in pixels of which some are ``wanted`` (2h, 2w): not −1."""
    height, width = layer.shape[:2]
    for y in range(height):
        for x in range(width):
            places = (2 * y, 2 * x), (2 * y, 2 * x + 1), (2 * y + 1, 2 * x), (2 * y + 1, 2 * x + 1)
            if max(wanted[places[0]], wanted[places[1]], wanted[places[2]], wanted[places[3]]) < 0:
                continue
            red, green, blue, total = np.float32(0), np.float32(0), np.float32(0), np.float32(0)
            for place in places:
                sample = samples[place]
                red, green, blue = red + sample[0] * sample[3], green + sample[1] * sample[3], blue + sample[2] * sample[3]
                total += sample[3]
            least = max(total, np.float32(1e-6))
            layer[y, x, 0], layer[y, x, 1], layer[y, x, 2] = red / least, green / least, blue / least
            layer[y, x, 3] = total / np.float32(4)
