"""Squares of a face, cut by least-squares similarities onto the templates of the released networks (spec 1.8), and blended back with a soft edge."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike
from PIL import Image

from mimaface.geometry.interpolation import smoothstep
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


FEATHER = 0.12  # share of the square's side over which it fades into the photograph. Raised: softer edge, smaller face area
BORDER_SHARPNESS = 24.0  # sharpness of the border between overlapping squares. Raised: harder border


def draw(image: Array, transform: ArrayLike, width: int, height: int) -> Array:
    """Warps ``image`` (H, W, 3) uint8 by a similarity (2, 3) from its pixels → (height, width, 3) uint8, black outside.

    Bilinear, with box averaging first when it shrinks to less than half, against flicker of fine detail.
    """
    matrix = np.asarray(transform, np.float64)
    picture = Image.fromarray(np.ascontiguousarray(image))
    shrink = max(math.floor(1 / float(np.hypot(matrix[0, 0], matrix[1, 0]))), 1)
    inverse = inverted(matrix)
    if shrink > 1:
        picture, inverse = picture.reduce(shrink), inverse / shrink
    data = tuple(inverse.ravel())
    return np.asarray(picture.transform((width, height), Image.Transform.AFFINE, data, Image.Resampling.BILINEAR))


def paste(photo: Array, squares: Sequence[tuple[Array, ArrayLike]]) -> Array:
    """Blends squares (S, S, 3) uint8 into the photograph (H, W, 3) uint8, each with its similarity photograph → square.

    Squares fade out toward their edges; pixels outside are unchanged. Where two overlap, each pixel belongs to the square with
    the nearer centre, with a soft border, independent of their order.
    """
    height, width = photo.shape[:2]
    layers = []
    for square, transform in squares:
        matrix, side = np.asarray(transform, np.float64), len(square)
        corners = applied(inverted(matrix), np.array([[0, 0], [side, 0], [side, side], [0, side]]))
        x0, y0 = np.clip(np.floor(corners.min(0)).astype(int), 0, [width, height])
        x1, y1 = np.clip(np.ceil(corners.max(0)).astype(int), 0, [width, height])
        if x1 <= x0 or y1 <= y0:
            continue
        x, y = np.meshgrid(np.arange(x0, x1) + 0.5, np.arange(y0, y1) + 0.5)
        inside = applied(matrix, np.stack([x, y], axis=-1).reshape(-1, 2)).reshape(*x.shape, 2) / side
        edge = np.minimum(inside, 1 - inside).min(-1)
        weight = smoothstep(0.0, FEATHER, edge)
        away = BORDER_SHARPNESS * ((inside - 0.5) ** 2).sum(-1)
        moved = matrix.copy()
        moved[:, 2] += matrix[:, :2] @ [x0, y0]
        picture = draw(square, inverted(moved), x1 - x0, y1 - y0)
        layers.append(((slice(y0, y1), slice(x0, x1)), picture, weight, away))

    total = np.zeros((height, width))
    for place, _, weight, away in layers:
        total[place] += weight * np.exp(-away)
    result = photo.astype(np.float64)
    for place, picture, weight, away in layers:
        share = weight * np.exp(-away) / np.maximum(total[place], 1e-300)  # of this pixel among the overlapping squares
        result[place] += (weight * share)[..., None] * (picture - photo[place].astype(np.float64))
    return np.asarray(np.clip(np.rint(result), 0, 255).astype(np.uint8))
