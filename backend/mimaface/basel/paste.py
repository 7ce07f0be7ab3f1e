"""Cuts the generated square out of the photograph and blends it back with a soft edge."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike
from PIL import Image

from mimaface.geometry.interpolation import smoothstep
from mimaface.protocol.arrays import Array

from .align import applied, inverted

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
