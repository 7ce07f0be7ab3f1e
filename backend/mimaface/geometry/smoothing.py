"""Low-lag smoothing by the One-Euro filter."""

from __future__ import annotations

from typing import Any

import numpy as np

from mimaface.protocol.arrays import Array


class OneEuro:
    """Filters a sequence of values of any shape (Casiez, Roussel and Vogel 2012).

    The cutoff is ``cutoff`` Hz at rest and rises by ``speed`` Hz per unit per second of a value's speed.
    """

    def __init__(self, cutoff: float, speed: float) -> None:
        self._cutoff, self._speed = cutoff, speed
        self._raw: Array | None = None
        self._slope: Any = 0.0
        self._time = 0.0
        self.value: Array | None = None  # last filtered value

    def next(self, value: Array, time: float) -> Array:
        """Returns the filtered value at ``time`` seconds."""
        value = np.asarray(value, np.float64)
        if self.value is None or self._raw is None:
            self.value = value
        else:
            step = max(float(time - self._time), 1e-6)
            self._slope = self._slope + _smoothing_factor(1.0, step) * ((value - self._raw) / step - self._slope)
            self.value = self.value + _smoothing_factor(self._cutoff + self._speed * np.abs(self._slope), step) * (value - self.value)
        self._raw, self._time = value, time
        return self.value


def one_euro(values: Array, time: Array, cutoff: float, speed: float) -> Array:
    """Filters ``values`` (T, …) at ``time`` (T,) seconds by :class:`OneEuro`."""
    euro = OneEuro(cutoff, speed)
    return np.stack([euro.next(value, moment) for value, moment in zip(values, time)])


def _smoothing_factor(cutoff: Any, step: float) -> Any:
    return 1 / (1 + 1 / (2 * np.pi * cutoff * step))
