"""Full-resolution detail: the photograph has more pixels than the generator, and keeps them where the generator agrees (spec 6.8).

The posed photograph is split into what the generator's autoencoder can hold and what it loses. What it loses, fine structure at
the generator's size and all above it, is laid over the generated picture, weighted by how well that agrees with the
autoencoder's version of the posed photograph: there it shows the same thing, so the details belong to it.
"""

from __future__ import annotations

from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

Array = NDArray[Any]
TOLERANCE = 0.10  # of RGB in [−1, 1]: a local difference at which a third of the details is left
REACH = 5  # pixels of the generated picture over which agreement is judged
FEATHER = 20  # pixels of the generated picture over which it fades into the photograph


def agreement(generated: Tensor, held: Tensor) -> Tensor:
    """(1, 3, G, G) twice → (1, 1, G, G): 1 where the two show the same, falling to 0 with their local difference."""
    squared = (generated - held).square().mean(1, keepdim=True)
    padded = functional.pad(squared, (REACH,) * 4, mode="replicate")
    local = functional.avg_pool2d(padded, 2 * REACH + 1, 1)
    worst = functional.avg_pool2d(functional.pad(squared, (1,) * 4, mode="replicate"), 3, 1)
    return torch.exp(-torch.maximum(local, 0.5 * worst) / TOLERANCE**2)


def border(size: int) -> Tensor:
    """(1, 1, size, size): 1 inside, falling to 0 at the border over ``FEATHER`` pixels."""
    place = torch.arange(size, dtype=torch.float32)
    edge = (torch.minimum(place, size - 1 - place) / FEATHER).clamp(0, 1)
    ramp = edge * edge * (3 - 2 * edge)
    return (ramp[:, None] * ramp[None])[None, None]


def with_detail(posed: Tensor, small: Tensor, held: Tensor, generated: Tensor) -> Tensor:
    """The generated face at the photograph's resolution.

    posed (1, 3, W, W) the posed photograph; small (1, 3, G, G) the same at the generator's size; held: ``small`` decoded from
    its latents; generated (1, 3, G, G); all RGB in [−1, 1] → (1, 3, W, W). At its border it is the posed photograph.
    """
    weight = agreement(generated, held)
    finished = generated + weight * (small - held)
    change = border(small.shape[-1]) * (finished - small)  # what the generator makes of the posed photograph
    lost = (1 - weight) * border(small.shape[-1])  # share of finer detail that is not its own
    size = posed.shape[-2:]
    finer = posed - resized(small, size)
    return (posed + resized(change, size) - resized(lost, size) * finer).clamp(-1, 1)


def resized(images: Tensor, size: tuple[int, int] | torch.Size) -> Tensor:
    """(1, C, H, W) at another size: bicubic, with antialiasing where it shrinks."""
    if tuple(images.shape[-2:]) == tuple(size):
        return images
    shrinks = images.shape[-1] > size[-1]
    return functional.interpolate(images, tuple(size), mode="bicubic", antialias=shrinks, align_corners=False)
