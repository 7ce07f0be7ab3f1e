"""``mimaface animate``: renders a portrait under a motion to PNG files or a video."""

from __future__ import annotations

import argparse
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from mimaface.collector import uncollected
from mimaface.protocol.arkit import REGIONS
from mimaface.protocol.errors import Cancelled, InvalidInput
from mimaface.protocol.settings import BODY_FOLLOWS, QUALITIES, STANDARD, RenderSettings

from . import film, marking, motion, points
from .terminal import INTERRUPTED, Commands, counting_bar, not_a_source, stop_on_signals, warn

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mimaface.face.portrait import Portrait
    from mimaface.output.sound import Sound
    from mimaface.protocol.motion import MotionClip
    from mimaface.renderers.base import Frame

SILENT = ("live_link_face", "picture", "pictures")  # formats of motion files without sound
SLOW = 5.0  # seconds per frame above which the expected time is printed. Higher: fewer such warnings
TIMED = 20.0  # seconds after the first frame when that time is taken: a clip or two of a model's. Longer: nearer the truth, said later
FASTER = 1280  # pixels of the longer side that are recommended instead of larger ones: full HD's height and more, under a second a frame


def add(commands: Commands) -> None:
    """Add ``animate``."""
    animate = commands.add_parser("animate", help="turn a portrait and a motion into frames or a video")
    animate.add_argument("portrait", type=Path, help="a photograph of a face, or a film or a folder of its frames to be acted anew")
    animate.add_argument(
        "motion",
        type=Path,
        help="a .motion.npz, a Live Link Face .csv, a video, speech (.wav, .mp3, …), a TextGrid, a picture of a face, or a folder of them",
    )
    animate.add_argument(
        "--reference", type=Path, action="append", default=[], metavar="PHOTO",
        help="another photograph of the person, or a video of them, for what the portrait does not show; may be repeated",
    )  # fmt: skip
    animate.add_argument(
        "--points", type=Path, metavar="FILE", help="where points of the face are, placed by hand: a .json file that “mimaface points” wrote"
    )
    animate.add_argument(
        "-o", "--output", type=Path, required=True, help="a folder for PNG files, an .mp4 file or, for one frame, a .png file"
    )
    animate.add_argument("--fps", type=float, default=0, help="frames per second of the output (default: the motion's own)")
    animate.add_argument("--size", type=int, default=0, help="pixels of the longer side (default: the photograph's)")
    animate.add_argument(
        "--framing", choices=("photo", "face"), default="photo", help="the whole photograph, or the square around the head"
    )
    animate.add_argument("--transparent", action="store_true", help="write PNG files in which all but the person is transparent")
    animate.add_argument(
        "--engine",
        default=RenderSettings.engine,
        help="proxy: the projected photo; demo: the shipped diffusion model; released: the authors' checkpoint (default: %(default)s)",
    )
    animate.add_argument(
        "--quality", choices=QUALITIES, default=STANDARD, help="of demo and released: in how many steps their model is sampled"
    )
    animate.add_argument(
        "--body-follows", type=float, default=BODY_FOLLOWS, metavar="SHARE",
        help="how far the shoulders go with a head that moves far: 0, they stay, to 1 (default: %(default)s)",
    )  # fmt: skip
    animate.add_argument(
        "--only", default="", metavar="REGIONS",
        help=f"what the motion moves, the rest stays as it is in the photograph or film: some of {','.join(REGIONS)} (default: all)",
    )  # fmt: skip
    animate.add_argument("--seed", type=int, default=0, help="seed of the diffusion model's noise")
    animate.add_argument("--face", type=int, default=0, help="number of the face in the photograph; 0 is the largest")
    animate.add_argument(
        "--also", action="append", default=[], metavar="FACE=MOTION",
        help="another person of the photograph, by the number of the face, and the motion of theirs; may be repeated",
    )  # fmt: skip
    animate.add_argument(
        "--absolute", action="store_true", help="apply the motion as recorded, not relative to its neutral frame"
    )
    marking.add_options(animate)
    animate.add_argument("--overwrite", action="store_true", help="replace an output that exists")
    motion.add_options(animate)
    animate.set_defaults(command=_animate)


def _animate(parsed: argparse.Namespace) -> int:
    with uncollected():
        from mimaface.animation import check
        from mimaface.drivers.film import is_film

    if parsed.transparent and parsed.output.suffix.lower() == ".mp4":
        raise InvalidInput(f"{parsed.output.name}: an .mp4 file cannot be transparent", "choose a folder for PNG files as output")
    others = (Path(text.partition("=")[2]) for text in parsed.also if "=" in text)
    not_a_source(parsed.output, parsed.portrait, parsed.motion, *parsed.reference, *others)
    acted_anew = is_film(parsed.portrait)
    if acted_anew:
        film.check(parsed)
    portrait = None if acted_anew else _portrait(parsed)
    clip = motion.open_motion(parsed, parsed.motion, portrait.fit if portrait else None)
    absolute = parsed.absolute or clip.meta.get("format") == "picture"  # a picture has a pose, but no neutral
    settings = RenderSettings(
        parsed.engine, parsed.size, parsed.framing, parsed.transparent, absolute, parsed.seed, parsed.face, not parsed.no_watermark,
        parsed.quality, parsed.body_follows, parsed.only,
    )
    check(clip, settings)
    if settings.engine == "proxy" and settings.quality != STANDARD:
        warn(f"--quality {settings.quality} has no effect: the engine proxy samples no model")
    shot = film.open_shot(parsed, clip) if portrait is None else _photograph(parsed, portrait, clip)
    return _write(parsed, shot, settings)


