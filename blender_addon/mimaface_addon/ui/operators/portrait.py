# SPDX-License-Identifier: GPL-3.0-or-later
"""From a photo to a rig."""

# annotations are evaluated: Blender reads the properties from them
import io
from pathlib import Path
from typing import Any

import bpy
import numpy as np
from bpy.props import BoolProperty, IntProperty, StringProperty
from bpy_extras.io_utils import ImportHelper

from ...core.activity import Activity
from ...core.asking import Problem
from ...core.words import n_, rpt_
from ...protocol.codec import MAX_PART, Message
from ...protocol.driver_files import VIDEOS, ends
from ...protocol.errors import NoFaceFound
from ...scene import bake, compat, film, photo, points, portraits, strips
from ...scene.settings import settings_of
from ...session import session
from .base import Operator, Refused, current_rig

PORTRAITS = ";".join(f"*{ending}" for ending in (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp", *VIDEOS))
_faceless: list[tuple[str, int]] = []  # at most one: path of the picture without a face, and the session's file_number


class MIMAFACE_OT_load_portrait(Operator, ImportHelper):  # type: ignore[misc]
    """Choose a portrait photo, or a film, and build the rig of its face"""

    bl_idname = "mimaface.load_portrait"
    bl_label = "Add Portrait Rig"
    bl_options = {"REGISTER", "UNDO"}
    filter_glob: StringProperty(default=PORTRAITS, options={"HIDDEN"})
    face: IntProperty(name="Face", description="Which face of the picture: 0 is the largest", min=0, max=50)
    template: BoolProperty(
        name="Place Points", description="Where no face is found, put the points of a face into the middle of the picture, to place them by hand",
        options={"SKIP_SAVE"},
    )  # fmt: skip

    def work(self, context: bpy.types.Context) -> None:
        path = Path(bpy.path.abspath(self.filepath))  # type: ignore[attr-defined]  # of ImportHelper
        if not path.is_file():
            raise Refused(rpt_("{path} is not a file: choose a photo or a film").format(path=path))
        is_film = ends(path.name, VIDEOS)
        if not is_film and path.stat().st_size > MAX_PART:
            sentence = rpt_("{path} is larger than {most} MB: save the photo as JPEG or PNG")
            raise Refused(sentence.format(path=path, most=MAX_PART >> 20))
        content = b"" if is_film else path.read_bytes()
        label, face, key, runtime = self.bl_label, self.face, compat.scene_key(context.scene), session()
        file, _faceless[:] = runtime.file_number, []

        def done(message: Message) -> None:
            scene = compat.find_scene(key)
            if file != runtime.file_number or scene is None:
                sentence = rpt_("the scene for which {name} was chosen is no longer open: add the portrait again")
                runtime.fail(sentence.format(name=path.name))
                return
            with np.load(io.BytesIO(message.parts[0]), allow_pickle=False) as archive:
                mesh = {name: archive[name] for name in archive.files}
            portrait = message.fields["portrait"]
            with runtime.threads_held():
                with compat.in_scene(scene):
                    item = portraits.build(bpy.context, scene, str(path), message.fields, mesh)
                portraits.show(item)
            kept = mesh["picture"].tobytes() if is_film else content
            item["mimaface_photo"] = photo.keep(kept, path, photo.alone(portrait))
            settings_of(scene).face = face
            points.note(item, message.fields)
            placed = {name: message.fields["points"][name] for name in message.fields.get("placed", [])}
            if placed:
                photo.remember(item, portrait, [], placed)
                with runtime.threads_held(), compat.in_scene(scene):
                    points.begin(bpy.context, item)
            warnings = list(message.fields.get("warnings", []))
            if is_film:
                warnings = [*_film_is_there(scene, item, path, face, message.fields), *warnings]
            runtime.notice = f"{path.name}: {'; '.join(warnings)}" if warnings else ""
            runtime.steps.push(label, "portrait_loaded")

        def failed(problem: Problem) -> None:
            if problem.code == NoFaceFound.code:
                _faceless[:] = [(str(path), file)]
            runtime.fail(problem)

        if is_film:
            activity = Activity(n_("Reading {name}"), path.name, str(path))
            runtime.ask("film.open", {"path": str(path), "face": face}, [], done, failed, activity)
            return
        fields, activity = {"face": face, "template": self.template}, Activity(n_("Fitting the head to {name}"), path.name)
        runtime.ask("portrait.fit", fields, [content], done, failed, activity)


def _film_is_there(scene: bpy.types.Scene, item: bpy.types.Object, path: Path, face: int, fields: dict[str, Any]) -> list[str]:
    """Note a film on its rig, put its sound into the sequencer, and say what is to be known."""
    shot = film.Film(fields["film"], str(path), face, fields["frames"], fields["rate"], scene.frame_start)
    film.remember(item, shot)
    scene.frame_end = max(shot.last, scene.frame_end)  # only ever longer: the shot is the artist's
    said = [rpt_("a film of {frames} frames, to frame {end}").format(frames=shot.frames, end=shot.last)]
    if fields.get("sound"):
        said.append(strips.add_sound(scene, path, shot.start, shot.last))
    rate = bake.frames_per_second(scene)
    if abs(rate - shot.rate) > film.SAME_RATE:
        step = rpt_("set Frame Rate in the Output properties to {rate:.5g} before you animate it").format(rate=shot.rate)
        said.append(f"{film.different_rate(shot, rate)}: {step}")
    return said


def faceless() -> str:
    """Returns the path of the last chosen picture if no face was found in it, else ""."""
    return next((path for path, file in _faceless if file == session().file_number), "")


class MIMAFACE_OT_portrait_loaded(bpy.types.Operator):
    """The undo step of a result that is there now"""

    bl_idname = "mimaface.portrait_loaded"
    bl_label = MIMAFACE_OT_load_portrait.bl_label
    bl_options = {"UNDO_GROUPED", "INTERNAL"}

    def execute(self, context: bpy.types.Context) -> set[str]:
        return {"FINISHED"}


class MIMAFACE_OT_pin(Operator):
    """Keep this portrait in the panels whatever is selected, or follow the selection again"""

    bl_idname = "mimaface.pin"
    bl_label = "Pin Portrait"

    def work(self, context: bpy.types.Context) -> None:
        settings = settings_of(context.scene)
        if settings.pinned:
            settings.pinned = False
        else:
            settings.rig = current_rig(context)


class MIMAFACE_OT_mesh_head(Operator):
    """Show the fitted head as a mesh, to look at it from all sides, or hide it again"""

    bl_idname = "mimaface.mesh_head"
    bl_label = "Mesh Head"
    bl_options = {"REGISTER", "UNDO"}

    def work(self, context: bpy.types.Context) -> None:
        item = current_rig(context)
        parts = portraits.part_of(item, "head")
        if not parts:
            raise Refused(rpt_("{name} has no mesh head: add the portrait again").format(name=item.name))
        hide = not parts[0].hide_viewport
        for part in parts:
            part.hide_viewport = part.hide_render = hide


CLASSES = (MIMAFACE_OT_load_portrait, MIMAFACE_OT_portrait_loaded, MIMAFACE_OT_pin, MIMAFACE_OT_mesh_head)
