"""Full-resolution detail: the photograph has more pixels than the generator, and keeps them where the two agree (spec 6.8).

As in a Laplacian pyramid (Burt and Adelson 1983): where the coarse structure of the generated picture is that of the posed photograph
(as the generator's autoencoder holds it), the result is the photograph under the generator's coarse correction of light and
form, with all of its own grain. Where it is not, as in an opened mouth or behind a turned cheek, the generated picture stays.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

TOLERANCE = 0.10  # of RGB in [−1, 1]: a coarse difference at which a third of the details is left
COARSE = 4  # pixels of the generated picture on either side, over which structure is coarse
FEATHER = 20  # pixels of the generated picture over which it fades into the photograph


def coarse(images: Tensor) -> Tensor:
    """(N, 3, H, W) → the same shape, without fine structure: two box filters, near enough to a Gaussian."""
    for _ in range(2):
        padded = functional.pad(images, (COARSE,) * 4, mode="replicate")
        images = functional.avg_pool2d(padded, 2 * COARSE + 1, 1)
    return images


def agreement(difference: Tensor) -> Tensor:
    """Coarse difference (1, 3, G, G) of two pictures → (1, 1, G, G): 1 where they show the same, falling to 0."""
    squared = difference.square().mean(1, keepdim=True)
    padded = functional.pad(squared, (COARSE,) * 4, mode="replicate")
    return torch.exp(-functional.max_pool2d(padded, 2 * COARSE + 1, 1) / TOLERANCE**2)


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
    difference = coarse(generated - held)
    weight = agreement(difference)
    finished = generated + weight * (small + difference - generated)
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