def _portrait(parsed: argparse.Namespace) -> Portrait:
    """Returns the photograph, fitted; print warnings about it."""
    from mimaface.drivers.stills import reference_pictures
    from mimaface.face.portrait import Portrait
    from mimaface.output.sinks import is_film

    placed = points.read(parsed.points) if parsed.points else None
    portrait = Portrait.open(parsed.portrait, parsed.face, reference_pictures(parsed.reference), placed)
    for warning in portrait.warnings:
        warn(warning)
    if portrait.alpha is not None and is_film(parsed.output):
        warn(f"{parsed.portrait.name}: transparent parts are black in an .mp4 file; a folder of PNG files keeps them transparent")
    return portrait


def _photograph(parsed: argparse.Namespace, portrait: Portrait, clip: MotionClip) -> film.Shot:
    """Returns the shot of a photograph at the output's rate; print warnings about losses."""
    from mimaface.drivers import sound_file
    from mimaface.output.sinks import is_film

    clip, rate = _at_output_rate(clip, parsed)
    sound = _sound(sound_file(parsed.motion), clip, rate, is_film(parsed.output))
    if not parsed.also:
        return film.Shot(portrait, clip, len(clip), rate, sound)
    portraits, motions = film.people(parsed, portrait, clip, rate)
    return film.Shot(portraits, motions, max(map(len, motions)), rate, sound)


def _at_output_rate(clip: MotionClip, parsed: argparse.Namespace) -> tuple[MotionClip, float]:
    """Returns the clip at the output's rate, and that rate in frames per second: --fps, else the motion's own."""
    from mimaface.drivers.rates import standard_rate
    from mimaface.output.sinks import exact_rate

    rate, words = (parsed.fps, "") if parsed.fps else standard_rate(clip)
    if words:
        warn(f"{parsed.motion.name}: {words}")
    rate = float(exact_rate(rate))
    return clip.at_rate(rate), rate


def _sound(source: Path, clip: MotionClip, rate: float, is_video: bool) -> Sound | None:
    """Returns the sound of the motion's file for an .mp4 file; None, with a warning, for a folder of pictures."""
    from mimaface.output.sound import Sound, has_sound
    from mimaface.protocol.driver_files import FILMS, ends

    silent = clip.meta.get("format") in SILENT and not ends(source.name, FILMS)
    if silent or not has_sound(source):  # has_sound imports PyAV, which takes 0.1 s
        return None
    if is_video:
        return Sound(source, float(clip.time[0]), len(clip) / rate)
    warn(f"{source.name}: its sound cannot go into a folder of pictures; an .mp4 file would have it")
    return None


def _timed(frames: Iterator[Frame], count: int) -> Iterator[Frame]:
    """Yields ``frames``, of which there are ``count``; once, after TIMED seconds, prints a warning if they are slow."""
    first = told = 0.0
    for done, frame in enumerate(frames):
        now = time.monotonic()
        first = first or now
        if not told and now - first > TIMED:
            told = now
            if words := _about_time((now - first) / done, count, *frame.image.shape[:2]):
                warn(words)
        yield frame


def _about_time(seconds: float, frames: int, height: int, width: int) -> str:
    """Returns a warning with the time of ``frames`` of height × width pixels that take more than SLOW ``seconds`` each; else ""."""
    if seconds < SLOW:
        return ""
    words = f"frames of {width} x {height} pixels take about {seconds:.0f} s each, {seconds * frames / 60:.0f} min in all"
    return f"{words}; --size {FASTER} is faster" if max(height, width) > FASTER else words


def _write(parsed: argparse.Namespace, shot: film.Shot, settings: RenderSettings) -> int:
    from mimaface.animation import animate
    from mimaface.face.portrait import Portrait
    from mimaface.output.sinks import is_folder, is_picture, open_sink

    if is_picture(parsed.output) and shot.frames > 1:
        whose = "the motion's" if shot.clock is None else "the film's"
        raise InvalidInput(
            f"{parsed.output.name}: one picture cannot hold {whose} {shot.frames} frames", "use a folder or an .mp4 file as output"
        )
    marker = marking.marker_for(shot.marked, settings, parsed.consent, parsed.portrait.name)
    started, done = time.monotonic(), 0
    stop = threading.Event()  # KeyboardInterrupt inside compiled code or a write would leave unfinished files
    stop_on_signals(stop)
    try:
        with open_sink(parsed.output, shot.rate, parsed.overwrite, shot.sound, marker, shot.clock) as sink, counting_bar() as bar:
            frames = _timed(animate(shot.source, shot.motion, settings, stop.is_set), shot.frames)
            for frame in bar.track(frames, shot.frames, description="frames"):
                sink.write(frame.index, frame.image, frame.still, frame.changed)
                done += 1
    except Cancelled:
        kept = done > 0 and is_folder(parsed.output)
        warn(f"stopped; {f'{done} of {shot.frames} frames are in {parsed.output}' if kept else 'nothing was kept'}")
        return INTERRUPTED
    seconds = time.monotonic() - started
    count = "1 frame" if done == 1 else f"{done} frames"
    lacking = ""
    if marker.unfound:
        source = shot.marked.image.shape if isinstance(shot.marked, Portrait) else shot.marked.size
        larger = max(source[:2]) > settings.size
        lacking = f"; {marker.unfound}{': choose a larger --size' if larger else ', as is their source'}"
    print(f"{parsed.output}: {count} in {seconds:.1f} s ({done / seconds:.1f} frames/s){lacking}")
    return 0
