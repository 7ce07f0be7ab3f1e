"""Refiner: warps and relights the reprojected photograph to match the latents.

A decoder of latents alone invents or blurs detail that they lack. Like the decoders of Zhu et al. 2023 (arXiv 2306.04632), this
one also sees the picture that is refined, and predicts a displacement (cf. the dense motion of Siarohin et al. 2019) and a light
change for each pixel, so the result is as sharp as the photograph at any size. It paints new colours only on the part of the head
that no photographed pixel covers (their occlusion map, here known from geometry).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from mimaface.geometry.strips import row_strips

from .autoencoder import ResidualBlock
from .config import RefinerConfig

# pixels of the generated picture over which changes fade in from its border. Lowered: a visible line where light changes
FEATHER = 20


class Refinement(NamedTuple):
    """Changes of a picture: ``flow`` (N, 2, y, x), offset of the sampled position in pixels of the generated picture, right and
    down; ``gain`` (N, 3, y, x), a factor, and ``bias`` (N, 3, y, x), an offset, both on RGB in [0, 1].
    """

    flow: Tensor
    gain: Tensor
    bias: Tensor


class Refiner(nn.Module):
    """Latents and the reprojection → :class:`Refinement`. A new one changes nothing.

    It works at twice the latents' size, where it receives the picture in blocks of ``block`` pixels, and at once and half that
    size.
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
        """Predicts changes at (2·h, 2·w); the background keeps its light.

          latents, render, source   latents to show, those of the reprojection and of the source (N, C, h, w)
          picture                   the reprojection, RGB in [−1, 1] (N, 3, S, S)
          provenance                of the picture (N, 3, 2·h, 2·w), see :func:`mimaface.sampling.conditions.provenance_condition`
          normals, source_normals   of the head in the picture (N, 4, 2·h, 2·w) and in the source (N, 4, h, w); last channel: coverage
        """
        fine = self.begin(torch.cat([functional.pixel_unshuffle(picture, self.block), normals, provenance], 1))
        fine = functional.silu(self.look(functional.silu(fine)))
        x = self.picture_down(functional.pixel_unshuffle(fine, 2))
        x = self.middle(x + self.latents_in(torch.cat([latents - render, render, source, source_normals], 1)))
        low = self.low(self.halve(functional.silu(x)))
        x = x + functional.interpolate(low, x.shape[-2:], mode="bilinear", align_corners=False)
        fine = fine + functional.pixel_shuffle(self.up(functional.silu(x)), 2)
        # float32 and contiguous: faster to enlarge
        output = self.end(functional.silu(self.look_again(functional.silu(fine)))).float().contiguous()
        scale = self.config
        flow = scale.flow * torch.tanh(output[:, :2] * (scale.steepness / scale.flow))
        strength, person = output[:, 2:5].mean(1, keepdim=True), provenance[:, :1].float()
        inpainted = (provenance[:, 1:2] * normals[:, 3:]).float()  # of the head
        light = (person * scale.gain + inpainted * scale.inpainted_gain) * torch.tanh(strength + scale.hue * (output[:, 2:5] - strength))
        return Refinement(flow, light.exp(), (person * scale.bias + inpainted * scale.inpainted_bias) * torch.tanh(output[:, 5:8]))


def refined(pictures: Tensor, change: Refinement, side: int) -> Tensor:
    """Applies changes to reprojections (N, 3, H, H), RGB in [−1, 1], of any size; ``side`` is the side of the generated
    picture."""
    return torch.cat([part for _, part in refined_rows(pictures, change, side)], -2)


def refined_rows(pictures: Tensor, change: Refinement, side: int) -> Iterator[tuple[slice, Tensor]]:
    """Yields :func:`refined` some rows at a time (N, 3, h, H), equal to the bit: half the time, and a third of the memory of a large picture."""
    flow, gain, bias = (_resized(value, pictures.shape[-1]) for value in change)
    place = (torch.arange(pictures.shape[-1], device=pictures.device, dtype=torch.float32) * 2 + 1) / pictures.shape[-1] - 1
    for rows in row_strips(len(place)):
        across, down = place + flow[:, 0, rows] * (2 / side), place[rows, None] + flow[:, 1, rows] * (2 / side)
        grid = torch.stack([across, down], -1)
        moved = functional.grid_sample(pictures, grid, mode="bicubic", padding_mode="border", align_corners=False)
        yield rows, (moved + 1) * gain[:, :, rows] - 1 + 2 * bias[:, :, rows]


def feathered(change: Refinement, side: int, share: Tensor | float = 1.0) -> Refinement:
    """Returns the ``share`` of a change, one or (1, 1, y, x), faded to none at the border of a generated picture of ``side`` pixels."""
    inside = share * feather(change.flow.shape[-1], side).to(change.flow)
    return Refinement(inside * change.flow, 1 + inside * (change.gain - 1), inside * change.bias)


def feather(count: int, side: int) -> Tensor:
    """Returns (count, count) for a generated picture of ``side`` pixels at another size: 0 at its border, rising to 1 over
    ``FEATHER`` pixels.
    """
    place = (torch.arange(count, dtype=torch.float32) + 0.5) * (side / count)
    ramp = (torch.minimum(place, side - place) / FEATHER).clamp(0, 1)
    ramp = ramp * ramp * (3 - 2 * ramp)
    return ramp[:, None] * ramp


def _resized(values: Tensor, side: int) -> Tensor:
    return functional.interpolate(values, (side, side), mode="bilinear", align_corners=False)
