# SPDX-License-Identifier: GPL-3.0-or-later
"""Generates takes, cancels them and resumes them."""

# annotations are evaluated: Blender reads the properties from them
import os
import time
import uuid
from pathlib import Path

import bpy
from bpy.props import BoolProperty, StringProperty

from ... import sending
from ...core.delivery import MOTION, delete_folder, first_missing, new_folder, note, read_manifest, write_manifest
from ...core.words import n_, rpt_
from ...protocol.files import write_whole
from ...protocol.people import pack_motions, together
from ...scene import bake, compat, film, rig, saving, strips
from ...scene.portraits import consent_of, people_of
from ...scene.settings import Settings, Take, settings_of
from ...scene.takes import ACTIVE, add_take, all_takes, project_folder, stored_path, take_folder, unsaved_folder
from ...session import session
from ..capture import driven
from .base import Operator, Refused, current_rig

SAME_RATE = 0.01  # frames a second by which two scenes' rates may differ without a word. Higher: 29.97 is taken for 30
LONGEST_FOLDER = 120  # bytes of the name of a take's folder before its number. Higher: systems refuse names above 255


class MIMAFACE_OT_generate(Operator):
    """Make the pictures of the scene's frame range as a new take: an image strip that fills while you go on working"""

    bl_idname = "mimaface.generate"
    bl_label = "Generate"
    name: StringProperty(name="Name", description="Name of the take; empty: a new one")

    def work(self, context: bpy.types.Context) -> None:
        scene = compat.sequencer_scene(context)
        settings, item = settings_of(context.scene), current_rig(context)
        driven.release()  # a take contains keys and poses, but no values of a stream
        shot = film.of(item)
        people = people_together(context, item) if shot is None else [item]
        if shot is not None:
            refuse_unfit(settings, rpt_("{name} acts a film anew, which takes {setting}: choose that"), name=item.name)
        frames = bake.shot_frames(context.scene) if shot is None else film.frames_of(context.scene, shot)
        absolute = shot is not None and settings.absolute
        start, motions = frames[0], [film.acted(bake.scene_to_motion(context, each, frames), absolute) for each in people]
        folder, name = folder_of_new_take(scene, self.name or item.name.removesuffix(" rig"), numbered=not self.name)
        identity = uuid.uuid4().hex
        manifest = {
            "take": identity, "job": "", "name": name, "frames": len(frames), "start": start, "step": frames.step, "rate": motions[0].meta["fps"],
            "scene": scene.name, "blend": bpy.path.basename(bpy.data.filepath), "made": time.time(), "blender": os.getpid(), "removed": False,
            "portrait": together(each.get("mimaface_portrait", settings.portrait_id) for each in people) if shot is None else shot.identity,
            "settings": {
                "engine": settings.engine, "quality": settings.quality, "size": settings.size, "framing": settings.framing,
                "transparent": settings.transparent, "watermark": settings.watermark, "body_follows": settings.body_follows,
                "only": ",".join(sorted(settings.only)), "absolute": absolute,
            },
            "consent": consent_of(people),
        }  # fmt: skip
        try:
            write_whole(folder / MOTION, pack_motions([motion.to_bytes() for motion in motions]))
            write_manifest(folder, manifest)
        except OSError as error:
            raise Refused(cannot_write(folder, error)) from error
        values = {"name": name, "uuid": identity, "frames": len(frames), "start": start, "step": frames.step, "state": "waiting"}
        add_take(scene, values | {"folder": stored_path(folder)})
        session().under_way[identity] = 0.0
        own, shown = bake.frames_per_second(context.scene), bake.frames_per_second(scene)
        if abs(own - shown) > SAME_RATE:
            sentence = rpt_(
                "the sequencer's scene {scene} has {shown:.5g} frames a second, this one {own:.5g}: set both alike, or the take has another speed"
            )
            session().notice = sentence.format(scene=scene.name, shown=shown, own=own)
        sending.submit(session(), identity, folder)


def refuse_unfit(settings: Settings, sentence: str, **names: str) -> None:
    """Raise :class:`Refused` with a sentence for settings that films and several people cannot have; its ``{setting}`` is what they need."""
    for needed, lacking in (
        (n_("the engine Projected"), settings.engine != "proxy"), (n_("the framing Whole Photo"), settings.framing != "photo"),
        (n_("frames that are not transparent"), settings.transparent),
    ):  # fmt: skip
        if lacking:
            raise Refused(sentence.format(setting=rpt_(needed), **names))


