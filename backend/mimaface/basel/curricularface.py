"""CurricularFace IR-101 face recognition, whose last feature map is the released checkpoint's identity token (spec 1.8.3).

Deng et al. 2018, "ArcFace", section 3.2.2, "IR" units: BN, 3 × 3 convolution, PReLU, 3 × 3 convolution with the stride, BN.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, cast

from torch import Tensor, nn

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
