"""Single-threaded linear algebra: faster for small systems on a busy machine, and bitwise reproducible."""

from __future__ import annotations

import functools
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from threadpoolctl import ThreadpoolController

_lock = threading.Lock()
_limits: list[Any] = []  # one entry per thread inside; only the first one changed the limit


@contextmanager
def one_thread() -> Iterator[None]:
    """Limits the process's BLAS to one thread; of several threads inside, the first sets the limit and the last restores it."""
    with _lock:
        if not _limits:
            _clear_controlling_thread()
        _limits.append(None if _limits else _libraries().limit(limits=1, user_api="blas"))
    try:
        yield
    finally:
        with _lock:
            if len(_limits) > 1:
                _limits.pop()
            else:
                _clear_controlling_thread()
                _limits.pop().restore_original_limits()


def _clear_controlling_thread() -> None:
    """Clears OpenBLAS's controlling thread: since version 3.8 threadpoolctl otherwise obeys only the thread that set the
    limit."""
    for library in _libraries().lib_controllers:
        if hasattr(library, "clear_controlling_thread"):
            library.clear_controlling_thread(force=True)


@functools.cache
def _libraries() -> ThreadpoolController:
    """Returns the loaded libraries, cached because the search takes 2 ms."""
    import scipy.linalg  # noqa: F401  (loads SciPy's own BLAS before the search)

    return ThreadpoolController()
