"""Contact sheets of training runs."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from mimaface.sampling.images import as_pictures

Array = NDArray[Any]


def rows_of_pictures(rows: list[Tensor]) -> Array:
    """Arranges rows of pictures (N, 3, H, W) in [−1, 1] vertically at their own size → (rows·H, N·W, 3) uint8."""
    return np.concatenate([np.concatenate(list(as_pictures(row)), axis=1) for row in rows], axis=0)
