# SPDX-License-Identifier: GPL-3.0-or-later
"""Takes in the scenes of the open file: finding, adding and separating them; their folders on disk."""

from __future__ import annotations

import uuid
from pathlib import Path

import bpy

from ..core.delivery import read_manifest
from ..protocol.connection import default_folder
from . import compat, strips
from .settings import Take, settings_of

ACTIVE = ("waiting", "rendering")
FIELDS = ("name", "uuid", "job", "folder", "frames", "done", "start", "step", "channel", "state", "message", "placed")


def all_takes() -> list[tuple[bpy.types.Scene, Take]]:
    """Yields (scene, take) of all scenes."""
    return [(scene, take) for scene in bpy.data.scenes for take in settings_of(scene).takes]


def find_take(identity: str) -> tuple[bpy.types.Scene, Take] | None:
    """Returns (scene, take) by UUID, or None. Call it at every use, because undo and reload invalidate references."""
    return next(((scene, take) for scene, take in all_takes() if take.uuid == identity), None)


def takes_of_job(job: str) -> list[tuple[bpy.types.Scene, Take]]:
    return [(scene, take) for scene, take in all_takes() if take.job == job and take.state in ACTIVE]


def add_take(scene: bpy.types.Scene, values: dict[str, object]) -> Take:
    """Add a take with these fields and activate it."""
    take: Take = settings_of(scene).takes.add()
    for name, value in values.items():
        setattr(take, name, value)
    settings_of(scene).active_take = len(settings_of(scene).takes) - 1
    return take


def take_folder(take: Take) -> Path:
    return Path(bpy.path.abspath(take.folder, library=take.id_data.library))


def find_appended() -> None:
    """Set the folders of takes whose scene was appended from a file elsewhere to those of their strips, which Blender has changed."""
    for scene, take in all_takes():
        for strip in strips.find_all(scene, take.uuid) if scene.library is None else []:
            folder = strips.folder_of(strip)
            there = read_manifest(folder) if folder != take_folder(take) else None
            if there and (there["take"] == take.uuid or read_manifest(take_folder(take)) is None):
                take.folder = stored_path(folder)
                break


def project_folder() -> Path | None:
    """Returns the folder of the open file's takes, beside it; None for an unsaved file."""
    return Path(bpy.path.abspath("//")) / "mimaface" if bpy.data.filepath else None


def unsaved_folder() -> Path:
    """Returns the folder of takes of unsaved files, in the user's folder, which no uninstall or update deletes."""
    return default_folder() / "unsaved"


def stored_path(folder: Path, blend: str | None = None) -> str:
    """Returns a folder's path for the .blend ``blend`` (default: the open one): relative to a saved one, so that both can be moved together."""
    blend = bpy.data.filepath if blend is None else blend
    if not blend:
        return str(folder)
    try:
        return bpy.path.relpath(str(folder), start=str(Path(blend).parent))
    except ValueError:  # on another drive of Windows
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
    """Finds takes of copied and appended scenes whenever the scenes, or the number of their takes, have changed.

    ``changed``: whether they had at the last look.
    """

    def __init__(self) -> None:
        self._known: dict[str, object] = {}  # take → its scene at the last check
        self._seen: tuple[int, ...] = ()
        self.changed = False

    def look(self) -> dict[str, list[str]]:
        """Returns the new UUIDs by the UUID that they replace; see :func:`separate_copies`."""
        takes = sum(len(settings_of(scene).takes) for scene in bpy.data.scenes)
        seen = (*(scene.as_pointer() for scene in bpy.data.scenes), takes)
        self.changed, self._seen = seen != self._seen, seen
        if not self.changed:
            return {}
        find_appended()
        return separate_copies(self._known)
