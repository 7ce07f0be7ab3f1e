"""The ``proxy`` engine: reprojects the photograph on the posed head, frame by frame on several threads, without networks."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from typing import TypeVar

from mimaface.engines.pool import EnginePool
from mimaface.face.portrait import Portrait
from mimaface.face.pose import poses_for
from mimaface.geometry.strips import same
from mimaface.protocol.motion import MotionClip
from mimaface.protocol.settings import STANDARD, RenderSettings
from mimaface.reprojection.reprojector import Reprojector
from mimaface.sampling.clips import Memory

from .base import Frame

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


class Reprojected:
    """See :class:`mimaface.renderers.base.Renderer`."""

    name = "proxy"

    def state(self) -> str:
        return ""

    def build(self) -> str:
        return ""

    def networks(self) -> str:
        return ""

    def qualities(self) -> tuple[str, ...]:
        return (STANDARD,)

    def open(self, portrait: Portrait, settings: RenderSettings, pool: EnginePool) -> ReprojectedSession:
        return ReprojectedSession(portrait, settings)


class ReprojectedSession:
    """See :class:`mimaface.renderers.base.Session`."""

    def __init__(self, portrait: Portrait, settings: RenderSettings) -> None:
        self._portrait, self._settings = portrait, settings
        self._renderer = Reprojector(portrait, settings.size, settings.framing, settings.body_follows, settings.only)

    def shot(self, motion: MotionClip, start: int, memory: Memory) -> Iterator[Frame | None]:
        poses = poses_for(self._portrait.fit, motion, self._settings.absolute, self._settings.only)
        height, width = self._renderer.image.shape[:2]
        pictures = made_ahead(
            lambda pose: self._renderer.render(pose, self._settings.transparent), poses[start:], threads(height * width)
        )
        with closing(pictures):
            for index, picture in enumerate(pictures, start):
                yield Frame(index, picture, same(picture, self._renderer.image))
