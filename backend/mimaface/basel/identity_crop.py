"""Identity crop of the released checkpoint (spec 1.8.3), for these weights only: it is not centred on the face."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor
from torch.nn import functional

from mimaface.protocol.errors import InvalidImage

from .align import Array, face_affine

CANVAS, TOP, LEFT, CUT = 256, 0, 16, 224  # the canvas is resized to 256², then rows 0–224 and columns 16–240 are cropped


def identity_crop(image: Array, points: ArrayLike, side: int = 112) -> Tensor:
    """A photograph (H, W, 3) uint8 and its five points (5, 2) → RGB in [−1, 1] (1, 3, side, side), black outside the photograph.

    The warp onto the 256 × 256 template is drawn on a canvas of the photograph's own size H × W, which is resized to 256²; so the
    face of a 512² photograph fills a quarter of it, at the top left. The weights were trained on this crop. Resizing is bilinear
    without antialiasing, ``align_corners=False``. Raises :class:`InvalidImage` for other shapes and types.
    """
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise InvalidImage(f"a photo has shape (H, W, 3) and bytes, not {image.shape} of {image.dtype}", "convert it to RGB")
    picture = torch.from_numpy(np.array(image)).permute(2, 0, 1)[None].float() / 255
    x = on_canvas(picture, face_affine(points))
    x = functional.interpolate(x, (CANVAS, CANVAS), mode="bilinear", align_corners=False)
    x = x[..., TOP : TOP + CUT, LEFT : LEFT + CUT]
    return functional.interpolate(x, (side, side), mode="bilinear", align_corners=False) * 2 - 1


def on_canvas(picture: Tensor, transform: Array) -> Tensor:
    """Warps a picture (1, C, H, W) by a transform (2, 3) from its pixels to the canvas's → a canvas of the same shape, 0
    outside."""
    height, width = picture.shape[-2:]
    square = np.vstack([transform, [0, 0, 1]])
    # grid_sample's coordinates are −1 to 1 from edge to edge; ours are pixels from 0 to W and H
    to_pixels = np.array([[width / 2, 0, width / 2], [0, height / 2, height / 2], [0, 0, 1]])
    theta = (np.linalg.inv(to_pixels) @ np.linalg.inv(square) @ to_pixels)[:2]
    grid = functional.affine_grid(torch.from_numpy(theta)[None].float(), list(picture.shape), align_corners=False)
    return functional.grid_sample(picture, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
