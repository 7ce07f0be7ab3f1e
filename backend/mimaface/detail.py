"""Full-resolution detail: the photograph has more pixels than the generator, and keeps them where the two agree (spec 6.8).

As in a Laplacian pyramid (Burt and Adelson 1983): where the coarse structure of the generated picture is that of the posed photograph,
the result is that photograph under the generator's coarse correction of light and form, with all of its own grain. Where it is not,
as behind a turned cheek, the generated picture stays.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

TOLERANCE = 0.20  # of RGB in [−1, 1]: a coarse difference at which a third of the details is left
COARSE = 4  # pixels of the generated picture on either side, over which structure is coarse
FEATHER = 20  # pixels of the generated picture over which it fades into the photograph


class Layer(NamedTuple):
    """A picture with detail, RGB in [−1, 1]: ``small`` (1, 3, G, G), at the generator's size; ``held``, the same decoded from its
    latents; ``finer`` (1, 3, W, W), what the picture has beyond ``small``."""

    small: Tensor
    held: Tensor
    finer: Tensor

    @classmethod
    def of(cls, full: Tensor, small: Tensor, held: Tensor) -> Layer:
        """``full`` (1, 3, W, W) is the picture with all its detail."""
        return cls(small, held, full - resized(small, full.shape[-2:]))


def coarse(images: Tensor) -> Tensor:
    """(N, 3, G, G) → the same shape, without fine structure: two box filters a side, near enough to a Gaussian."""
    blur = _blur(images.shape[-1]).to(images)
    return blur @ images @ blur.T


@functools.cache
def _blur(side: int) -> Tensor:
    """(side, side): both box filters along one side, as a matrix, which a CPU multiplies faster than it slides windows."""
    columns = torch.eye(side)[None, None]
    for _ in range(2):
        padded = functional.pad(columns, (0, 0, COARSE, COARSE), mode="replicate")
        columns = functional.avg_pool2d(padded, (2 * COARSE + 1, 1), 1)
    return columns[0, 0]


def agreement(difference: Tensor) -> Tensor:
    """Coarse difference (1, 3, G, G) of two pictures → (1, 1, G, G): 1 where they show the same, falling to 0."""
    squared = difference.square().mean(1, keepdim=True)
    padded = functional.pad(squared, (COARSE,) * 4, mode="replicate")
    wide = 2 * COARSE + 1
    return torch.exp(-functional.max_pool2d(functional.max_pool2d(padded, (wide, 1), 1), (1, wide), 1) / TOLERANCE**2)


def border(size: int) -> Tensor:
    """(1, 1, size, size): 1 inside, falling to 0 at the border over ``FEATHER`` pixels."""
    place = torch.arange(size, dtype=torch.float32)
    edge = (torch.minimum(place, size - 1 - place) / FEATHER).clamp(0, 1)
    ramp = edge * edge * (3 - 2 * edge)
    return (ramp[:, None] * ramp[None])[None, None]


def with_detail(generated: Tensor, layer: Layer) -> Tensor:
    """The generated face (1, 3, G, G) at the photograph's resolution, RGB in [−1, 1] (1, 3, W, W).

    layer: the posed photograph; at its border the result is that one.
    """
    change = coarse(generated - layer.held)
    share = agreement(change)
    finished = generated + share * (layer.small + change - generated)
    inside = border(generated.shape[-1]).to(generated)
    size = layer.finer.shape[-2:]
    result = resized(layer.small + inside * (finished - layer.small), size)
    return (result + resized(inside * share + 1 - inside, size) * layer.finer).clamp(-1, 1)


def resized(images: Tensor, size: tuple[int, int] | torch.Size) -> Tensor:
    """(1, C, H, W) at another size: bicubic, with antialiasing where it shrinks."""
    if tuple(images.shape[-2:]) == tuple(size):
        return images
    shrinks = images.shape[-1] > size[-1]
    return functional.interpolate(images, tuple(size), mode="bicubic", antialias=shrinks, align_corners=False)
