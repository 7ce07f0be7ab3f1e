"""Deterministic z-buffer rasteriser in Numba, with a numpy reference: triangles in pixels → index, barycentric weights, depth."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numba
import numpy as np

from mimaface.protocol.arrays import Array

from .strips import row_strips

NEAR = 1e-3  # metres; triangles that reach closer to the camera are dropped
CROSSING = 0.01  # pixels of tolerance where an edge crosses a row, far above rounding error
ROUNDING = 4e-14  # bound on the relative float64 error of an edge function, per area of the triangle's box


@dataclass(frozen=True, eq=False)
class Raster:
    """The nearest triangle at each pixel centre.

      triangle (H, W) int32           its index, −1 where empty
      barycentric (H, W, 3) float32   perspective-correct weights of its corners
      depth (H, W) float32            metres along the viewing axis, +inf where empty
    """

    triangle: Array
    barycentric: Array
    depth: Array

    @property
    def covered(self) -> Array:
        """(H, W) bool: whether a triangle covers the pixel."""
        return self.triangle >= 0

    def interpolate(self, triangles: Array, attributes: Array) -> Array:
        """Interpolates vertex attributes (V, C) at each pixel → (H, W, C) float32, zero where empty."""
        values = np.ascontiguousarray(attributes, np.float32)
        return np.asarray(_interpolate(self.triangle, self.barycentric, np.ascontiguousarray(triangles, np.int32), values))


def rasterise(points: Array, triangles: Array, height: int, width: int, rows: tuple[int, int] | None = None) -> Raster:
    """Rasterises ``points`` (V, 3), u, v in pixels and depth in metres (+ away), with ``triangles`` (N, 3).

    rows: first row and the row after the last one, for a part of the picture that is bitwise equal to it; None for all rows.

    A pixel belongs to a triangle that covers its centre; centres on a shared edge belong to one side (top-left rule), and of
    equal depths the lower triangle index wins. Both windings are drawn.
    """
    first, last = rows or (0, height)
    return Raster(*_rasterise(np.ascontiguousarray(points, np.float64), np.ascontiguousarray(triangles, np.int32), first, last, width))


def raster_strips(points: Array, triangles: Array, height: int, width: int) -> Iterator[tuple[slice, Raster]]:
    """:func:`rasterise` some rows at a time, for who needs less of a large picture than all of its raster."""
    return ((rows, rasterise(points, triangles, height, width, (rows.start, rows.stop))) for rows in row_strips(height))


def covered_by(points: Array, triangles: Array, height: int, width: int) -> Array:
    """(H, W) bool: where :func:`rasterise` sees some triangle."""
    return np.concatenate([raster.covered for _, raster in raster_strips(points, triangles, height, width)])


@numba.njit(cache=True, nogil=True)
def _rasterise(  # house: two passes over the same triangles that share their set-up, kept in one compiled function
    points: Array, triangles: Array, start: int, stop: int, width: int
) -> tuple[Array, Array, Array]:
    """Finds the nearest triangle of each pixel first, then its weights, since most drawn pixels are overdrawn and weights need
    divisions.

    Triangles that face the camera are drawn first, so that one comparison rejects those behind them.
    """
    found = np.full((stop - start, width), -1, np.int32)
    depth = np.full((stop - start, width), np.inf)
    for index in _in_view(points, triangles, start, stop, width):
        a, b, c = triangles[index]
        ax, ay, az = points[a]
        bx, by, bz = points[b]
        cx, cy, cz = points[c]
        area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
        low_x, high_x, low_y, high_y = min(ax, bx, cx), max(ax, bx, cx), min(ay, by, cy), max(ay, by, cy)
        left, right = max(int(np.ceil(low_x - 0.5)), 0), min(int(np.floor(high_x - 0.5)), width - 1)
        top, bottom = max(int(np.ceil(low_y - 0.5)), start), min(int(np.floor(high_y - 0.5)), stop - 1)
        nearest = min(az, bz, cz)
        sign = 1.0 if area > 0 else -1.0
        own_a = sign * (cy - by) < 0 or (cy == by and sign * (cx - bx) > 0)
        own_b = sign * (ay - cy) < 0 or (ay == cy and sign * (ax - cx) > 0)
        own_c = sign * (by - ay) < 0 or (by == ay and sign * (bx - ax) > 0)
        scale = 1.0 / (sign * area)
        share_a, share_b, share_c = scale / az, scale / bz, scale / cz
        # lower bound of the triangle's depth, despite rounding in the weights of slivers
        bound = nearest * (1 - ROUNDING * (1 + (high_x - low_x + 1) * (high_y - low_y + 1) * abs(scale)))
        slope_a = (cx - bx) / (cy - by) if cy != by else 0.0
        slope_b = (ax - cx) / (ay - cy) if ay != cy else 0.0
        slope_c = (bx - ax) / (by - ay) if by != ay else 0.0
        for row in range(top, bottom + 1):
            y = row + 0.5
            # columns between the edges on this row with tolerance; the exact test runs only there
            low, high = low_x, high_x
            for near, slope, from_x, from_y in (
                (cy - by, slope_a, bx, by),
                (ay - cy, slope_b, cx, cy),
                (by - ay, slope_c, ax, ay),
            ):
                if near != 0:
                    crossing = from_x + (y - from_y) * slope
                    if sign * near < 0:
                        low = max(low, crossing)
                    else:
                        high = min(high, crossing)
            if not low <= high + 2 * CROSSING:
                continue
            first, last = max(int(np.ceil(low - CROSSING - 0.5)), left), min(int(np.floor(high + CROSSING - 0.5)), right)
            line = row - start
            for column in range(first, last + 1):
                if depth[line, column] < bound:
                    continue
                x = column + 0.5
                edge_a = sign * ((cx - bx) * (y - by) - (cy - by) * (x - bx))
                if edge_a < 0 or (edge_a == 0 and not own_a):
                    continue
                edge_b = sign * ((ax - cx) * (y - cy) - (ay - cy) * (x - cx))
                if edge_b < 0 or (edge_b == 0 and not own_b):
                    continue
                edge_c = sign * ((bx - ax) * (y - ay) - (by - ay) * (x - ax))
                if edge_c < 0 or (edge_c == 0 and not own_c):
                    continue
                z = 1.0 / (edge_a * share_a + edge_b * share_b + edge_c * share_c)
                if z < depth[line, column] or (z == depth[line, column] and index < found[line, column]):
                    depth[line, column] = z
                    found[line, column] = index
    return _weights(points, triangles, found, depth, start)


@numba.njit(cache=True, nogil=True)
def _in_view(points: Array, triangles: Array, start: int, stop: int, width: int) -> Array:
    """Indices of the triangles whose box holds the centre of a pixel of the rows from ``start`` to before ``stop``: those that face the camera
    first, either in the order of ``triangles``."""
    chosen, front, back = np.empty(len(triangles), np.int32), 0, len(triangles)
    for index in range(len(triangles)):
        a, b, c = triangles[index]
        ay, by, cy = points[a, 1], points[b, 1], points[c, 1]
        if max(int(np.ceil(min(ay, by, cy) - 0.5)), start) > min(int(np.floor(max(ay, by, cy) - 0.5)), stop - 1):
            continue
        ax, bx, cx = points[a, 0], points[b, 0], points[c, 0]
        if max(int(np.ceil(min(ax, bx, cx) - 0.5)), 0) > min(int(np.floor(max(ax, bx, cx) - 0.5)), width - 1):
            continue
        area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
        if area == 0 or not min(points[a, 2], points[b, 2], points[c, 2]) >= NEAR:
            continue
        if area < 0:
            chosen[front] = index
            front += 1
        else:
            back -= 1
            chosen[back] = index
    return np.concatenate((chosen[:front], chosen[back:][::-1]))


@numba.njit(cache=True, nogil=True)
def _weights(points: Array, triangles: Array, found: Array, depth: Array, start: int) -> tuple[Array, Array, Array]:
    """Returns found, barycentric weights, and float32 depth, of rows from ``start`` on."""
    height, width = found.shape
    weights = np.empty((height, width, 3), np.float32)
    rounded = np.empty((height, width), np.float32)
    last = np.int32(-1)
    ax, ay, bx, by, cx, cy, sign, share_a, share_b, share_c = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    for row in range(height):
        y = start + row + 0.5
        for column in range(width):
            rounded[row, column] = depth[row, column]
            index = found[row, column]
            if index < 0:
                weights[row, column] = 0
                continue
            if index != last:  # most pixels lie beside one of the same triangle
                last = index
                a, b, c = triangles[index]
                ax, ay, bx, by, cx, cy = points[a, 0], points[a, 1], points[b, 0], points[b, 1], points[c, 0], points[c, 1]
                area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
                sign = 1.0 if area > 0 else -1.0
                scale = 1.0 / (sign * area)
                share_a, share_b, share_c = scale / points[a, 2], scale / points[b, 2], scale / points[c, 2]
            x, z = column + 0.5, depth[row, column]
            weights[row, column, 0] = sign * ((cx - bx) * (y - by) - (cy - by) * (x - bx)) * share_a * z
            weights[row, column, 1] = sign * ((ax - cx) * (y - cy) - (ay - cy) * (x - cx)) * share_b * z
            weights[row, column, 2] = sign * ((bx - ax) * (y - ay) - (by - ay) * (x - ax)) * share_c * z
    return found, weights, rounded


@numba.njit(cache=True, nogil=True)
def _interpolate(found: Array, weights: Array, triangles: Array, attributes: Array) -> Array:
    height, width = found.shape
    channels = attributes.shape[1]
    result = np.zeros((height, width, channels), np.float32)
    for row in range(height):
        for column in range(width):
            index = found[row, column]
            if index >= 0:
                a, b, c = triangles[index]
                wa, wb, wc = weights[row, column]
                for channel in range(channels):
                    result[row, column, channel] = (
                        wa * attributes[a, channel] + wb * attributes[b, channel] + wc * attributes[c, channel]
                    )
    return result


def vertex_normals(vertices: Array, triangles: Array) -> Array:
    """Returns unit normals (V, 3) of ``vertices`` (V, 3), area-weighted over their triangles, pointing outwards."""
    normals = np.zeros_like(vertices)
    for sums in _normal_sums(np.ascontiguousarray(vertices), np.ascontiguousarray(triangles)):
        normals += sums
    return np.asarray(normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12))


@numba.njit(cache=True, nogil=True)
def _normal_sums(vertices: Array, triangles: Array) -> Array:
    """Returns sums (3 corners, V, 3) of face normals, accumulated in the order of the triangles."""
    sums: Array = np.zeros((3, len(vertices), 3))
    for index in range(len(triangles)):
        a, b, c = triangles[index]
        ux, uy, uz = vertices[b, 0] - vertices[a, 0], vertices[b, 1] - vertices[a, 1], vertices[b, 2] - vertices[a, 2]
        vx, vy, vz = vertices[c, 0] - vertices[a, 0], vertices[c, 1] - vertices[a, 1], vertices[c, 2] - vertices[a, 2]
        nx, ny, nz = uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx
        for corner, vertex in enumerate((a, b, c)):
            sums[corner, vertex, 0] += nx
            sums[corner, vertex, 1] += ny
            sums[corner, vertex, 2] += nz
    return sums
