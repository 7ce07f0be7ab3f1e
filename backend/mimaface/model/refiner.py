"""A decoder that draws with the photograph's own pixels: it moves and lights the posed photograph until that shows what latents say.

What latents do not hold, a decoder of latents alone invents or blurs. Given the picture that they refine (as the decoders of Zhu et
al. 2023, arXiv 2306.04632, are) this one need not paint what the photograph shows: it says by how much every pixel is off (as the
dense motion of Siarohin et al. 2019 does) and under which light it lies. So the result is as sharp as the photograph, at any size.
Only the part of the head that no pixel of the photograph shows may it paint (their occlusion map, but known from the geometry).
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from .autoencoder import ResidualBlock
from .config import RefinerConfig

# pixels of the generated picture over which nothing changes at its border; fewer show the border as a line where light changes
FEATHER = 20


class Refinement(NamedTuple):
    """How a picture changes: ``flow`` (N, 2, y, x) to where in it a pixel is taken from, in pixels of the generated picture to the
    right and down; the factor ``gain`` (N, 3, y, x) and what is added, ``bias`` (N, 3, y, x), both for RGB in [0, 1]."""

    flow: Tensor
    gain: Tensor
    bias: Tensor


class Refiner(nn.Module):
    """Latents, and the posed photograph that they refine → :class:`Refinement`. A fresh one changes nothing.

    It works at twice the latents' size, where it sees the picture in blocks of ``block`` pixels, and at once and half that size.
    """

    def __init__(self, latent_channels: int, block: int, config: RefinerConfig) -> None:
        super().__init__()
        self.config = config
        fine_width, width = config.fine_width, config.width
        self.block = block
        self.begin = nn.Conv2d(3 * block**2 + 4 + 3, fine_width, 1)  # picture, normals, provenance
        self.look = nn.Conv2d(fine_width, fine_width, 3, padding=1)
        self.picture_down = nn.Conv2d(4 * fine_width, width, 1)
        self.latents_in = nn.Conv2d(3 * latent_channels + 4, width, 1)
        self.middle = ResidualBlock(width)
        self.halve = nn.Conv2d(width, width, 3, stride=2, padding=1)
        self.low = ResidualBlock(width)
        self.up = nn.Conv2d(width, 4 * fine_width, 1)
        self.look_again = nn.Conv2d(fine_width, fine_width, 3, padding=1)
        self.end = nn.Conv2d(fine_width, 8, 3, padding=1)
        for weight in self.end.parameters():
            nn.init.zeros_(weight)

    def forward(
        self,
        latents: Tensor,
        render: Tensor,
        source: Tensor,
        picture: Tensor,
        provenance: Tensor,
        normals: Tensor,
        source_normals: Tensor,
    ) -> Refinement:
        """latents, and those of the posed photograph and of the source (N, C, h, w); the posed photograph, RGB in [−1, 1]
        (N, 3, S, S), and its provenance (N, 3, 2·h, 2·w), see :func:`mimaface.sampling.images.provenance_condition`; normals of the head in it
        (N, 4, 2·h, 2·w) and in the source (N, 4, h, w), whose last channel is how much of a place the head covers → changes at
        (2·h, 2·w); the background keeps its light."""
        fine = self.begin(torch.cat([functional.pixel_unshuffle(picture, self.block), normals, provenance], 1))
        fine = functional.silu(self.look(functional.silu(fine)))
        x = self.picture_down(functional.pixel_unshuffle(fine, 2))
        x = self.middle(x + self.latents_in(torch.cat([latents - render, render, source, source_normals], 1)))
        low = self.low(self.halve(functional.silu(x)))
        x = x + functional.interpolate(low, x.shape[-2:], mode="bilinear", align_corners=False)
        fine = fine + functional.pixel_shuffle(self.up(functional.silu(x)), 2)
        output = self.end(functional.silu(self.look_again(functional.silu(fine)))).float().contiguous()  # enlarged faster
        scale = self.config
        flow = scale.flow * torch.tanh(output[:, :2] * (scale.steepness / scale.flow))
        strength, person = output[:, 2:5].mean(1, keepdim=True), provenance[:, :1].float()
        inpainted = (provenance[:, 1:2] * normals[:, 3:]).float()  # of the head
        light = (person * scale.gain + inpainted * scale.inpainted_gain) * torch.tanh(strength + scale.hue * (output[:, 2:5] - strength))
        return Refinement(flow, light.exp(), (person * scale.bias + inpainted * scale.inpainted_bias) * torch.tanh(output[:, 5:8]))


def refined(pictures: Tensor, change: Refinement, side: int) -> Tensor:
    """Posed photographs (N, 3, H, H), RGB in [−1, 1], changed; ``side`` is that of the generated picture that they show at any size."""
    flow, gain, bias = (_resized(value, pictures.shape[-1]) for value in change)
    place = (torch.arange(pictures.shape[-1], device=pictures.device, dtype=torch.float32) * 2 + 1) / pictures.shape[-1] - 1
    grid = torch.stack([place.expand(len(place), -1) + flow[:, 0] * (2 / side), place[:, None] + flow[:, 1] * (2 / side)], -1)
    moved = functional.grid_sample(pictures, grid, mode="bicubic", padding_mode="border", align_corners=False)
    return (moved + 1) * gain - 1 + 2 * bias


def feathered(change: Refinement, side: int, share: float = 1.0) -> Refinement:
    """``share`` of a change, and nothing of it at the border of a generated picture of ``side`` pixels."""
    inside = share * feather(change.flow.shape[-1], side).to(change.flow)
    return Refinement(inside * change.flow, 1 + inside * (change.gain - 1), inside * change.bias)


def feather(count: int, side: int) -> Tensor:
    """(count, count) for a generated picture of ``side`` pixels at another size: 0 at its border, rising to 1 over ``FEATHER`` of them."""
    place = (torch.arange(count, dtype=torch.float32) + 0.5) * (side / count)
    ramp = (torch.minimum(place, side - place) / FEATHER).clamp(0, 1)
    ramp = ramp * ramp * (3 - 2 * ramp)
    return ramp[:, None] * ramp


def _resized(values: Tensor, side: int) -> Tensor:
    return functional.interpolate(values, (side, side), mode="bilinear", align_corners=False)
