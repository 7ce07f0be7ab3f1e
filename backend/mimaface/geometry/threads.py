"""Linear algebra on one thread: small solves are many times faster so when the machine is busy, and always give the same bits."""

from __future__ import annotations

import functools
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from threadpoolctl import ThreadpoolController

_lock = threading.Lock()
_limits: list[Any] = []  # one for every thread inside; only the first has changed anything


@contextmanager
def one_thread() -> Iterator[None]:
    """Limit the process's BLAS to one thread: the first of several threads inside sets the limit, the last to leave lifts it."""
    with _lock:
        if not _limits:
            _disown()
        _limits.append(None if _limits else _libraries().limit(limits=1, user_api="blas"))
    try:
        yield
    finally:
        with _lock:
            if len(_limits) > 1:
                _limits.pop()
            else:
                _disown()
                _limits.pop().restore_original_limits()


def _disown() -> None:
    """Since version 3.8 threadpoolctl heeds only the thread that set OpenBLAS's limit, unless it is told that this one is done."""
    for library in _libraries().lib_controllers:
        if hasattr(library, "clear_controlling_thread"):
            library.clear_controlling_thread(force=True)


@functools.cache
def _libraries() -> ThreadpoolController:
    """The loaded libraries: looking for them takes 2 ms, as long as a small frame."""
    import scipy.linalg  # noqa: F401  (so that its own BLAS is among them)

    return ThreadpoolController()
