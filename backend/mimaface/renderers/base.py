"""What a user picks: a way from a portrait and its motion to frames."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from numpy.typing import NDArray

from mimaface.engines.pool import EnginePool
from mimaface.face.portrait import Portrait
from mimaface.protocol.motion import MotionClip
from mimaface.protocol.settings import RenderSettings
from mimaface.sampling.clips import Memory

Array = NDArray[Any]


@dataclass(frozen=True, eq=False)
class Frame:
    """One finished frame: its index in the motion and its picture, RGB (H, W, 3) or RGBA (H, W, 4) uint8.

    still: whether it is the photograph itself, to the byte, in which nothing was made; changed (H, W) bool: where a film's own frame was
    changed, None where all of the picture may be.
    """

    index: int
    image: Array
    still: bool = False
    changed: Array | None = None


class Session(Protocol):
    """One portrait at one output size."""

    def shot(self, motion: MotionClip, start: int, memory: Memory) -> Iterator[Frame | None]:
        """The frames of a motion from ``start`` on, in order; None after every step that finished none.

        ``memory`` receives what a later run of the same job, with another ``start``, needs to go on to the byte without starting over.
        Raises :class:`InvalidMotion` or :class:`NotFinite`.
        """


class Renderer(Protocol):
    """One entry of :data:`mimaface.renderers.registry.RENDERERS`."""

    name: str

    def state(self) -> str:
        """"" when it works here, else the reason why not."""

    def build(self) -> str:
        """Names all that decides a frame's bytes beside portrait, motion and settings: weights and arithmetic."""

    def networks(self) -> str:
        """By what its networks are run here, in words; "" where they never were exported, or where there are none. Quick."""

    def open(self, portrait: Portrait, settings: RenderSettings, pool: EnginePool) -> Session:
        """Prepare a portrait; ``pool`` keeps the networks from one shot to the next. Raises :class:`InvalidCheckpoint`."""
