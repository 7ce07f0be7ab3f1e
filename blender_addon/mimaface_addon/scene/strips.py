# SPDX-License-Identifier: GPL-3.0-or-later
"""Image strips that fill while frames arrive. A strip is found by the UUID on it at every use, never kept.

A take gets its strip once (``placed``). After that the strip is the artist's: moved, cut, renamed or deleted, it stays so.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import bpy

from ..core.delivery import frame_name
from ..core.words import rpt_
from . import compat
from .settings import Take

TAG = "mimaface_take"
LAST_CHANNEL = 128  # Blender's highest channel


def find_all(scene: bpy.types.Scene, identity: str) -> list[Any]:
    """Returns the strips of a take: none, one, or the parts of a cut one."""
    if scene.sequence_editor is None:
        return []
    return [strip for strip in compat.all_strips(scene.sequence_editor) if strip.get(TAG) == identity]


def find(scene: bpy.types.Scene, identity: str) -> Any:
    """Returns the first strip of a take, or None."""
    return next(iter(find_all(scene, identity)), None)


def tagged(scene: bpy.types.Scene) -> dict[str, list[Any]]:
    """Returns the strips of all takes by UUID."""
    found: dict[str, list[Any]] = {}
    for strip in compat.all_strips(scene.sequence_editor) if scene.sequence_editor is not None else ():
        if TAG in strip:
            found.setdefault(strip[TAG], []).append(strip)
    return found


def shown_at(scene: bpy.types.Scene, frame: int) -> list[Any]:
    """Returns the visible picture strips at a frame, topmost first."""
    editor = scene.sequence_editor
    if editor is None:
        return []
    silent = {index for index, channel in enumerate(getattr(editor, "channels", ())) if channel.mute}
    found = [
        strip for strip in compat.strips(editor)
        if strip.type != "SOUND" and not strip.mute and strip.channel not in silent and compat.span_of(strip)[0] <= frame < compat.span_of(strip)[1]
    ]  # fmt: skip
    return sorted(found, key=lambda strip: -strip.channel)


def show(scene: bpy.types.Scene, take: Take, folder: Path) -> bool:
    """Create the strip once frame 0 is on disk, else clear its cache so that new frames show. True if it was created."""
    found = find_all(scene, take.uuid)
    for strip in found:
        strip.directory = directory(folder) if scene.library is None else strip.directory  # assigning clears the cached pictures
    if found or take.placed or not (folder / frame_name(0)).is_file():
        take.placed = take.placed or bool(found)
        return False
    place(scene, take, folder)
    return True


def place(scene: bpy.types.Scene, take: Take, folder: Path, channel: int = 0) -> None:
    """Create the strip of a take, on ``channel`` where that is free, else on top."""
    editor = compat.ensure_editor(scene)
    length = take.frames * take.step
    taken = taken_channels(scene, take.start, take.start + length)
    channel = channel if channel and channel not in taken else top_channel(taken)
    strip = compat.strips(editor).new_image(
        name=take.name, filepath=str(folder / frame_name(0)), channel=channel, frame_start=take.start, fit_method="FIT"
    )
    for frame in range(1, length):
        strip.elements.append(frame_name(frame // take.step))  # each picture is shown for ``step`` frames
    strip.directory = directory(folder)
    strip[TAG] = take.uuid
    take.channel, take.placed = channel, True
    # a new strip has one frame until its end is set
    compat.set_length(strip, length)


def add_sound(scene: bpy.types.Scene, path: Path, start: int, end: int) -> str:
    """Add the sound of a driving video or of speech to the sequencer at ``start``, once. Returns a sentence about the result."""
    editor = compat.ensure_editor(scene)
    for strip in compat.all_strips(editor):
        known = strip.type == "SOUND" and Path(bpy.path.abspath(strip.sound.filepath)) == path
        if known and compat.span_of(strip)[0] == start:
            return rpt_("its sound is in the sequencer already")
    taken = taken_channels(scene, start, end + 1)
    channel = next((number for number in range(1, LAST_CHANNEL + 1) if number not in taken), LAST_CHANNEL)
    try:
        compat.strips(editor).new_sound(name=path.stem, filepath=str(path), channel=channel, frame_start=start)
    except RuntimeError:  # built without a sound library
        return rpt_("this Blender has no sound, so it is not in the sequencer")
    return rpt_("its sound is in the sequencer")


def follow(found: list[Any], folder: Path) -> None:
    """Set the folder of strips to ``folder`` where it differs; unchanged strips keep their cached pictures."""
    for strip in found:
        if folder_of(strip) != folder:
            strip.directory = directory(folder)


def folder_of(strip: Any) -> Path:
    """Returns the folder that a strip shows pictures of."""
    return Path(bpy.path.abspath(strip.directory, library=strip.id_data.library))


def remove(scene: bpy.types.Scene, found: list[Any]) -> None:
    """Delete strips, inside meta strips too."""
    metas = [strip for strip in compat.all_strips(scene.sequence_editor) if strip.type == "META"] if found else []
    for strip in found:
        owner = next((meta for meta in metas if any(child == strip for child in compat.strips(meta))), scene.sequence_editor)
        compat.strips(owner).remove(strip)


def directory(folder: Path) -> str:
    """Returns a folder's path for strips: relative to a saved .blend, so that both can be moved together."""
    if not bpy.data.filepath:
        return f"{folder}/"
    try:
        return bpy.path.relpath(f"{folder}/")
    except ValueError:  # on another drive of Windows
        return f"{folder}/"


def taken_channels(scene: bpy.types.Scene, start: int, end: int) -> set[int]:
    """Returns the channels with a strip between two frames. Blender does not resolve overlaps of new strips."""
    found = compat.strips(compat.ensure_editor(scene))
    return {strip.channel for strip in found if compat.span_of(strip)[0] < end and compat.span_of(strip)[1] > start}


def top_channel(taken: set[int]) -> int:
    """Returns the channel above all strips, so that a new take is visible; a lower free one where that exceeds LAST_CHANNEL."""
    above = max(taken, default=0) + 1
    return above if above <= LAST_CHANNEL else next(channel for channel in range(LAST_CHANNEL, 0, -1) if channel not in taken)
