"""The interface of renderers: from a portrait and its motion to frames."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

from mimaface.engines.pool import EnginePool
from mimaface.face.portrait import Portrait
from mimaface.protocol.arrays import Array
from mimaface.protocol.motion import MotionClip
from mimaface.protocol.settings import RenderSettings
from mimaface.sampling.clips import Memory


@dataclass(frozen=True, eq=False)
class Frame:
    """A finished frame: its index in the motion and its picture, RGB (H, W, 3) or RGBA (H, W, 4) uint8.

    still: whether it equals the photograph to the byte; changed (H, W) bool: the changed pixels of a film's own frame, None where any
    pixel may be changed.
    """

    index: int
    image: Array
    still: bool = False
    changed: Array | None = None


class Session(Protocol):
    """One portrait at one output size, opened by a renderer."""

    def shot(self, motion: MotionClip, start: int, memory: Memory) -> Iterator[Frame | None]:
        """Yields the frames of a motion from index ``start`` on, in order; None after every step that finished none.

        ``memory`` receives the state with which a later run of the same job continues at another ``start`` with equal bytes.
        Raises :class:`InvalidMotion` or :class:`NotFinite`.
        """


class Renderer(Protocol):
    """One entry of :data:`mimaface.renderers.registry.RENDERERS`."""

    name: str

    def state(self) -> str:
        """Returns "" if the renderer works on this machine, else the reason why not."""

    def build(self) -> str:
        """Returns a text that names what a frame depends on besides portrait, motion, settings and runtimes: weights and arithmetic."""

    def runtimes(self, earlier: Mapping[str, str] | None = None) -> dict[str, str]:
        """Returns network → runtime of those that another one than torch runs: as chosen here; of a take's ``earlier`` ones, those still there."""

    def networks(self) -> str:
        """Returns the name of what runs its networks on this machine; "" without networks, or where they were never exported. Fast."""

    def measure(self) -> Iterator[str]:
        """Measure what may run its networks, if that was not done on this machine with these versions; yields a sentence after every step."""

    def qualities(self) -> tuple[str, ...]:
        """Those of :data:`mimaface.protocol.settings.QUALITIES` that differ here, from fast to slow."""

    def open(self, portrait: Portrait, settings: RenderSettings, pool: EnginePool) -> Session:
        """Prepare a portrait; ``pool`` keeps loaded networks between shots. Raises :class:`InvalidCheckpoint`."""
