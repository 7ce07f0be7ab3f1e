"""Pictures, as numpy has them, to tensors, as networks have them, and back."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Array = NDArray[Any]


def as_images(pictures: Array) -> Tensor:
    """(…, H, W, 3) uint8 → (…, 3, H, W) float32 in [−1, 1]."""
    return torch.from_numpy(np.array(pictures, np.uint8)).movedim(-1, -3).float() / 127.5 - 1


def as_pictures(images: Tensor) -> Array:
    """(…, 3, H, W) in [−1, 1] → (…, H, W, 3) uint8."""
    return np.asarray(((images.detach().float().clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8).movedim(-3, -1).cpu().numpy())
