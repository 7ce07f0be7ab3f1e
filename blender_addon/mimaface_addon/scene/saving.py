# SPDX-License-Identifier: GPL-3.0-or-later
"""Keeps the paths of takes right when the .blend is saved or opened.

Frames of a file without a name move beside it as soon as it has one. Frames of a file that is saved elsewhere stay where they are,
and the new file points to them. Takes that lie beside a file and that it does not know – Blender ended before it was saved – are
adopted when it is opened.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Protocol

import bpy

from ..core.backend import Backend
from ..core.delivery import MANIFEST, first_missing, move_folder, note, read_manifest
from ..core.words import rpt_
from ..protocol.connection import process_exists
from . import strips
from .settings import Take
from .takes import ACTIVE, add_take, all_takes, find_appended, project_folder, stored_path, take_folder, unsaved_folder


class Receiver(Protocol):
    """The part of the session that saving and opening use."""

    backend: Backend
    under_way: dict[str, float]
    opened: bool

    def collect_written(self) -> int: ...

    def fail(self, text: str) -> None: ...

    def receive(self, take: Take) -> None: ...


def before_saving(runtime: Receiver, target: str) -> dict[str, Path]:
    """Change the paths of takes to those of the file ``target``; return the folder of every take by UUID."""
    find_appended()
    folders = {take.uuid: take_folder(take) for scene, take in all_takes() if scene.library is None}
    homeless = {folder for folder in folders.values() if folder.parent == unsaved_folder() and folder.is_dir()}
    if target and homeless:
        runtime.collect_written()
        moved = {}
        for folder in homeless:
            try:
                moved[folder] = move_folder(folder, Path(target).parent / "mimaface")
            except OSError as error:
                sentence = rpt_(
                    "the frames in {folder} stay there, since they cannot be moved beside the file ({reason}): "
                    "make its folder writable and save again"
                )
                runtime.fail(sentence.format(folder=folder, reason=error.strerror))
        folders = {identity: moved.get(folder, folder) for identity, folder in folders.items()}
    if target:
        _point(folders, target)
        for folder in set(folders.values()):
            note(folder, files=sorted({*(read_manifest(folder) or {}).get("files", ()), path_from(folder, target)}))
    return folders


def after_saving(folders: dict[str, Path]) -> None:
    """Set paths of takes and strips for the open file, after saving, saving a copy, or a failed saving."""
    _point(folders, bpy.data.filepath)
    blend = Path(bpy.data.filepath).name
    project = project_folder()
    for scene, take in all_takes():
        folder = folders.get(take.uuid)
        if folder is None:
            continue
        strips.follow(strips.find_all(scene, take.uuid), folder)
        if folder.parent == project and not (read_manifest(folder) or {}).get("blend"):
            note(folder, blend=blend)


def path_from(folder: Path, file: str) -> str:
    """Returns the path of a file as a take's manifest has it: relative to its folder, so that both can be moved together."""
    try:
        return Path(os.path.relpath(file, folder)).as_posix()
    except ValueError:  # on another drive of Windows
        return file


def other_files(folder: Path) -> list[str]:
    """Returns the other .blend files that were saved with the take in ``folder`` and still exist, as its manifest has them."""
    own = path_from(folder, bpy.data.filepath) if bpy.data.filepath else ""
    return [file for file in (read_manifest(folder) or {}).get("files", ()) if file != own and (folder / file).is_file()]


def _point(folders: dict[str, Path], blend: str) -> None:
    for _, take in all_takes():
        if take.uuid in folders:
            stored = stored_path(folders[take.uuid], blend)
            if take.folder != stored:
                take.folder = stored


def manifests(parent: Path) -> list[tuple[Path, dict[str, Any]]]:
    """Returns the folders in ``parent`` that contain a take, oldest first, with their manifests."""
    found = [(path.parent, read_manifest(path.parent)) for path in parent.glob(f"*/{MANIFEST}")]
    return sorted(((folder, values) for folder, values in found if values), key=lambda item: item[1].get("made", 0.0))


