"""Portrait + motion → frames: the one way in for the command line, the server and Python."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from numpy.typing import NDArray

from mimaface import __version__
from mimaface.engines.pool import EnginePool
from mimaface.face.head import ASSETS
from mimaface.face.portrait import Portrait
from mimaface.face.pose import FacePose, poses_for
from mimaface.protocol.errors import Cancelled, InvalidInput
from mimaface.protocol.motion import MotionClip
from mimaface.protocol.settings import RenderSettings
from mimaface.reprojection.renderer import ProxyRenderer
from mimaface.sampling.clips import Memory
from mimaface.shortage import TORCH, require

Array = NDArray[Any]
DEMO_MODEL = ASSETS / "demo"  # the model that is shipped


@dataclass(frozen=True, eq=False)
class Frame:
    """One finished frame: its index in the motion and its picture, RGB (H, W, 3) or RGBA (H, W, 4) uint8."""

    index: int
    image: Array


class Engine(Protocol):
    """Turns motion into frames. ``start`` is the first frame wanted; None is yielded after a step without a finished frame.

    ``memory`` keeps what a later run of the same job, with another ``start``, needs to go on without starting over; ``pool`` keeps
    the networks.
    """

    def __call__(
        self, portrait: Portrait, motion: MotionClip, settings: RenderSettings, start: int, memory: Memory, pool: EnginePool
    ) -> Iterator[Frame | None]: ...


def proxy_frames(
    portrait: Portrait, motion: MotionClip, settings: RenderSettings, start: int, memory: Memory, pool: EnginePool
) -> Iterator[Frame | None]:
    """The ``proxy`` engine: the projected photograph, each frame by itself."""
    poses = poses_for(portrait.fit, motion, settings.absolute)
    renderer = ProxyRenderer(portrait, settings.size, settings.framing)
    yield None
    for index in range(start, len(poses)):
        yield Frame(index, renderer.render(poses[index], settings.transparent))


def demo_frames(
    portrait: Portrait, motion: MotionClip, settings: RenderSettings, start: int, memory: Memory, pool: EnginePool
) -> Iterator[Frame | None]:
    """The ``demo`` engine: the diffusion model that is shipped."""
    poses = poses_for(portrait.fit, motion, settings.absolute)
    yield from model_frames(DEMO_MODEL, portrait, poses, settings, start, memory, pool)


def released_frames(
    portrait: Portrait, motion: MotionClip, settings: RenderSettings, start: int, memory: Memory, pool: EnginePool
) -> Iterator[Frame | None]:
    """The ``released`` engine: the authors' checkpoint, once ``mimaface models`` has installed it."""
    from mimaface.renderers.released import released_pictures
    from mimaface.weights.library import RELEASED, find

    for done in released_pictures(find(RELEASED).folder, portrait, motion, settings, start, memory, pool):
        yield None if done is None else Frame(*done)


def model_frames(
    folder: Path,
    portrait: Portrait,
    poses: list[FacePose],
    settings: RenderSettings,
    start: int,
    memory: Memory,
    pool: EnginePool | None = None,
) -> Iterator[Frame | None]:
    """The diffusion model in ``folder``. Raises :class:`InvalidCheckpoint`."""
    from mimaface.renderers.generated import PortraitGenerator, open_engine

    yield None
    generator = PortraitGenerator((pool or EnginePool()).get(folder, open_engine), portrait, settings)
    yield None
    for done in generator.frames(poses, start, memory):
        yield None if done is None else Frame(*done)


ENGINES: dict[str, Engine] = {"demo": demo_frames, "proxy": proxy_frames, "released": released_frames}


def engine_states() -> dict[str, str]:
    """Every engine by name, with "" when it works here, else the reason why not."""
    from mimaface.weights.library import RELEASED, installed

    whole = (DEMO_MODEL / "model_index.json").exists()
    demo = "" if whole else f"the model is missing in {DEMO_MODEL}: install MIMAFace again"
    found = [model.state for model in installed() if model.name == RELEASED]
    return {"demo": demo, "proxy": "", "released": found[0] if found else "not installed: mimaface models pull released"}


def engine_build(name: str) -> str:
    """What the frames of an engine depend on beside their inputs: the version, the weights, and what the machine computes with."""
    from mimaface.weights import checksums

    parts = [__version__]
    if name == "demo":
        parts.append(checksums.fingerprint(DEMO_MODEL))
    if name == "released":
        from mimaface.weights.library import RELEASED, find, gaze_file

        parts.append(checksums.fingerprint(find(RELEASED).folder))
        if gaze_file().exists():
            parts.append(checksums.digest(gaze_file()))
    if name != "proxy":
        if "torch" not in sys.modules:
            require(TORCH)
        from mimaface.engines.precision import arithmetic

        parts.append(arithmetic())
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def check(motion: MotionClip, settings: RenderSettings, frames: int | None = None) -> None:
    """Raise :class:`InvalidInput` early for what can be known before any work."""
    if settings.engine not in ENGINES:
        raise InvalidInput(f"engine {settings.engine!r} is unknown", f"use one of: {', '.join(ENGINES)}")
    reason = engine_states()[settings.engine]
    if reason:
        raise InvalidInput(f"engine {settings.engine} cannot be used: {reason}", "or choose another engine")
    if frames is not None and frames != len(motion):
        raise InvalidInput(f"{frames} frames were announced, but the motion has {len(motion)}")


def steps(
    portrait: Portrait,
    motion: MotionClip,
    settings: RenderSettings = RenderSettings(),
    start: int = 0,
    memory: Memory | None = None,
    pool: EnginePool | None = None,
) -> Generator[Frame | None]:
    """Frames from ``start`` on, with None after every step that finished none, so that a scheduler can take turns.

    Frame i of the output shows frame i of the motion. With the ``memory`` that an earlier run of the same job filled, frames
    from ``start`` on come sooner, and equal to the byte; with the ``pool`` of an earlier run, networks are loaded once. Raises
    :class:`InvalidInput`, :class:`InvalidMotion` or :class:`NotFinite`.
    """
    check(motion, settings)
    yield from ENGINES[settings.engine](portrait, motion, settings, start, {} if memory is None else memory, pool or EnginePool())


def animate(
    portrait: Portrait,
    motion: MotionClip,
    settings: RenderSettings = RenderSettings(),
    cancelled: Callable[[], bool] = lambda: False,
) -> Iterator[Frame]:
    """The frames of a shot in order. Raises :class:`Cancelled` at the next step once ``cancelled()`` is true."""
    for step in steps(portrait, motion, settings):
        if cancelled():
            raise Cancelled("the render was cancelled")
        if step is not None:
            yield step
