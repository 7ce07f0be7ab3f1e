# SPDX-License-Identifier: GPL-3.0-or-later
"""What the buttons do. Nothing waits: answers are handled when :meth:`Session.pump` brings them."""

# annotations are evaluated: Blender reads the properties from them
import io
import platform
import uuid
from pathlib import Path

import bpy
import numpy as np
from bpy.props import IntProperty, StringProperty
from bpy_extras.io_utils import ImportHelper

from . import bake, compat, proxy_head, rig, strips
from .delivery import first_missing, read_manifest, write_manifest
from .protocol.errors import MimaFaceError
from .protocol.motion import MotionClip
from .session import ACTIVE, find_take, session, take_folder


class Refused(Exception):
    """A sentence for the user."""


class _Operator(bpy.types.Operator):
    """Turns mistakes into a report and keeps the sentence for the panels."""

    def work(self, context: bpy.types.Context) -> None:
        raise Refused(f"{self.bl_label}: nothing to do")

    def execute(self, context: bpy.types.Context) -> set[str]:
        try:
            session().last_error = ""
            self.work(context)
        except (Refused, MimaFaceError) as error:
            return self.refuse(str(error))
        except OSError as error:
            return self.refuse(f"{error.filename or 'a file'}: {error.strerror}")
        return {"FINISHED"}

    def refuse(self, text: str) -> set[str]:
        session().fail(text)
        self.report({"ERROR"}, text)
        return {"CANCELLED"}


class MIMAFACE_OT_start(_Operator):
    """Start the backend, the program beside Blender that makes the pictures"""

    bl_idname = "mimaface.start"
    bl_label = "Start Backend"

    def work(self, context: bpy.types.Context) -> None:
        session().ensure_backend()
        if session().backend.state == "lost":
            raise Refused(session().backend.problem)


class MIMAFACE_OT_stop(_Operator):
    """Stop the backend and release its memory"""

    bl_idname = "mimaface.stop"
    bl_label = "Stop Backend"

    def work(self, context: bpy.types.Context) -> None:
        session().backend.stop(wait=False)


class MIMAFACE_OT_load_portrait(_Operator, ImportHelper):
    """Choose a portrait photo and build the rig for it"""

    bl_idname = "mimaface.load_portrait"
    bl_label = "Add Portrait Rig"
    bl_options = {"REGISTER", "UNDO"}
    filter_glob: StringProperty(default="*.png;*.jpg;*.jpeg;*.webp;*.tif;*.tiff;*.bmp", options={"HIDDEN"})
    face: IntProperty(name="Face", description="Which face of the picture: 0 is the largest", min=0, max=50)

    def work(self, context: bpy.types.Context) -> None:
        path = Path(bpy.path.abspath(self.filepath))
        if not path.is_file():
            raise Refused(f"{path} is not a file: choose a photo")
        content = path.read_bytes()
        name, scene_name = path.stem, context.scene.name
        runtime = session()
        runtime.busy = f"Fitting the head to {path.name}"

        def done(message) -> None:
            scene = bpy.data.scenes.get(scene_name) or bpy.context.scene
            with np.load(io.BytesIO(message.parts[0]), allow_pickle=False) as file:
                mesh = {key: file[key] for key in file.files}
            build_rig(bpy.context, scene, name, str(path), message.fields["portrait"], mesh)
            scene.mimaface.face = self_face
            runtime.busy = ""

        self_face = self.face
        runtime.ask("portrait.fit", {"face": self.face}, [content], done, runtime.fail)


def build_rig(
    context: bpy.types.Context, scene: bpy.types.Scene, name: str, path: str, portrait: str, mesh: dict
) -> bpy.types.Object:
    """The rig, the proxy head and the photo beside them."""
    if context.object is not None and context.object.mode != "OBJECT":
        bpy.ops.object.mode_set(mode="OBJECT")
    image = bpy.data.images.load(path, check_existing=True)
    item = rig.create(context, f"{name} rig", mesh["eye_centres"])
    proxy_head.create(context, item, mesh, image)
    photo = bpy.data.objects.new(f"{name} photo", None)
    photo.empty_display_type, photo.data, photo.empty_display_size = "IMAGE", image, 0.4
    photo.rotation_euler = (np.pi / 2, 0, 0)
    photo.location = item.location + rig.Vector((0.4, 0, 0))
    context.collection.objects.link(photo)
    scene.mimaface.portrait, scene.mimaface.portrait_id, scene.mimaface.rig = path, portrait, item
    item["mimaface_portrait"] = portrait
    return item


