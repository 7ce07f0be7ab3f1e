"""``mimaface animate`` with a film, or with several people of a picture, as its source: options, sound and times of frames."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from mimaface.protocol.errors import InvalidInput

from . import motion
from .terminal import counting_bar, warn

if TYPE_CHECKING:
    from mimaface.drivers.film import Film
    from mimaface.face.portrait import Portrait
    from mimaface.output.sinks import Clock
    from mimaface.output.sound import Sound
    from mimaface.protocol.motion import MotionClip

SHORTER = 0.1  # seconds by which a motion may end before the film without a warning: the duration of a last frame
SPEECH = ("sound", "phones")  # formats of motions that are made from speech


class Shot(NamedTuple):
    """``frames`` of a ``source`` under a ``motion``, at ``rate`` frames per second or at the times of a ``clock``, with a ``sound``."""

    source: Portrait | Film | Sequence[Portrait]
    motion: MotionClip | Sequence[MotionClip]
    frames: int
    rate: float
    sound: Sound | None
    clock: Clock | None = None

    @property
    def marked(self) -> Portrait | Film:
        """The portrait or film that marks identify: of several people the first."""
        return self.source[0] if isinstance(self.source, Sequence) else self.source


def check(parsed: argparse.Namespace) -> None:
    """Raise :class:`InvalidInput` for options that films do not support."""
    refused = {
        "--reference": bool(parsed.reference), "--points": parsed.points is not None, "--framing face": parsed.framing == "face",
        "--transparent": parsed.transparent, "--fps": bool(parsed.fps) and parsed.portrait.is_file(),
        "--also": bool(parsed.also), "--engine " + parsed.engine: parsed.engine != "proxy",
    }  # fmt: skip
    given = [option for option, is_given in refused.items() if is_given]
    if given:
        raise InvalidInput(
            f"{parsed.portrait.name} is a film, which keeps its size, framing, times and background: {given[0]} is not possible",
            "leave it out, or animate a photograph",
        )


def open_shot(parsed: argparse.Namespace, clip: MotionClip) -> Shot:
    """Returns the shot of a film, tracked under a progress bar; print the film's warnings."""
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
    if len(clip) > 1 and clip.duration < length - SHORTER:
        warn(f"{parsed.motion.name} ends after {clip.duration:.1f} of the film's {length:.1f} s: its last pose is held from there on")
    ticks = [round(seconds / float(film.tick)) for seconds in film.times]
    return Shot(film, clip, len(film), float(film.rate), _sound(parsed, film, clip), Clock(ticks, film.tick))


def people(parsed: argparse.Namespace, portrait: Portrait, first: MotionClip, rate: float) -> tuple[list[Portrait], list[MotionClip]]:
    """Returns ``portrait`` and the people of ``--also``, and their motions at ``rate``: the ``first`` and those of ``--also``."""
    from mimaface.face.portrait import Portrait
    from mimaface.output.sound import has_sound

    portraits, motions = [portrait], [first]
    faces = [parsed.face]
    for text in parsed.also:
        number, _, name = text.partition("=")
        if not number.isdecimal() or not name:
            raise InvalidInput(f"--also {text}: not FACE=MOTION", "for example --also 1=take.csv")
        if int(number) in faces:
            raise InvalidInput(f"--also {text}: face {number} has a motion already", "give each face one; 0 is the largest")
        faces.append(int(number))
        portraits.append(Portrait.open(parsed.portrait, int(number)))
        clip = motion.open_motion(parsed, Path(name), portraits[-1].fit)
        if "picture" in (clip.meta.get("format"), first.meta.get("format")):
            raise InvalidInput("a picture can drive only one person", "use motions, or animate one person after the other")
        if has_sound(Path(name)):
            warn(f"{Path(name).name}: its sound is left out; the film has that of {parsed.motion.name}, if any")
        motions.append(clip.at_rate(rate))
    return portraits, motions


def _sound(parsed: argparse.Namespace, film: Film, clip: MotionClip) -> Sound | None:
    """Returns the sound of the speech that drives the film, else the film's own, else the motion's, else None."""
    from mimaface.drivers import sound_file
    from mimaface.output.sinks import is_film
    from mimaface.output.sound import Sound, has_sound
    from mimaface.protocol.driver_files import SOUNDS, ends

    begins = {parsed.portrait: 0.0, sound_file(parsed.motion): float(clip.time[0])}
    spoken = parsed.sound or ends(parsed.motion.name, SOUNDS) or clip.meta.get("format") in SPEECH
    order = sorted(begins, key=lambda path: (path == parsed.portrait) == spoken)
    heard = next((path for path in order if path.is_file() and has_sound(path)), None)
    if heard is not None and not is_film(parsed.output):
        warn(f"{heard.name}: its sound cannot go into a folder of pictures; an .mp4 file would have it")
        return None
    return None if heard is None else Sound(heard, begins[heard], float(film.times[-1]) + 1 / float(film.rate))
