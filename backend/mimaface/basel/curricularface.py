"""Identity token of the released checkpoint (spec 1.8.3): its crop of the face, and CurricularFace IR-101, whose last feature map it is.

Deng et al. 2018, "ArcFace", section 3.2.2, "IR" units: BN, 3 × 3 convolution, PReLU, 3 × 3 convolution with the stride, BN.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, cast

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn
from torch.nn import functional

from mimaface.protocol.arrays import Array
from mimaface.protocol.errors import InvalidImage

from .align import face_affine

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


REDUCTION = 16  # image pixels per side of one pixel of the last feature map


@dataclass(frozen=True)
class CurricularFaceConfig:
    """widths, units: channels and IR units of the four stages; embedding: its length; side: pixels of the crop."""

    widths: tuple[int, ...] = (64, 128, 256, 512)
    units: tuple[int, ...] = (3, 13, 30, 3)
    embedding: int = 512
    side: int = 112

    def __post_init__(self) -> None:
        object.__setattr__(self, "widths", tuple(self.widths))
        object.__setattr__(self, "units", tuple(self.units))

    @property
    def deep_size(self) -> int:
        """Length of the flattened last feature map: 512 · 7 · 7 = 25088."""
        return self.widths[-1] * (self.side // REDUCTION) ** 2


class FaceIdentity(NamedTuple):
    """embedding (B, 512), not normalised, compared by cosine; deep (B, 25088), the last feature map, flattened channel first."""

    embedding: Tensor
    deep: Tensor


class ResidualUnit(nn.Module):
    """An IR unit. Its shortcut subsamples by the stride, and is a projection where the width changes."""

    def __init__(self, channels: int, width: int, stride: int) -> None:
        super().__init__()
        self.shortcut_layer: nn.Module
        if channels == width:
            self.shortcut_layer = nn.MaxPool2d(1, stride)
        else:
            self.shortcut_layer = nn.Sequential(nn.Conv2d(channels, width, 1, stride, bias=False), nn.BatchNorm2d(width))
        self.res_layer = nn.Sequential(
            nn.BatchNorm2d(channels),
            nn.Conv2d(channels, width, 3, 1, padding=1, bias=False),
            nn.PReLU(width),
            nn.Conv2d(width, width, 3, stride, padding=1, bias=False),
            nn.BatchNorm2d(width),
        )

    def forward(self, x: Tensor) -> Tensor:
        """x (B, C, H, W) → (B, width, H / stride, W / stride)."""
        return cast(Tensor, self.res_layer(x) + self.shortcut_layer(x))


class CurricularFace(nn.Module):
    """Face crop → identity. Keys and shapes match ``CurricularFace_Backbone.pth``."""

    def __init__(self, config: CurricularFaceConfig | None = None) -> None:
        super().__init__()
        self.config = config or CurricularFaceConfig()
        widths, embedding = self.config.widths, self.config.embedding
        self.input_layer = nn.Sequential(
            nn.Conv2d(3, widths[0], 3, 1, padding=1, bias=False), nn.BatchNorm2d(widths[0]), nn.PReLU(widths[0])
        )
        self.body = nn.Sequential()
        channels = widths[0]
        for width, count in zip(widths, self.config.units):
            for index in range(count):
                self.body.append(ResidualUnit(channels, width, 1 if index else 2))
                channels = width
        self.output_layer = nn.Sequential(
            nn.BatchNorm2d(channels),
            nn.Dropout(0.4),
            nn.Flatten(),
            nn.Linear(self.config.deep_size, embedding),
            nn.BatchNorm1d(embedding, affine=False),
        )

    def forward(self, images: Tensor) -> FaceIdentity:
        """RGB in [−1, 1] (B, 3, 112, 112) → embedding (B, 512) and deep features (B, 25088)."""
        features = self.body(self.input_layer(images))
        return FaceIdentity(self.output_layer(features), features.flatten(1))