class MIMAFACE_OT_import_motion(_Operator, ImportHelper):
    """Import a mocap take (Live Link Face CSV), a .motion.npz, or follow the face in a video, onto a new action"""

    bl_idname = "mimaface.import_motion"
    bl_label = "Import Motion"
    filter_glob: StringProperty(default="*.csv;*.npz;*.mp4;*.mov;*.webm;*.mkv;*.avi", options={"HIDDEN"})

    def work(self, context: bpy.types.Context) -> None:
        path = Path(bpy.path.abspath(self.filepath))
        if not path.is_file():
            raise Refused(f"{path} is not a file: choose a take or a video")
        settings = context.scene.mimaface
        item = current_rig(context)
        item_name, scene_name, start = item.name, context.scene.name, context.scene.frame_start
        options = {
            "smoothing": settings.smoothing,
            "swap": settings.swap,
            "neutral": settings.neutral,
            "gains": {"head": settings.gain},
        }
        if path.suffix.lower() == ".npz":
            del options["neutral"]
        runtime = session()
        runtime.busy = f"Reading {path.name}"

        def done(message) -> None:
            runtime.busy = ""
            target, scene = bpy.data.objects.get(item_name), bpy.data.scenes.get(scene_name)
            if target is None or scene is None:
                runtime.fail(f"{path.name} was read, but the rig is gone")
                return
            motion = MotionClip.from_bytes(message.parts[0], path.name)
            last = bake.motion_to_curves(bpy.context, target, motion, path.stem, start)
            scene.frame_end = max(last, scene.frame_start)
            warnings = message.fields.get("warnings", [])
            if warnings:
                runtime.last_error = f"{path.name}: {warnings[0]}"

        runtime.ask("track", {"path": str(path), "options": options}, [], done, runtime.fail)


def current_rig(context: bpy.types.Context) -> bpy.types.Object:
    """The selected portrait rig, else the scene's."""
    if context.object is not None and context.object.get("mimaface"):
        return context.object
    if context.scene.mimaface.rig is None:
        raise Refused("there is no portrait rig in the scene: add one first")
    return context.scene.mimaface.rig


class MIMAFACE_OT_generate(_Operator):
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
    return Path(compat.user_folder(__package__)) / "unsaved" / safe


def active_take(context: bpy.types.Context):
    """(scene, take) that is active in the list."""
    scene = compat.sequencer_scene(context)
    settings = scene.mimaface
    if not 0 <= settings.active_take < len(settings.takes):
        raise Refused("there is no take: generate one first")
    return scene, settings.takes[settings.active_take]


class MIMAFACE_OT_cancel(_Operator):
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


class MIMAFACE_OT_resume(_Operator):
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


class MIMAFACE_OT_copy_report(_Operator):
    """Copy versions, the last error and the end of the backend's log to the clipboard"""

    bl_idname = "mimaface.copy_report"
    bl_label = "Copy Report"

    def work(self, context: bpy.types.Context) -> None:
        runtime = session()
        client = runtime.backend.client
        lines = [
            f"Blender {bpy.app.version_string} on {platform.platform()}", f"Backend {client.build if client else '-'}: {runtime.backend.state}",
            f"Problem: {runtime.backend.problem or '-'}", f"Last error: {runtime.last_error or '-'}",
            *runtime.backend.log_tail(40).split(" / "),
        ]  # fmt: skip
        context.window_manager.clipboard = "\n".join(lines)
        self.report({"INFO"}, "The report is on the clipboard")


CLASSES = (
    MIMAFACE_OT_start, MIMAFACE_OT_stop, MIMAFACE_OT_load_portrait, MIMAFACE_OT_import_motion, MIMAFACE_OT_generate,
    MIMAFACE_OT_cancel, MIMAFACE_OT_resume, MIMAFACE_OT_copy_report,
)  # fmt: skip


def _menu(self, context: bpy.types.Context) -> None:
    self.layout.operator(MIMAFACE_OT_load_portrait.bl_idname, text="Portrait Rig", icon="USER")


def register() -> None:
    for item in CLASSES:
        bpy.utils.register_class(item)
    bpy.types.VIEW3D_MT_add.append(_menu)


def unregister() -> None:
    bpy.types.VIEW3D_MT_add.remove(_menu)
    for item in reversed(CLASSES):
        bpy.utils.unregister_class(item)