def people_together(context: bpy.types.Context, item: bpy.types.Object) -> list[bpy.types.Object]:
    """The rigs that are animated in one pass with this one, and itself. Raises :class:`Refused` where that cannot be."""
    settings = settings_of(context.scene)
    try:
        people = people_of(context.scene, item)
    except ValueError as error:
        raise Refused(str(error)) from error
    if len(people) > 1:
        others = ", ".join(each.name for each in people if each != item)
        sentence = rpt_("{name} and {others} are people of one picture, which takes {setting}: choose that, or hide the other rig")
        refuse_unfit(settings, sentence, name=item.name, others=others)
    for each in people:
        if not rig.bring_up_to_date(each):
            sentence = rpt_("{name} was made by an earlier version: open its own file, generate there once, or hide it")
            raise Refused(sentence.format(name=each.name))
    return people


def folder_of_new_take(scene: bpy.types.Scene, stem: str, numbered: bool) -> tuple[Path, str]:
    """A new folder and name, ``stem`` or ``stem 01`` and on, that no take has: nothing is overwritten.

    Beside the .blend, or in the user's own folder while the file has no name.
    """
    taken = {take.name for take in settings_of(scene).takes}
    endings = ([] if numbered else [""]) + [f" {number:02d}" for number in range(1, 1000)]
    short = bpy.path.clean_name(stem).encode()[:LONGEST_FOLDER].decode(errors="ignore")
    free = {bpy.path.clean_name(short + ending): stem + ending for ending in reversed(endings) if stem + ending not in taken}
    parent = project_folder() or unsaved_folder()
    try:
        folder = new_folder(parent, list(reversed(free)))
    except OSError as error:
        raise Refused(cannot_write(parent, error)) from error
    return folder, free[folder.name]


def cannot_write(folder: Path, error: OSError) -> str:
    blocking = next((path for path in (folder, *folder.parents) if path.is_file()), None)
    if blocking is not None:
        sentence = rpt_("the frames belong into {folder}, but {file} is a file: rename it, or save the .blend in another folder")
        return sentence.format(folder=folder, file=blocking)
    sentence = rpt_("the frames cannot be written to {folder}: {reason}; save the .blend in a folder that you may write to")
    return sentence.format(folder=folder, reason=error.strerror)


def active_take(context: bpy.types.Context) -> tuple[bpy.types.Scene, Take]:
    """Returns (scene, take) of the active take in the list."""
    scene = compat.sequencer_scene(context)
    settings = settings_of(scene)
    if not 0 <= settings.active_take < len(settings.takes):
        raise Refused(rpt_("there is no take: generate one first"))
    return scene, settings.takes[settings.active_take]


class MIMAFACE_OT_cancel(Operator):
    """Stop making the active take; the frames made so far are kept"""

    bl_idname = "mimaface.cancel"
    bl_label = "Cancel Take"

    def work(self, context: bpy.types.Context) -> None:
        _, take = active_take(context)
        if take.state not in ACTIVE:
            raise Refused(rpt_("{name} is not being made: there is nothing to cancel, and Resume goes on with it").format(name=take.name))
        cancel(take)


def cancel(take: Take) -> None:
    take.state, take.message = "cancelled", rpt_("cancelled; resume it any time")
    session().under_way.pop(take.uuid, None)
    alone = not any(other.job == take.job and other.uuid != take.uuid and other.state in ACTIVE for _, other in all_takes())
    if take.job and alone:
        session().ask("job.cancel", {"job": take.job}, [], lambda _: None, session().fail)


class MIMAFACE_OT_resume(Operator):
    """Make the frames of the active take that are not on disk"""

    bl_idname = "mimaface.resume"
    bl_label = "Resume Take"

    def work(self, context: bpy.types.Context) -> None:
        scene, take = active_take(context)
        folder = take_folder(take)
        take.job = take.job or (read_manifest(folder) or {}).get("job", "")
        if first_missing(folder, take.frames) == take.frames:
            take.done, take.state, take.message = take.frames, "done", ""
            strips.show(scene, take, folder)
            return
        if take.uuid in session().under_way:
            raise Refused(rpt_("{name} is being made already: wait, or cancel it first").format(name=take.name))
        if not take.job and not (folder / MOTION).is_file():
            raise Refused(rpt_("{name} was never accepted by the backend: generate it again").format(name=take.name))
        sending.resume(session(), take.uuid)


