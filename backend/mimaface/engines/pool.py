"""The networks that are loaded: of one engine at a time, known by the weights that they were loaded from."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mimaface.protocol.errors import InvalidCheckpoint
from mimaface.weights import checksums


class EnginePool:
    """Keeps an engine from one shot to the next. Asked for other weights, it lets go of those it has first."""

    def __init__(self) -> None:
        self._name: tuple[Path, str] | None = None
        self._engine: Any = None
        self._lock = threading.Lock()

    def get(self, folder: Path, load: Callable[[Path], Any]) -> Any:
        """The engine of a model folder's weights as they are now. Raises :class:`InvalidCheckpoint` as ``load``, or where they change meanwhile."""
        with self._lock:
            name = folder, checksums.fingerprint(folder)
            if name != self._name:
                self._name = self._engine = None
                engine = load(folder)
                if checksums.fingerprint(folder) != name[1]:
                    raise InvalidCheckpoint(f"the model {folder} was replaced while it was loaded", "repeat it")
                self._name, self._engine = name, engine
            return self._engine

    def clear(self) -> None:
        """Give back the memory."""
        with self._lock:
            self._name = self._engine = None
