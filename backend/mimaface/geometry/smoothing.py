"""Smoothing that lags little: the One-Euro filter."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def one_euro(values: Array, time: Array, cutoff: float, speed: float) -> Array:
    """Filter ``values`` (T, …) at ``time`` (T,) seconds (Casiez, Roussel and Vogel 2012).

    The cutoff is ``cutoff`` Hz at rest and rises by ``speed`` Hz for every unit per second that a value moves.
    """
    result = np.array(values, np.float64)
    slope = np.zeros_like(result[0])
    for frame in range(1, len(result)):
        step = max(float(time[frame] - time[frame - 1]), 1e-6)
        slope = slope + _share(1.0, step) * ((values[frame] - values[frame - 1]) / step - slope)
        share = _share(cutoff + speed * np.abs(slope), step)
        result[frame] = result[frame - 1] + share * (values[frame] - result[frame - 1])
    return result


def _share(cutoff: Any, step: float) -> Any:
    return 1 / (1 + 1 / (2 * np.pi * cutoff * step))
