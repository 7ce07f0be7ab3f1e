"""Too little memory, as Python, torch, the loader and the system say it in many words, is one error that a job can wait for."""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Callable, Iterator

from mimaface.protocol.errors import OutOfResources

NUMBERS = {errno.ENOMEM: "memory", errno.EMFILE: "file handles", errno.ENFILE: "file handles"}
# in what torch, ctypes, the dynamic loader, LLVM and threading say
WORDS = {
    "out of memory": "memory", "allocate memory": "memory", "failed to map": "memory", "not enough memory": "memory", "unable to allocate": "memory",
    "bad_alloc": "memory", "can't start new thread": "memory", "too many open files": "file handles",
}  # fmt: skip


def shortage(error: BaseException | None) -> OutOfResources | None:
    """The error in words of ours where it, or one that it came from, is a lack of memory or file handles; else None."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        what = "memory" if isinstance(error, MemoryError) else NUMBERS.get(getattr(error, "errno", None) or 0, "")
        if isinstance(error, (RuntimeError, ImportError, SystemError, OSError)):
            what = what or next((kind for words, kind in WORDS.items() if words in str(error).lower()), "")
        if isinstance(error, OutOfResources):
            return error
        if what == "memory":
            return OutOfResources(
                "there is not enough memory for this", "close other programs or use a smaller size, then resume"
            )
        if what:
            return OutOfResources("there are not enough file handles for this", "close other programs, then resume")
        error = error.__cause__ or error.__context__
    return None


@contextlib.contextmanager
def enough_memory(release: Callable[[], None]) -> Iterator[None]:
    """Raise :class:`OutOfResources` for any error inside that is a lack of memory, after ``release`` has given some back."""
    try:
        yield
    except Exception as error:
        short = shortage(error)
        if short is None:
            raise
        release()
        raise short from error
