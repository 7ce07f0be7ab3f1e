# SPDX-License-Identifier: GPL-3.0-or-later
"""Takes in the scenes of the open file: found by UUID, added, kept apart. Where they lie on disk is said here, too."""

from __future__ import annotations

import uuid
from pathlib import Path

import bpy

from ..protocol.connection import default_folder
from . import compat, strips
from .settings import Take, settings_of

ACTIVE = ("waiting", "rendering")
FIELDS = ("name", "uuid", "job", "folder", "frames", "done", "start", "step", "channel", "state", "message", "placed")


def all_takes() -> list[tuple[bpy.types.Scene, Take]]:
    """(scene, take) of every scene."""
    return [(scene, take) for scene in bpy.data.scenes for take in settings_of(scene).takes]


def find_take(identity: str) -> tuple[bpy.types.Scene, Take] | None:
    """(scene, take) by UUID; looked up anew each time, since undo and reload replace what is behind references."""
    return next(((scene, take) for scene, take in all_takes() if take.uuid == identity), None)


def takes_of_job(job: str) -> list[tuple[bpy.types.Scene, Take]]:
    return [(scene, take) for scene, take in all_takes() if take.job == job and take.state in ACTIVE]


def add_take(scene: bpy.types.Scene, values: dict[str, object]) -> Take:
    """Add a take with these fields and make it the active one."""
    take: Take = settings_of(scene).takes.add()
    for name, value in values.items():
        setattr(take, name, value)
    settings_of(scene).active_take = len(settings_of(scene).takes) - 1
    return take


def take_folder(take: Take) -> Path:
    return Path(bpy.path.abspath(take.folder))


def project_folder() -> Path | None:
    """Where takes of the open file lie: beside it; None while it has no name."""
    return Path(bpy.path.abspath("//")) / "mimaface" if bpy.data.filepath else None


def unsaved_folder() -> Path:
    """Where takes lie until their file has a name: the user's own folder, which no uninstall and no new version deletes."""
    return default_folder() / "unsaved"


def stored_path(folder: Path, blend: str | None = None) -> str:
    """A folder as it is kept in the .blend ``blend`` (the open one): relative when it is saved, so that both can move together."""
    blend = bpy.data.filepath if blend is None else blend
    if not blend:
        return str(folder)
    try:
        return bpy.path.relpath(str(folder), start=str(Path(blend).parent))
    except ValueError:  # another drive of Windows
        return str(folder)


def separate_copies(known: dict[str, object]) -> dict[str, list[str]]:
    """Give takes that came with a copied scene UUIDs of their own; the frames are shared.

    ``known`` says in which scene each take was seen and is brought up to date. Returns the new UUIDs by the UUID they replace.
    """
    places: dict[str, list[tuple[bpy.types.Scene, Take]]] = {}
    for scene, take in all_takes():
        places.setdefault(take.uuid, []).append((scene, take))
    made: dict[str, list[str]] = {}
    for identity, found in places.items():
        owner = next((scene for scene, _ in found if compat.scene_key(scene) == known.get(identity)), found[0][0])
        known[identity] = compat.scene_key(owner)
        first = True
        for scene, take in found:
            if scene == owner and first:
                first = False
                continue
            take.uuid = uuid.uuid4().hex
            known[take.uuid] = compat.scene_key(scene)
            made.setdefault(identity, []).append(take.uuid)
            for strip in strips.find_all(scene, identity) if scene != owner else []:
                strip[strips.TAG] = take.uuid
    return made


class Copies:
    """Looks for takes that came with a copied scene whenever there are more scenes or takes than before."""

    def __init__(self) -> None:
        self._known: dict[str, object] = {}  # the scene in which each take was seen
        self._seen: tuple[int, ...] = ()

    def look(self) -> dict[str, list[str]]:
        """The new UUIDs by the UUID that they replace; see :func:`separate_copies`."""
        takes = sum(len(settings_of(scene).takes) for scene in bpy.data.scenes)
        seen = (*(scene.as_pointer() for scene in bpy.data.scenes), takes)
        if seen == self._seen:
            return {}
        self._seen = seen
        return separate_copies(self._known)
