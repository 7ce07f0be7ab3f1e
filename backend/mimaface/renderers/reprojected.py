"""The ``proxy`` engine: reprojects the photograph on the posed head, frame by frame, without networks."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

from mimaface.engines.pool import EnginePool
from mimaface.face.portrait import Portrait
from mimaface.face.pose import poses_for
from mimaface.geometry.strips import same
from mimaface.protocol.motion import MotionClip
from mimaface.protocol.settings import STANDARD, RenderSettings
from mimaface.reprojection.reprojector import Reprojector
from mimaface.sampling.clips import Memory

from .ahead import made_ahead, threads
from .base import Frame


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