def find_moved() -> None:
    """Update takes whose folder is not at its path but beside the .blend, as in a copied project."""
    project = project_folder()
    lost = {take.uuid: take for _, take in all_takes() if take.folder and not take_folder(take).is_dir()}
    for folder, values in manifests(project) if lost and project is not None else []:
        if values["take"] in lost:
            lost[values["take"]].folder = stored_path(folder)


def has_own() -> bool:
    """Whether there are takes beside the open file."""
    project = project_folder()
    return project is not None and next(project.glob(f"*/{MANIFEST}"), None) is not None


def adopt_own() -> int:
    """Add takes that this file made but does not list, except removed ones."""
    project, blend = project_folder(), Path(bpy.data.filepath).name
    if project is None:
        return 0
    return _adopt([(f, v) for f, v in manifests(project) if v.get("blend") == blend and not v.get("removed")])


def adopt_all(folder: Path | None = None) -> int:
    """Add every take in ``folder``, else beside the file, else, for an unsaved file, those that no running Blender owns."""
    if folder is not None:
        found = manifests(folder) + [(folder, values) for values in [read_manifest(folder)] if values]
        found += manifests(folder / "mimaface")
    elif project_folder() is not None:
        found = manifests(project_folder())
    else:
        found = [(f, v) for f, v in manifests(unsaved_folder()) if not _used_elsewhere(v)]
    return _adopt(found)


def _used_elsewhere(manifest: dict[str, Any]) -> bool:
    process = manifest.get("blender")
    return isinstance(process, int) and process != os.getpid() and process > 0 and process_exists(process)


def reconcile(runtime: Receiver) -> None:
    """Update the state of every take from the files on disk, because a .blend may be outdated."""
    if runtime.opened:
        runtime.opened = False
        find_moved()
        adopt_own()
    for scene, take in all_takes():
        if not take.frames or take.uuid in runtime.under_way:
            continue
        folder = take_folder(take)
        take.done = first_missing(folder, take.frames)
        found = strips.find_all(scene, take.uuid)
        take.placed = take.placed or bool(found) or take.state == "done"
        strips.follow(found, folder)
        if take.done == take.frames:
            take.state, take.message = "done", ""
            if not take.placed:
                strips.show(scene, take, folder)
        elif take.state in ACTIVE and take.job and runtime.backend.state == "ready":
            runtime.receive(take)
        elif take.state == "done" or take.state in ACTIVE:
            take.state, take.message = "interrupted", incomplete(take.done, take.frames)


def incomplete(done: int, frames: int) -> str:
    """Returns a sentence about a take of which only ``done`` frames exist."""
    return rpt_("{done} of {total} frames are on disk: resume the take").format(done=done, total=frames)


def _adopt(found: list[tuple[Path, dict[str, Any]]]) -> int:
    known = {take.uuid for _, take in all_takes()}
    folders = {take_folder(take) for _, take in all_takes()}
    count = 0
    for folder, values in found:
        if values["take"] in known or folder in folders:
            continue
        scene = bpy.data.scenes.get(str(values.get("scene", ""))) or bpy.context.scene
        done = first_missing(folder, values["frames"])
        whole = done == values["frames"]
        message = "" if whole else incomplete(done, values["frames"])
        take = add_take(
            scene,
            {
                "name": str(values.get("name") or folder.name), "uuid": values["take"], "job": str(values.get("job") or ""),
                "folder": stored_path(folder), "frames": values["frames"], "done": done, "start": int(values.get("start", 1)),
                "step": max(int(values.get("step", 1)), 1), "state": "done" if whole else "interrupted", "message": message,
            },
        )  # fmt: skip
        strips.show(scene, take, folder)
        note(folder, removed=False)
        known.add(take.uuid)
        count += 1
    return count
