# SPDX-License-Identifier: GPL-3.0-or-later
"""Image strips that fill while frames arrive. A strip is found by the UUID on it at every use, never kept."""

from __future__ import annotations

from pathlib import Path

import bpy

from . import compat
from .delivery import frame_name

TAG = "mimaface_take"


def find(scene: bpy.types.Scene, uuid: str):
    """The strip of a take, or None."""
    if scene.sequence_editor is None:
        return None
    for strip in compat.all_strips(scene.sequence_editor):
        if strip.get(TAG) == uuid:
            return strip
    return None


def show(scene: bpy.types.Scene, take, folder: Path) -> None:
    """Make the strip once frame 0 is on disk, else drop its cache so that new frames show."""
    strip = find(scene, take.uuid)
    if strip is not None:
        strip.directory = _directory(folder)  # assigning drops the cached pictures
        return
    if not (folder / frame_name(0)).is_file():
        return
    editor = compat.ensure_editor(scene)
    channel = free_channel(scene, take.start, take.start + take.frames)
    strip = compat.strips(editor).new_image(
        name=take.name, filepath=str(folder / frame_name(0)), channel=channel, frame_start=take.start, fit_method="FIT"
    )
    for index in range(1, take.frames):
        strip.elements.append(frame_name(index))
    strip.directory = _directory(folder)
    strip[TAG] = take.uuid
    take.channel = channel
    # a new strip is one frame long until it is told its end
    strip.frame_final_duration = take.frames


def _directory(folder: Path) -> str:
    """Relative to the .blend when it is saved, so that both can move together."""
    return bpy.path.relpath(f"{folder}/") if bpy.data.filepath else f"{folder}/"


def free_channel(scene: bpy.types.Scene, start: int, end: int) -> int:
    """The lowest channel without a strip between two frames: Blender does not resolve overlaps for us."""
    taken = {
        strip.channel
        for strip in compat.strips(compat.ensure_editor(scene))
        if strip.frame_final_start < end and strip.frame_final_end > start
    }
    return next(channel for channel in range(1, 129) if channel not in taken)
