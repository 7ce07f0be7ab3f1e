"""A deterministic z-buffer: triangles in pixels → which triangle, where in it, how far. Numba, with a numpy reference."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
NEAR = 1e-3  # metres; triangles that reach closer to the camera are dropped


@dataclass(frozen=True, eq=False)
class Raster:
    """What is seen at each pixel centre.

    triangle (H, W) int32           index of the nearest triangle, −1 where there is none
    barycentric (H, W, 3) float32   perspective-correct weights of its corners
    depth (H, W) float32            metres along the viewing axis, +inf where empty
    """

    triangle: Array
    barycentric: Array
    depth: Array

    @property
    def covered(self) -> Array:
        """(H, W) bool: some triangle is seen."""
        return self.triangle >= 0

    def interpolate(self, triangles: Array, attributes: Array) -> Array:
        """Vertex attributes (V, C) at every pixel → (H, W, C) float32, zero where empty."""
        values = np.ascontiguousarray(attributes, np.float32)
        return np.asarray(_interpolate(self.triangle, self.barycentric, np.ascontiguousarray(triangles, np.int32), values))


def rasterise(points: Array, triangles: Array, height: int, width: int) -> Raster:
    """Rasterise ``points`` (V, 3): u, v in pixels and depth in metres (+ away), with ``triangles`` (N, 3).

    A pixel belongs to a triangle that covers its centre; centres on a shared edge belong to one side (top-left rule), and of
    equal depths the lower triangle index wins. Both windings are drawn.
    """
    return Raster(*_rasterise(np.ascontiguousarray(points, np.float64), np.ascontiguousarray(triangles, np.int32), height, width))


def rasterise_reference(points: Array, triangles: Array, height: int, width: int) -> Raster:
    """The same in plain numpy, a triangle at a time over the whole picture: slow, and what the fast path is tested against."""
    found = np.full((height, width), -1, np.int32)
    weights = np.zeros((height, width, 3), np.float32)
    depth = np.full((height, width), np.inf)
    x, y = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    for index, corners in enumerate(triangles):
        (ax, ay, az), (bx, by, bz), (cx, cy, cz) = np.asarray(points, np.float64)[corners]
        area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
        if area == 0 or min(az, bz, cz) < NEAR:
            continue
        sign = 1.0 if area > 0 else -1.0
        inside = np.ones((height, width), bool)
        edges = []
        for px, py, qx, qy in ((bx, by, cx, cy), (cx, cy, ax, ay), (ax, ay, bx, by)):
            edge = sign * ((qx - px) * (y - py) - (qy - py) * (x - px))
            owns = sign * (qy - py) < 0 or (qy == py and sign * (qx - px) > 0)
            inside &= (edge > 0) | ((edge == 0) & owns)
            edges.append(edge * (1.0 / (sign * area)))
        inverse = edges[0] / az + edges[1] / bz + edges[2] / cz
        with np.errstate(divide="ignore"):
            z = 1.0 / inverse
        nearer = inside & (z < depth)
        depth[nearer], found[nearer] = z[nearer], index
        for corner, (edge, corner_z) in enumerate(zip(edges, (az, bz, cz))):
            weights[nearer, corner] = (edge * z / corner_z)[nearer]
    return Raster(found, weights, depth.astype(np.float32))


@numba.njit(cache=True, nogil=True)
def _rasterise(points: Array, triangles: Array, height: int, width: int) -> tuple[Array, Array, Array]:
    found = np.full((height, width), -1, np.int32)
    weights = np.zeros((height, width, 3), np.float32)
    depth = np.full((height, width), np.inf)
    for index in range(len(triangles)):
        a, b, c = triangles[index]
        ax, ay, az = points[a]
        bx, by, bz = points[b]
        cx, cy, cz = points[c]
        area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
        if area == 0 or not min(az, bz, cz) >= NEAR:
            continue
        sign = 1.0 if area > 0 else -1.0
        left = max(int(np.ceil(min(ax, bx, cx) - 0.5)), 0)
        right = min(int(np.floor(max(ax, bx, cx) - 0.5)), width - 1)
        top = max(int(np.ceil(min(ay, by, cy) - 0.5)), 0)
        bottom = min(int(np.floor(max(ay, by, cy) - 0.5)), height - 1)
        own_a = sign * (cy - by) < 0 or (cy == by and sign * (cx - bx) > 0)
        own_b = sign * (ay - cy) < 0 or (ay == cy and sign * (ax - cx) > 0)
        own_c = sign * (by - ay) < 0 or (by == ay and sign * (bx - ax) > 0)
        scale = 1.0 / (sign * area)
        for row in range(top, bottom + 1):
            y = row + 0.5
            for column in range(left, right + 1):
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
                wa, wb, wc = edge_a * scale, edge_b * scale, edge_c * scale
                z = 1.0 / (wa / az + wb / bz + wc / cz)
                if z < depth[row, column]:
                    depth[row, column] = z
                    found[row, column] = index
                    weights[row, column, 0] = wa * z / az
                    weights[row, column, 1] = wb * z / bz
                    weights[row, column, 2] = wc * z / cz
    return found, weights, depth.astype(np.float32)


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
    """Unit normals (V, 3) of ``vertices`` (V, 3), area-weighted over their triangles, pointing out."""
    corners = vertices[triangles]
    faces = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normals = np.zeros_like(vertices)
    for corner in range(3):
        for axis in range(3):
            normals[:, axis] += np.bincount(triangles[:, corner], faces[:, axis], len(vertices))
    return np.asarray(normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12))
