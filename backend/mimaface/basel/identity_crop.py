"""The picture from which the released checkpoint reads an identity (spec 1.8.3). For these weights only: it mis-crops the face."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor
from torch.nn import functional

from mimaface.protocol.errors import InvalidImage

from .align import Array, face_affine

CANVAS, TOP, LEFT, CUT = 256, 0, 16, 224  # the canvas is resized to 256², then rows 0–224 and columns 16–240 are kept


def identity_crop(image: Array, points: ArrayLike, side: int = 112) -> Tensor:
    """A photo (H, W, 3) uint8 and its five points (5, 2) → RGB in [−1, 1] (1, 3, side, side), black where nothing is.

    The warp onto the 256 × 256 template is drawn on a canvas of the photo's own size H × W, and that canvas is resized to
    256²; so the face of a 512² photo fills a quarter of it, at the top left. The weights have learnt exactly this. Resizing
    is bilinear without antialiasing, ``align_corners=False``. Raises :class:`InvalidImage` for anything but such a photo.
    """
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise InvalidImage(f"a photo has shape (H, W, 3) and bytes, not {image.shape} of {image.dtype}", "convert it to RGB")
    picture = torch.from_numpy(np.array(image)).permute(2, 0, 1)[None].float() / 255
    x = on_canvas(picture, face_affine(points))
    x = functional.interpolate(x, (CANVAS, CANVAS), mode="bilinear", align_corners=False)
    x = x[..., TOP : TOP + CUT, LEFT : LEFT + CUT]
    return functional.interpolate(x, (side, side), mode="bilinear", align_corners=False) * 2 - 1


def on_canvas(picture: Tensor, transform: Array) -> Tensor:
    """picture (1, C, H, W) under a transform (2, 3) from its pixels to the canvas's → the canvas, of the same shape; 0 outside."""
    height, width = picture.shape[-2:]
    square = np.vstack([transform, [0, 0, 1]])
    # grid_sample counts from −1 to 1 across the picture, edge to edge, where our pixels count from 0 to W and H
    to_pixels = np.array([[width / 2, 0, width / 2], [0, height / 2, height / 2], [0, 0, 1]])
    theta = (np.linalg.inv(to_pixels) @ np.linalg.inv(square) @ to_pixels)[:2]
    grid = functional.affine_grid(torch.from_numpy(theta)[None].float(), list(picture.shape), align_corners=False)
    return functional.grid_sample(picture, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
