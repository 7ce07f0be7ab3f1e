"""Pictures of a training run: what it reads from folders and what it shows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from mimaface.engines.pictures import as_pictures
from mimaface.face.portrait import load_picture
from mimaface.protocol.errors import InvalidInput

Array = NDArray[Any]


def rows_of_pictures(rows: list[Tensor]) -> Array:
    """Rows of pictures (N, 3, H, W) in [−1, 1], at their own size below each other → (rows·H, N·W, 3) uint8."""
    return np.concatenate([np.concatenate(list(as_pictures(row)), axis=1) for row in rows], axis=0)


def load_folder(folder: Path) -> list[Array]:
    """All pictures of a folder. Raises :class:`InvalidInput` when there are none."""
    found = [load_picture(path) for path in sorted(folder.iterdir()) if path.suffix.lower() in (".png", ".jpg", ".jpeg", ".webp")]
    if not found:
        raise InvalidInput(f"{folder} holds no pictures", "use PNG, JPEG or WebP files")
    return found
