"""Frames that other threads draw while those before them are used."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Given = TypeVar("Given")
Made = TypeVar("Made")
# bytes that drawing takes a pixel of the output, and that frames which are drawn at the same time may take. More: large frames use more
# cores; 4096² are drawn two at a time
EACH, MOST = 30, 1.1e9


def threads(pixels: int) -> int:
    """How many frames of so many ``pixels`` are drawn at the same time: one a core, and fewer of very large ones."""
    return max(min(os.cpu_count() or 1, int(MOST / (EACH * max(pixels, 1)))), 1)


def made_ahead(make: Callable[[Given], Made], given: Iterable[Given], count: int) -> Generator[Made]:
    """``make`` of each, in order, by ``count`` threads, which are at most that many ahead; closed, it does not wait for them."""
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
