"""Too little memory, as Python, torch, the loader and the system say it in many words, is one error that a job can wait for."""

from __future__ import annotations

import contextlib
import errno
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from mimaface.protocol.errors import OutOfResources

# Bytes of address space that are to be free before work begins. Less: linear algebra that gets no memory hangs for ever instead of failing,
# and a library that could be loaded by half only cannot be loaded again. Measured with `ulimit -v`, and rounded up.
START = 640 << 20  # to start the backend
WORK = 300 << 20  # to look at a photograph of usual size or to draw frames by the proxy
TORCH = 1200 << 20  # to load torch, once, and the networks of the demo model
FILLED = 0.4  # of such address space is really filled

MEMORY, HANDLES = "memory", "file handles"
NUMBERS = {errno.ENOMEM: MEMORY, errno.EMFILE: HANDLES, errno.ENFILE: HANDLES}
# in what torch, ctypes, the dynamic loader, LLVM and threading say
WORDS = {
    "out of memory": MEMORY, "allocate memory": MEMORY, "failed to map": MEMORY, "not enough memory": MEMORY, "unable to allocate": MEMORY,
    "bad_alloc": MEMORY, "can't start new thread": MEMORY, "too many open files": HANDLES,
}  # fmt: skip


def shortage(error: BaseException | None) -> OutOfResources | None:
    """The error in words of ours where it, or one that it came from, is a lack of memory or file handles; else None."""
    for each in _causes(error):
        if isinstance(each, OutOfResources):
            return each
    what = lack(error)
    if what == MEMORY:
        return OutOfResources("there is not enough memory for this", "close other programs or use a smaller size, then try again")
    if what == HANDLES:
        return OutOfResources("there are not enough file handles for this", "close other programs, then try again")
    return None


def lack(error: BaseException | None) -> str:
    """What is lacking – ``MEMORY`` or ``HANDLES`` – where the error, or one that it came from, says so; else ""."""
    for each in _causes(error):
        what = MEMORY if isinstance(each, MemoryError) else NUMBERS.get(getattr(each, "errno", None) or 0, "")
        if not what and isinstance(each, (RuntimeError, ImportError, SystemError, OSError)):
            what = next((kind for words, kind in WORDS.items() if words in str(each).lower()), "")
        if what:
            return what
    return ""


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """An error, and those that it came from."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


def require(bytes_needed: int) -> None:
    """Raise :class:`OutOfResources` where the process may not, or the machine cannot, have so many bytes of address space more.

    Known on Linux: the process's limit (``ulimit -v``) and the memory and swap space that are free.
    """
    free = left()
    if free is not None and free < bytes_needed:
        raise OutOfResources(
            f"this needs about {bytes_needed >> 20} MB of memory, and {free >> 20} MB are left",
            "close other programs, then try again",
            bytes_needed,
        )


def left() -> int | None:
    """Bytes of address space that this process can still have; None where that is not known."""
    if sys.platform != "linux":
        return None
    import resource

    try:
        status, machine = _fields(Path("/proc/self/status")), _fields(Path("/proc/meminfo"))
        free = int((machine["MemAvailable"] + machine["SwapFree"]) / FILLED)
        limit, _ = resource.getrlimit(resource.RLIMIT_AS)
        return free if limit == resource.RLIM_INFINITY else min(free, limit - status["VmSize"])
    except (OSError, KeyError, ValueError):
        return None


def _fields(path: Path) -> dict[str, int]:
    """Bytes by name of a file of lines like ``VmSize:  123 kB``."""
    lines = (line.split() for line in path.read_text().splitlines())
    return {words[0].rstrip(":"): int(words[1]) * 1024 for words in lines if len(words) == 3 and words[2] == "kB"}


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
