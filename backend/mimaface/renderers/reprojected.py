"""The ``proxy`` engine: reprojects the photograph on the posed head, frame by frame on several threads, without networks."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from typing import Generic, TypeVar

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
HELD = 6e8  # bytes of pictures that are drawn and wait for networks, if kept whole: eleven of 4096². Higher: networks wait less, in more memory


def threads(pixels: int, most: float = MOST) -> int:
    """Returns how many frames of ``pixels`` pixels are drawn at the same time: one per core, fewer of very large ones, in ``most`` bytes."""
    return max(min(os.cpu_count() or 1, int(most / (EACH * max(pixels, 1)))), 1)


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

    def runtimes(self, earlier: Mapping[str, str] | None = None) -> dict[str, str]:
        return {}

    def networks(self) -> str:
        return ""

    def measure(self) -> Iterator[str]:
        return iter(())

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


class Ahead(Generic[Made]):
    """Frames made by number on ``count`` threads, before they are taken; of those that nobody waits for yet, at most ``most`` are held."""

    def __init__(self, make: Callable[[int], Made], count: int, most: int) -> None:
        self._make, self._most = make, most
        self._pool = ThreadPoolExecutor(count, "draw")
        self._made: dict[int, Future[Made]] = {}
        self._held: set[int] = set()  # made or being made, and not finished

    def need(self, frames: Iterable[int]) -> None:
        """Starts to make frames, whatever is held."""
        for index in frames:
            if index not in self._held:
                self._held.add(index)
                self._made[index] = self._pool.submit(self._make, index)

    def prepare(self, frames: Iterable[int]) -> None:
        """Starts to make as many of the first ``frames`` as may be held."""
        waiting = [index for index in frames if index not in self._held]
        self.need(waiting[: max(self._most - len(self._held), 0)])

    def take(self, index: int) -> Made:
        """Returns a frame, when it is made."""
        return self._made.pop(index).result()

    def finish(self, index: int) -> None:
        """Forgets a frame that was taken, whose memory is free from here on."""
        self._held.discard(index)

    def close(self) -> None:
        """Ends without waiting for the threads, so that a cancelled job ends at once."""
        self._pool.shutdown(wait=False, cancel_futures=True)
