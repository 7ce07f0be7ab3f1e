"""A few recently used values in memory, for several threads."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

Key = TypeVar("Key")
Value = TypeVar("Value")


class Recent(Generic[Key, Value]):
    """The ``most`` values that were kept or found last."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._values: dict[Key, Value] = {}  # the one used last at the end
        self._lock = threading.Lock()

    def find(self, key: Key) -> Value | None:
        """Returns the value of ``key``, None without one."""
        with self._lock:
            if key in self._values:
                self._values[key] = self._values.pop(key)
            return self._values.get(key)

    def keep(self, key: Key, value: Value) -> None:
        """Keep ``value``, and drop the one that was not used for longest where there are too many."""
        with self._lock:
            self._values.pop(key, None)
            self._values[key] = value
            if len(self._values) > self._most:
                del self._values[next(iter(self._values))]

    def drop(self, unwanted: Callable[[Key], bool] = lambda key: True) -> None:
        """Drop the values of ``unwanted`` keys, by default all."""
        with self._lock:
            self._values = {key: value for key, value in self._values.items() if not unwanted(key)}
