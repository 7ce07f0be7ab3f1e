"""``mimaface animate`` with a film as its source: what is asked of it, its sound and its clock."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, NamedTuple

from mimaface.protocol.errors import InvalidInput

from .terminal import counting_bar, warn

if TYPE_CHECKING:
    from mimaface.drivers.film import Film
    from mimaface.face.portrait import Portrait
    from mimaface.output.sinks import Clock
    from mimaface.output.sound import Sound
    from mimaface.protocol.motion import MotionClip

SHORTER = 0.1  # seconds by which a motion may end before the film does without a word: that a last frame is shown
SPEECH = ("sound", "phones")  # formats of a motion whose sound says what the mouth does


class Shot(NamedTuple):
    """What is written: ``frames`` of a ``source`` under a ``motion``, at ``rate`` a second or by a ``clock``, with a ``sound``."""

    source: Portrait | Film
    motion: MotionClip
    frames: int
    rate: float
    sound: Sound | None
    clock: Clock | None = None


def check(parsed: argparse.Namespace) -> None:
    """Raise :class:`InvalidInput` for options that a film cannot have."""
    refused = {
        "--reference": bool(parsed.reference), "--points": parsed.points is not None, "--framing face": parsed.framing == "face",
        "--transparent": parsed.transparent, "--fps": bool(parsed.fps) and parsed.portrait.is_file(),
        "--engine " + parsed.engine: parsed.engine != "proxy",
    }  # fmt: skip
    given = [option for option, is_given in refused.items() if is_given]
    if given:
        raise InvalidInput(
            f"{parsed.portrait.name} is a film, which keeps its frames, their times and all that the motion leaves: {given[0]} cannot be had",
            "leave it out, or animate a photograph",
        )


def open_shot(parsed: argparse.Namespace, motion: MotionClip) -> Shot:
    """The film that a user names, followed under a progress bar, with what it lacks said."""
    from mimaface.drivers.film import Film
    from mimaface.output.sinks import Clock

    name = parsed.portrait.name
    with counting_bar() as bar:
        task = bar.add_task(f"reading {name}", total=None)

        def counted(stage: str, done: int, total: int) -> None:
            bar.update(task, description=f"{stage} {name}", completed=done, total=total or None)

        film = Film.open(parsed.portrait, parsed.face, parsed.fps, counted)
    for words in film.warnings:
        warn(f"{name}: {words}")
    length = float(film.times[-1])
    if len(motion) > 1 and motion.duration < length - SHORTER:
        warn(f"{parsed.motion.name} ends after {motion.duration:.1f} of the film's {length:.1f} s: its last pose is held from there on")
    ticks = [round(seconds / float(film.tick)) for seconds in film.times]
    return Shot(film, motion, len(film), float(film.rate), _sound(parsed, film, motion), Clock(ticks, film.tick))


def _sound(parsed: argparse.Namespace, film: Film, motion: MotionClip) -> Sound | None:
    """The film's own sound, or that of the speech that moves its mouth; of a silent film, the motion's, if it has one."""
    from mimaface.drivers import sound_file
    from mimaface.output.sinks import is_film
    from mimaface.output.sound import Sound, has_sound

    begins = {parsed.portrait: 0.0, sound_file(parsed.motion): float(motion.time[0])}
    order = sorted(begins, key=lambda path: (path == parsed.portrait) == (motion.meta.get("format") in SPEECH))
    heard = next((path for path in order if path.is_file() and has_sound(path)), None)
    if heard is not None and not is_film(parsed.output):
        warn(f"{heard.name}: its sound cannot go into a folder of pictures; an .mp4 file would have it")
        return None
    return None if heard is None else Sound(heard, begins[heard], float(film.times[-1]) + 1 / float(film.rate))
