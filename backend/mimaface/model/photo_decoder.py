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

FARTHEST = 12.0  # pixels of the generated picture that a pixel may be off
STEEPNESS = 4.0  # of displacements against the network's output, so that they learn as fast as light
GAIN, TINT = 0.4, 0.3  # on the person: largest |log| of the light's factor, largest amount that is added to RGB in [0, 1]
PAINTED_GAIN, PAINTED_TINT = 2.5, 1.0  # the same where the head is made up: any colour
HUE = 0.3  # of the network's output about the light's hue against that about its strength, so that hair gets no coloured speckles
FEATHER = 20  # pixels of the generated picture over which nothing changes at its border


class Redrawing(NamedTuple):
    """How a picture changes: ``shift`` (N, 2, y, x), where in it a pixel is taken from, in pixels of the generated picture to the
    right and down; the factor ``gain`` (N, 3, y, x) and what is added, ``tint`` (N, 3, y, x), both for RGB in [0, 1]."""

    shift: Tensor
    gain: Tensor
    tint: Tensor


class PhotoDecoder(nn.Module):
    """Latents, and the posed photograph that they refine → :class:`Redrawing`. A fresh one changes nothing.

    It works at twice the latents' size, where it sees the picture in blocks of ``block`` pixels, and at once and half that size.
    """

    def __init__(self, latent_channels: int, block: int, fine_width: int = 24, width: int = 42) -> None:
        super().__init__()
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
    ) -> Redrawing:
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
        shift = FARTHEST * torch.tanh(output[:, :2] * (STEEPNESS / FARTHEST))
        strength, person = output[:, 2:5].mean(1, keepdim=True), provenance[:, :1].float()
        made_up = (provenance[:, 1:2] * normals[:, 3:]).float()  # of the head
        light = (person * GAIN + made_up * PAINTED_GAIN) * torch.tanh(strength + HUE * (output[:, 2:5] - strength))
        return Redrawing(shift, light.exp(), (person * TINT + made_up * PAINTED_TINT) * torch.tanh(output[:, 5:8]))


def redraw(pictures: Tensor, change: Redrawing, side: int) -> Tensor:
    """Posed photographs (N, 3, H, H), RGB in [−1, 1], changed; ``side`` is that of the generated picture that they show at any size."""
    shift, gain, tint = (_resized(value, pictures.shape[-1]) for value in change)
    place = (torch.arange(pictures.shape[-1], device=pictures.device, dtype=torch.float32) * 2 + 1) / pictures.shape[-1] - 1
    grid = torch.stack([place.expand(len(place), -1) + shift[:, 0] * (2 / side), place[:, None] + shift[:, 1] * (2 / side)], -1)
    moved = functional.grid_sample(pictures, grid, mode="bicubic", padding_mode="border", align_corners=False)
    return (moved + 1) * gain - 1 + 2 * tint


def feathered(change: Redrawing, side: int, share: float = 1.0) -> Redrawing:
    """``share`` of a change, and nothing of it at the border of a generated picture of ``side`` pixels."""
    inside = share * feather(change.shift.shape[-1], side).to(change.shift)
    return Redrawing(inside * change.shift, 1 + inside * (change.gain - 1), inside * change.tint)


def feather(count: int, side: int) -> Tensor:
    """(count, count) for a generated picture of ``side`` pixels at another size: 0 at its border, rising to 1 over ``FEATHER`` of them."""
    place = (torch.arange(count, dtype=torch.float32) + 0.5) * (side / count)
    ramp = (torch.minimum(place, side - place) / FEATHER).clamp(0, 1)
    ramp = ramp * ramp * (3 - 2 * ramp)
    return ramp[:, None] * ramp


def _resized(values: Tensor, side: int) -> Tensor:
    return functional.interpolate(values, (side, side), mode="bilinear", align_corners=False)
