"""Reconstruction network of the released checkpoint (D3DFR): face crop → 3DMM coefficients and gaze (spec 1.8).

A ResNet-50 (He et al. 2015, "Deep Residual Learning for Image Recognition"; stride on the 3 × 3 convolution and key names as in
torchvision) and eight 1 × 1 convolutions on its pooled features.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

EXPANSION = 4  # ratio of a bottleneck's output width to that of its 3 × 3 convolution
# name and size of each head's prediction, in the order of the output
HEADS = (
    ("identity", 80),
    ("expression", 64),
    ("albedo", 80),
    ("rotation", 3),
    ("illumination", 27),
    ("translation_xy", 2),
    ("translation_z", 1),
    ("gaze", 4),
)
GAZE = dict(HEADS)["gaze"]
PREDICTED = sum(size for _, size in HEADS)  # 261


@dataclass(frozen=True)
class ReconstructionConfig:
    """width: channels after the first convolution; blocks: bottlenecks in each of the four stages; side: pixels of the crop."""

    width: int = 64
    blocks: tuple[int, ...] = (3, 4, 6, 3)
    side: int = 256

    def __post_init__(self) -> None:
        object.__setattr__(self, "blocks", tuple(self.blocks))


class Reconstruction(NamedTuple):
    """coefficients (B, 257): α80, β64, δ80, rotation 3, γ27, translation 3; gaze (B, 4), whose meaning is not published."""

    coefficients: Tensor
    gaze: Tensor

    def signals(self) -> dict[str, Tensor]:
        """Returns the motion and appearance signals (B, n) of the released appearance module, except the identity."""
        sizes = [size for name, size in HEADS if not name.startswith(("translation", "gaze"))] + [3]
        _, expression, albedo, rotation, illumination, translation = self.coefficients.split(sizes, dim=1)
        return {
            "gaze": self.gaze,
            "expression": expression,
            "albedo": albedo,
            "illumination": illumination,
            "rotation": rotation,
            "translation": translation,
        }


class Bottleneck(nn.Module):
    """1 × 1, 3 × 3 and 1 × 1 convolution, each with batch normalisation, and a shortcut."""

    def __init__(self, channels: int, width: int, stride: int) -> None:
        super().__init__()
        wide = width * EXPANSION
        self.conv1 = nn.Conv2d(channels, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, wide, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(wide)
        self.downsample: nn.Sequential | None = None
        if stride > 1 or channels != wide:
            self.downsample = nn.Sequential(nn.Conv2d(channels, wide, 1, stride, bias=False), nn.BatchNorm2d(wide))

    def forward(self, x: Tensor) -> Tensor:
        """x (B, C, H, W) → (B, 4 · width, H / stride, W / stride)."""
        shortcut = x if self.downsample is None else self.downsample(x)
        x = functional.relu(self.bn1(self.conv1(x)))
        x = functional.relu(self.bn2(self.conv2(x)))
        return functional.relu(self.bn3(self.conv3(x)) + shortcut)


class ResidualTrunk(nn.Module):
    """ResNet without its classifier: features at 1/32 resolution, averaged over the picture."""

    def __init__(self, width: int, blocks: Sequence[int]) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, width, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        channels = width
        for stage, count in enumerate(blocks):
            inner = width * 2**stage
            layer = nn.Sequential()
            for index in range(count):
                layer.append(Bottleneck(channels, inner, 2 if stage and not index else 1))
                channels = inner * EXPANSION
            self.add_module(f"layer{stage + 1}", layer)
        self.stages = [f"layer{stage + 1}" for stage in range(len(blocks))]
        self.features = channels

    def forward(self, images: Tensor) -> Tensor:
        """images (B, 3, H, W) → features (B, C, 1, 1)."""
        x = functional.relu(self.bn1(self.conv1(images)))
        x = functional.max_pool2d(x, 3, stride=2, padding=1)
        for name in self.stages:
            x = self.get_submodule(name)(x)
        return x.mean(dim=(2, 3), keepdim=True)


class ReconstructionNet(nn.Module):
    """Face crop → 257 coefficients and 4 gaze values. Keys and shapes match ``netG_epoch_25.pth``."""

    def __init__(self, config: ReconstructionConfig | None = None) -> None:
        super().__init__()
        self.config = config or ReconstructionConfig()
        self.backbone = ResidualTrunk(self.config.width, self.config.blocks)
        self.fianl_layers = nn.ModuleList(nn.Conv2d(self.backbone.features, size, 1) for _, size in HEADS)  # sic

    def forward(self, images: Tensor) -> Tensor:
        """RGB in [−1, 1] (B, 3, 256, 256), cropped by ``basel.align.face_affine`` → (B, 261), in the order of ``HEADS``."""
        features = self.backbone(images)
        return torch.cat([head(features) for head in self.fianl_layers], dim=1).flatten(1)

    def reconstruct(self, images: Tensor) -> Reconstruction:
        """Returns the prediction split into coefficients and gaze."""
        return Reconstruction(*self(images).split([PREDICTED - GAZE, GAZE], dim=1))
