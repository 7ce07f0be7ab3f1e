"""Keeps one loaded engine, identified by its weights and runtimes."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mimaface.protocol.errors import InvalidCheckpoint
from mimaface.weights import checksums

from . import choosing


class EnginePool:
    """Keeps an engine between shots; it is released before another one, of other weights or runtimes, is loaded."""

    def __init__(self) -> None:
        self._name: tuple[Path, str, list[str]] | None = None
        self._engine: Any = None
        self._lock = threading.Lock()

    def get(self, folder: Path, load: Callable[[Path], Any]) -> Any:
        """Returns the engine of a model folder's current weights. Raises the errors of ``load``, and :class:`InvalidCheckpoint` if the weights
        change while they are loaded."""
        with self._lock:
            name = folder, checksums.fingerprint(folder), choosing.runtimes_here(folder)
            if name != self._name:
                self._name = self._engine = None
                self._engine = load(folder)
                if checksums.fingerprint(folder) != name[1]:
                    self._engine = None
                    raise InvalidCheckpoint(f"the model {folder} was replaced while it was loaded", "repeat it")
                if choosing.runtimes_here(folder) == name[2]:  # else one failed while it was loaded: what was opened is for this shot alone
                    self._name = name
            return self._engine

    def clear(self) -> None:
        """Release the engine."""
        with self._lock:
            self._name = self._engine = None
