"""Keeps one loaded engine, identified by its weights and runtimes."""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from mimaface.protocol.errors import InvalidCheckpoint
from mimaface.weights import checksums

from . import choosing

Load = Callable[[Path, Mapping[str, str]], Any]  # a model folder, and its networks' runtimes but torch → the engine


class EnginePool:
    """Keeps an engine between shots; it is released before another one, of other weights or runtimes, is loaded."""

    def __init__(self) -> None:
        self._kept: dict[tuple[Path, str, str], Any] = {}  # one at most
        self._by: Mapping[str, str] | None = None
        self._lock = threading.Lock()

    def by(self, runtimes: Mapping[str, str]) -> EnginePool:
        """The same pool for a shot whose networks are run by these ``runtimes``, as :func:`choosing.chosen` has them, whatever is chosen now."""
        other = copy.copy(self)
        other._by = dict(runtimes)
        return other

    def get(self, folder: Path, load: Load) -> Any:
        """Returns the engine of a model folder's current weights. Raises the errors of ``load``, and :class:`InvalidCheckpoint` if the weights
        change while they are loaded."""
        with self._lock:
            wanted = self._wanted(folder)
            name = folder, checksums.fingerprint(folder), str(choosing.in_texts(wanted))
            if name not in self._kept:
                self._kept.clear()
                engine = load(folder, wanted)
                if checksums.fingerprint(folder) != name[1]:
                    raise InvalidCheckpoint(f"the model {folder} was replaced while it was loaded", "repeat it")
                if self._wanted(folder) != wanted:  # one failed while it was loaded: what was opened is for this shot alone
                    return engine
                self._kept[name] = engine
            return self._kept[name]

    def _wanted(self, folder: Path) -> dict[str, str]:
        return choosing.chosen(folder) if self._by is None else choosing.still_there(folder, self._by)

    def clear(self) -> None:
        """Release the engine."""
        with self._lock:
            self._kept.clear()
