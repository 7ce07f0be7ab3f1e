"""Pictures to tensors and back, for training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mimaface.face.portrait import load_picture
from mimaface.protocol.errors import InvalidInput

Array = NDArray[Any]


def as_images(pictures: Array) -> Tensor:
    """(…, H, W, 3) uint8 → (…, 3, H, W) float32 in [−1, 1]."""
    return torch.from_numpy(np.array(pictures, np.uint8)).movedim(-1, -3).float() / 127.5 - 1


def as_pictures(images: Tensor) -> Array:
    """(…, 3, H, W) in [−1, 1] → (…, H, W, 3) uint8."""
    return np.asarray(((images.detach().float().clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8).movedim(-3, -1).cpu().numpy())


def contact_sheet(rows: list[Tensor]) -> Array:
    """Rows of pictures (N, 3, H, W) below each other → (rows·H, N·W, 3) uint8."""
    return np.concatenate([np.concatenate(list(as_pictures(row)), axis=1) for row in rows], axis=0)


def load_folder(folder: Path) -> list[Array]:
    """All pictures of a folder. Raises :class:`InvalidInput` when there are none."""
    found = [load_picture(path) for path in sorted(folder.iterdir()) if path.suffix.lower() in (".png", ".jpg", ".jpeg", ".webp")]
    if not found:
        raise InvalidInput(f"{folder} holds no pictures", "use PNG, JPEG or WebP files")
    return found
