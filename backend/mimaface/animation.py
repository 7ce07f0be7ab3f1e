"""Portrait or film + motion → frames: the one way in for the command line, the server and Python."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence

from mimaface.drivers.film import Film
from mimaface.engines.pool import EnginePool
from mimaface.face.portrait import Portrait
from mimaface.face.pose import neutral_for
from mimaface.protocol.errors import Cancelled, InvalidInput
from mimaface.protocol.motion import MotionClip
from mimaface.protocol.settings import RenderSettings
from mimaface.renderers.base import Frame, Session
from mimaface.renderers.film_session import FilmSession
from mimaface.renderers.people_session import PeopleSession
from mimaface.renderers.registry import usable
from mimaface.sampling.clips import Memory


def check(motion: MotionClip, settings: RenderSettings, frames: int | None = None) -> None:
    """Raise :class:`InvalidInput` early for what can be found before any work."""
    usable(settings.engine)
    if frames is not None and frames != len(motion):
        raise InvalidInput(f"{frames} frames were announced, but the motion has {len(motion)}")


def steps(
    portrait: Portrait | Film | Sequence[Portrait],
    motion: MotionClip | Sequence[MotionClip],
    settings: RenderSettings = RenderSettings(),
    start: int = 0,
    memory: Memory | None = None,
    pool: EnginePool | None = None,
) -> Generator[Frame | None]:
    """Frames from ``start`` on, with None after every step that finished none, so that a scheduler can take turns.

    Frame i of the output shows frame i of the motion; of a film, frame i of the film under the motion of that moment. Several
    portraits, of one picture, have as many motions. With the ``memory`` that an earlier run of the same job filled, frames from ``start``
    on come sooner, and equal to the byte; with the ``pool`` of an earlier run, networks are loaded once. Raises :class:`InvalidInput`,
    :class:`InvalidMotion` or :class:`NotFinite`.
    """
    renderer = usable(settings.engine)
    yield None
    if not isinstance(portrait, (Portrait, Film)):
        motions = [motion] if isinstance(motion, MotionClip) else motion
        yield from PeopleSession(portrait, settings).shot([*map(_from_portrait, portrait, motions), *motions[len(portrait) :]], start)
        return
    if not isinstance(motion, MotionClip):
        raise InvalidInput("one portrait or film takes one motion", "give several portraits of one picture for several motions")
    session: Session = (
        FilmSession(portrait, settings) if isinstance(portrait, Film) else renderer.open(portrait, settings, pool or EnginePool())
    )
    yield None
    yield from session.shot(motion if isinstance(portrait, Film) else _from_portrait(portrait, motion), start, {} if memory is None else memory)


def _from_portrait(portrait: Portrait, motion: MotionClip) -> MotionClip:
    """Returns a motion whose neutral "auto" has become the frame that shows the portrait, if one does."""
    frame = neutral_for(portrait.fit.landmarks, motion) if motion.meta["neutral"] == "auto" else None
    return motion if frame is None else motion.but(meta={**motion.meta, "neutral": frame})


def animate(
    portrait: Portrait | Film | Sequence[Portrait],
    motion: MotionClip | Sequence[MotionClip],
    settings: RenderSettings = RenderSettings(),
    cancelled: Callable[[], bool] = lambda: False,
) -> Iterator[Frame]:
    """The frames of a shot in order. Raises :class:`Cancelled` at the next step once ``cancelled()`` is true."""
    for step in steps(portrait, motion, settings):
        if cancelled():
            raise Cancelled("the render was cancelled")
        if step is not None:
            yield step
