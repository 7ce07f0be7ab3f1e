# SPDX-License-Identifier: GPL-3.0-or-later
"""Make takes, stop them and go on with them."""

# annotations are evaluated: Blender reads the properties from them
import uuid
from pathlib import Path

import bpy
from bpy.props import StringProperty

from .. import bake, compat, strips
from ..delivery import first_missing, read_manifest, write_manifest
from ..session import ACTIVE, find_take, session, take_folder
from .base import Operator, Refused, current_rig


class MIMAFACE_OT_generate(Operator):
    """Make the pictures of the scene's frame range as a new take: an image strip that fills while you go on working"""

    bl_idname = "mimaface.generate"
    bl_label = "Generate"
    name: StringProperty(name="Name", description="Name of the take; empty: a new one")

    def work(self, context: bpy.types.Context) -> None:
        scene = compat.sequencer_scene(context)
        settings, item = context.scene.mimaface, current_rig(context)
        start, end = context.scene.frame_start, context.scene.frame_end
        motion = bake.scene_to_motion(context, item, start, end)
        name = unused_name(scene, self.name or item.name.removesuffix(" rig"), numbered=not self.name)
        folder = output_folder(name)
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / ".probe"
        probe.write_bytes(b"")
        probe.unlink()
        take = scene.mimaface.takes.add()
        take.name, take.uuid, take.frames, take.start = name, uuid.uuid4().hex, len(motion), start
        take.folder = bpy.path.relpath(str(folder)) if bpy.data.filepath else str(folder)
        take.state = "waiting"
        scene.mimaface.active_take = len(scene.mimaface.takes) - 1
        fields = {
            "portrait": item.get("mimaface_portrait", settings.portrait_id), "name": name,
            "settings": {
                "engine": settings.engine, "size": settings.size, "framing": settings.framing, "transparent": settings.transparent,
            },
        }  # fmt: skip
        identity, runtime = take.uuid, session()

        def done(message) -> None:
            found = find_take(identity)
            if found is None:
                return
            owner, mine = found
            mine.job = message.fields["job"]
            if mine.state == "cancelled":  # before the backend had named the job
                runtime.ask("job.cancel", {"job": mine.job}, [], lambda _: None, runtime.fail)
                return
            write_manifest(
                take_folder(mine),
                {"job": mine.job, "take": mine.uuid, "name": mine.name, "frames": mine.frames, "start": mine.start},
            )
            runtime.receive(owner, mine)

        def failed(text: str) -> None:
            found = find_take(identity)
            if found is not None:
                found[1].state, found[1].message = "failed", text
            runtime.fail(text)

        runtime.ask("job.submit", fields, [motion.to_bytes()], done, failed)


def unused_name(scene: bpy.types.Scene, stem: str, numbered: bool) -> str:
    """``stem``, or ``stem 01`` and on, that no take has and whose folder does not exist: nothing is overwritten."""
    taken = {take.name for take in scene.mimaface.takes}
    names = ([] if numbered else [stem]) + [f"{stem} {number:02d}" for number in range(1, 1000)]
    return next(name for name in names if name not in taken and not output_folder(name).exists())


def output_folder(name: str) -> Path:
    """Beside the .blend, or in the add-on's own folder while the file has no name."""
    safe = bpy.path.clean_name(name)
    if bpy.data.filepath:
        return Path(bpy.path.abspath("//")) / "mimaface" / safe
    return Path(compat.user_folder(__package__.rpartition(".")[0])) / "unsaved" / safe


def active_take(context: bpy.types.Context):
    """(scene, take) that is active in the list."""
    scene = compat.sequencer_scene(context)
    settings = scene.mimaface
    if not 0 <= settings.active_take < len(settings.takes):
        raise Refused("there is no take: generate one first")
    return scene, settings.takes[settings.active_take]


class MIMAFACE_OT_cancel(Operator):
    """Stop making the active take; the frames made so far are kept"""

    bl_idname = "mimaface.cancel"
    bl_label = "Cancel Take"

    def work(self, context: bpy.types.Context) -> None:
        _, take = active_take(context)
        if take.state not in ACTIVE:
            raise Refused(f"{take.name} is not being made")
        take.state, take.message = "cancelled", "cancelled; resume it any time"
        if take.job:
            session().ask("job.cancel", {"job": take.job}, [], lambda _: None, session().fail)


class MIMAFACE_OT_resume(Operator):
    """Make the frames of the active take that are not on disk"""

    bl_idname = "mimaface.resume"
    bl_label = "Resume Take"

    def work(self, context: bpy.types.Context) -> None:
        scene, take = active_take(context)
        folder = take_folder(take)
        manifest = read_manifest(folder) or {}
        take.job = take.job or manifest.get("job", "")
        if first_missing(folder, take.frames) == take.frames:
            take.done, take.state, take.message = take.frames, "done", ""
            strips.show(scene, take, folder)
            return
        if not take.job:
            raise Refused(f"{take.name} was never accepted by the backend: generate it again")
        if take.state in ACTIVE:
            raise Refused(f"{take.name} is being made already")
        identity, runtime = take.uuid, session()

        def done(message) -> None:
            found = find_take(identity)
            if found is not None:
                runtime.receive(*found)

        def failed(text: str) -> None:
            found = find_take(identity)
            if found is not None:
                found[1].state, found[1].message = "interrupted", text
            runtime.fail(text)

        take.state = "waiting"
        runtime.ask("job.resume", {"job": take.job}, [], done, failed)


CLASSES = (MIMAFACE_OT_generate, MIMAFACE_OT_cancel, MIMAFACE_OT_resume)
