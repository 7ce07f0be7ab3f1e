"""Crops of a face by least-squares similarities onto the templates of the released networks (spec 1.8)."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from mimaface.geometry.similarity import Similarity
from mimaface.protocol.arrays import Array

# eye centres (image left first), nose tip and mouth corners in the 256 × 256 crop of the reconstruction network
FIVE_POINTS_256 = np.array(
    [[92.5892, 103.3926], [163.0636, 103.0028], [128.0504, 143.4732], [99.0986, 184.7310], [157.4598, 184.4082]]
)
# corners of the square template in the 512 × 512 crop
BOX_512 = np.array([[80.0, 80.0], [80.0, 432.0], [432.0, 432.0], [432.0, 80.0]])
# landmark indices: corners of the image-left and image-right eye, nose tip, image-left and image-right mouth corner
LEFT_EYE, RIGHT_EYE, NOSE, MOUTH = (33, 133), (362, 263), 1, (61, 291)


def similarity(source: ArrayLike, target: ArrayLike) -> Array:
    """Returns the similarity (2, 3) with the least squared error from points (P, 2) to points (P, 2)."""
    return Similarity.between(source, target).matrix


def five_points(landmarks: ArrayLike) -> Array:
    """478 landmarks (478, 2 or 3) → eye centres, nose tip, mouth corners (5, 2), image left first."""
    points = np.asarray(landmarks)[:, :2]
    eyes = [points[list(pair)].mean(0) for pair in (LEFT_EYE, RIGHT_EYE)]
    return np.stack([*eyes, points[NOSE], points[MOUTH[0]], points[MOUTH[1]]])


def face_affine(points: ArrayLike) -> Array:
    """Five points (5, 2) → the similarity (2, 3) onto the reconstruction network's 256 × 256 crop."""
    return similarity(points, FIVE_POINTS_256)


def inverted(transform: ArrayLike) -> Array:
    """Returns the inverse (…, 2, 3) of affine maps (…, 2, 3) of the plane."""
    matrix = np.asarray(transform, np.float64)
    linear = np.linalg.inv(matrix[..., :2])
    return np.concatenate([linear, -linear @ matrix[..., 2:]], axis=-1)


def applied(transform: ArrayLike, points: ArrayLike) -> Array:
    """Applies affine maps (…, 2, 3) to points (…, P, 2)."""
    matrix = np.asarray(transform, np.float64)
    return np.asarray(np.asarray(points) @ np.swapaxes(matrix[..., :2], -1, -2) + matrix[..., None, :, 2])


def box_corners(box: ArrayLike) -> Array:
    """Box [[left, top], [right, bottom]] → corners (4, 2) of its concentric square with the longer side."""
    low, high = np.asarray(box, np.float64)
    half, (x, y) = (high - low).max() / 2, (low + high) / 2
    return np.array([[x - half, y - half], [x - half, y + half], [x + half, y + half], [x + half, y - half]])


def box_similarity(box: ArrayLike) -> Array:
    """Box → the similarity (2, 3) of its square onto the template in the 512 × 512 crop."""
    return similarity(box_corners(box), BOX_512)
