"""The networks that are loaded: of one engine at a time, known by the weights that they were loaded from and by what runs them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mimaface.protocol.errors import InvalidCheckpoint
from mimaface.weights import checksums

from . import choosing


class EnginePool:
    """Keeps an engine from one shot to the next. Asked for other weights, or run by another runtime, it lets go of those it has first."""

    def __init__(self) -> None:
        self._name: tuple[Path, str, list[str]] | None = None
        self._engine: Any = None
        self._lock = threading.Lock()

    def get(self, folder: Path, load: Callable[[Path], Any]) -> Any:
        """The engine of a model folder's weights as they are now. Raises :class:`InvalidCheckpoint` as ``load``, or where they change meanwhile."""
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
        """Give back the memory."""
        with self._lock:
            self._name = self._engine = None
