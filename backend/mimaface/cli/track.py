"""``mimaface track``: reads a video, a mocap take or speech and writes a motion file; of speech also a TextGrid to edit."""

from __future__ import annotations

import argparse
from pathlib import Path

from mimaface.protocol.driver_files import ends
from mimaface.protocol.errors import InvalidInput
from mimaface.protocol.files import write_whole
from mimaface.protocol.visemes import text_grid, visemes_in

from . import motion
from .terminal import Commands, new_output


def add(commands: Commands) -> None:
    """Add ``track``."""
    track = commands.add_parser("track", help="turn a video, a mocap take or speech into a .motion.npz file, or speech into visemes to edit")
    track.add_argument("source", type=Path, help="a video, a Live Link Face .csv, speech (.wav, .mp3, …), a TextGrid, or a .motion.npz to retarget")
    track.add_argument("-o", "--output", type=Path, required=True, help="the .motion.npz file to write, or of speech a .TextGrid of its visemes")
    track.add_argument("--overwrite", action="store_true", help="replace an output that exists")
    motion.add_options(track)
    track.set_defaults(command=_track)


def _track(parsed: argparse.Namespace) -> int:
    editable = ends(parsed.output.name, (".textgrid",))
    if not editable and not parsed.output.name.endswith(".motion.npz"):
        raise InvalidInput(f"{parsed.output.name}: motion files end in .motion.npz, visemes in .TextGrid", "rename the output")
    new_output(parsed.output, parsed.overwrite)
    clip = motion.open_motion(parsed, parsed.source)
    if editable:
        visemes = visemes_in(clip.meta)
        if not visemes:
            raise InvalidInput(f"{parsed.source.name}: its motion is not made of visemes", "write a .motion.npz, or choose speech")
        write_whole(parsed.output, text_grid(visemes, float(clip.meta["seconds"])).encode())
        print(f"{parsed.output}: {len(visemes)} visemes, {clip.meta['seconds']:.2f} s")
        return 0
    clip.save(parsed.output)
    print(f"{parsed.output}: {len(clip)} frames, {clip.duration:.2f} s")
    return 0
