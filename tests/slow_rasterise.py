"""The slow twin of the rasteriser."""

import numpy as np

from mimaface.geometry.rasterise import NEAR, Raster
from mimaface.protocol.arrays import Array


def rasterise_reference(points: Array, triangles: Array, height: int, width: int) -> Raster:
    """The same in plain numpy, one triangle at a time over the whole picture: the slow reference for tests."""
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
            edges.append(edge)
        scale = 1.0 / (sign * area)
        nearness = [edge * (scale / corner_z) for edge, corner_z in zip(edges, (az, bz, cz))]
        with np.errstate(divide="ignore"):
            z = 1.0 / (nearness[0] + nearness[1] + nearness[2])
        nearer = inside & (z < depth)
        depth[nearer], found[nearer] = z[nearer], index
        for corner in range(3):
            weights[nearer, corner] = (nearness[corner] * z)[nearer]
    return Raster(found, weights, depth.astype(np.float32))