class MIMAFACE_OT_find_takes(Operator):
    """List takes beside this file that it does not contain: those of another file, or made before Blender ended unexpectedly"""

    bl_idname = "mimaface.find_takes"
    bl_label = "Find Takes"
    directory: StringProperty(name="Folder", description="Where to look; empty: beside this file", subtype="DIR_PATH")

    def work(self, context: bpy.types.Context) -> None:
        count = saving.adopt_all(Path(bpy.path.abspath(self.directory)) if self.directory else None)
        if count:
            session().steps.push(self.bl_label)
        found = rpt_("1 take found") if count == 1 else rpt_("{count} takes found").format(count=count)
        self.report({"INFO"}, found if count else rpt_("No other takes lie there"))


class MIMAFACE_OT_place_take(Operator):
    """Make the strip of the active take again, above all others"""

    bl_idname = "mimaface.place_take"
    bl_label = "Add Strip"

    def work(self, context: bpy.types.Context) -> None:
        scene, take = active_take(context)
        if strips.find(scene, take.uuid) is not None:
            raise Refused(rpt_("{name} has a strip already: delete that one first").format(name=take.name))
        take.placed = False
        if not strips.show(scene, take, take_folder(take)):
            raise Refused(rpt_("{name} has no frame yet: resume it").format(name=take.name))
        session().steps.push(self.bl_label)


class MIMAFACE_OT_open_take_folder(Operator):
    """Show the frames of the active take in the file browser of the system"""

    bl_idname = "mimaface.open_take_folder"
    bl_label = "Open Folder"

    def work(self, context: bpy.types.Context) -> None:
        folder = take_folder(active_take(context)[1])
        if not folder.is_dir():
            raise Refused(rpt_("{folder} is not there: look for it elsewhere with Find Takes").format(folder=folder))
        bpy.ops.wm.path_open(filepath=str(folder))


class MIMAFACE_OT_remove_take(Operator):
    """Remove the active take and its strip from this file; undo does not bring it back, Find Takes does if its frames are kept"""

    bl_idname = "mimaface.remove_take"
    bl_label = "Remove Take"
    delete_files: BoolProperty(name="Delete Frames", description="Delete the pictures from the disk, too", options={"SKIP_SAVE"})

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        return set[str](context.window_manager.invoke_props_dialog(self))

    def work(self, context: bpy.types.Context) -> None:
        scene, take = active_take(context)
        identity, name, folder = take.uuid, take.name, take_folder(take)
        if self.delete_files and any(other.uuid != identity and take_folder(other) == folder for _, other in all_takes()):
            sentence = rpt_("the frames of {name} are those of a take in another scene, too: remove it without deleting them")
            raise Refused(sentence.format(name=name))
        if self.delete_files and (files := saving.other_files(folder)):
            sentence = rpt_("the frames of {name} are those of {file}, too: remove it without deleting them")
            raise Refused(sentence.format(name=name, file=Path(files[0]).name))
        if take.state in ACTIVE:
            cancel(take)
        session().writer.settle()
        if self.delete_files:
            try:
                delete_folder(folder)
            except OSError as error:
                sentence = rpt_("{folder} cannot be deleted: {reason}; close what uses it, or keep the frames")
                raise Refused(sentence.format(folder=folder, reason=error.strerror)) from error
        else:
            note(folder, removed=True, files=saving.other_files(folder))
        strips.remove(scene, strips.find_all(scene, identity))
        takes = settings_of(scene).takes
        takes.remove(next(index for index, item in enumerate(takes) if item.uuid == identity))
        settings_of(scene).active_take = max(0, min(settings_of(scene).active_take, len(takes) - 1))
        session().removed.add(identity)
        session().steps.push(self.bl_label)


CLASSES = (
    MIMAFACE_OT_generate, MIMAFACE_OT_cancel, MIMAFACE_OT_resume, MIMAFACE_OT_find_takes, MIMAFACE_OT_place_take,
    MIMAFACE_OT_open_take_folder, MIMAFACE_OT_remove_take,
)  # fmt: skip
