"""Draws frames on several threads, ahead of their use."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Given = TypeVar("Given")
Made = TypeVar("Made")
# bytes of memory per pixel of the output that drawing takes, and bytes of all frames drawn at the same time. Higher MOST: large frames use
# more cores and more memory; of 4096² pixels two are drawn at a time
EACH, MOST = 30, 1.1e9


def threads(pixels: int) -> int:
    """Returns how many frames of ``pixels`` pixels are drawn at the same time: one per core, fewer of very large ones."""
    return max(min(os.cpu_count() or 1, int(MOST / (EACH * max(pixels, 1)))), 1)


def made_ahead(make: Callable[[Given], Made], given: Iterable[Given], count: int) -> Generator[Made]:
    """Yields ``make`` of each given value, in order, computed by ``count`` threads at most ``count`` values ahead.

    Closing the generator does not wait for the threads.
    """
    pool, ahead = ThreadPoolExecutor(count, "draw"), deque[Future[Made]]()
    try:
        for each in given:
            ahead.append(pool.submit(make, each))
            if len(ahead) > count:
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
