"""Conversion between numpy pictures and network tensors."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from mimaface.engines.finite import HINT
from mimaface.protocol.arrays import Array
from mimaface.protocol.errors import NotFinite


def as_images(pictures: Array) -> Tensor:
    """(…, H, W, 3) uint8 → (…, 3, H, W) float32 in [−1, 1]."""
    return torch.from_numpy(np.array(pictures, np.uint8)).movedim(-1, -3).float() / 127.5 - 1


def as_pictures(images: Tensor) -> Array:
    """(…, 3, H, W) in [−1, 1] → (…, H, W, 3) uint8. Raises :class:`NotFinite`."""
    if not bool(torch.isfinite(images).all()):
        raise NotFinite("a picture contains numbers that are not finite", HINT)
    return np.asarray(((images.detach().float().clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8).movedim(-3, -1).cpu().numpy())


def normals_condition(pictures: Array, side: int) -> Tensor:
    """Pictures of normals (N, S, S, 3) uint8 from ``face.renders`` → (N, 4, side, side) float32 in [−1, 1].

    Channels: the mean normal of each cell, zero outside the head, and the head's coverage.
    """
    normals = as_images(pictures)
    covered = (normals.amax(1, keepdim=True) > -0.5).to(normals)  # a visible normal has a component above −0.5
    return functional.adaptive_avg_pool2d(torch.cat([normals * covered, covered], 1), side)


def provenance_condition(pictures: Array, side: int) -> Tensor:
    """Provenance masks (N, S, S, 3) uint8 from ``Reprojector.posed`` → (N, 3, side, side) float32: shares in [0, 1] of
    photographed person, inpainted pixels, and photographed background.
    """
    return functional.adaptive_avg_pool2d((as_images(pictures) + 1) / 2, side)


def resized(images: Tensor, size: tuple[int, int]) -> Tensor:
    """Resizes (N, C, H, W) bicubically, with antialiasing when it shrinks."""
    if tuple(images.shape[-2:]) == size:
        return images
    shrinks = images.shape[-1] > size[-1]
    return functional.interpolate(images, size, mode="bicubic", antialias=shrinks, align_corners=False)


def rows_of_pictures(rows: list[Tensor]) -> Array:
    """Arranges rows of pictures (N, 3, H, W) in [−1, 1] vertically at their own size → (rows·H, N·W, 3) uint8."""
    return np.concatenate([np.concatenate(list(as_pictures(row)), axis=1) for row in rows], axis=0)
