# SPDX-License-Identifier: GPL-3.0-or-later
"""Reference photos of the person, for what the portrait does not show: teeth, closed eyes, the other side."""

# annotations are evaluated: Blender reads the properties from them
from pathlib import Path

import bpy
from bpy.props import CollectionProperty, StringProperty
from bpy_extras.io_utils import ImportHelper

from ...core.activity import Activity
from ...core.words import n_, rpt_
from ...protocol.codec import Message
from ...scene import photo, points, portraits, rig
from ...session import session
from .base import Operator, Refused, writable_rig
from .fit import fit_again

KINDS = "*.png;*.jpg;*.jpeg;*.webp;*.tif;*.tiff;*.bmp;*.mp4;*.mov;*.webm;*.mkv;*.avi"


class MIMAFACE_OT_add_references(Operator, ImportHelper):  # type: ignore[misc]
    """Choose further photos of the person, or a video of them: open mouths, closed eyes and turned heads are shown as they are there"""

    bl_idname = "mimaface.add_references"
    bl_label = "Add Reference Photos"
    bl_options = {"REGISTER", "UNDO"}
    filter_glob: StringProperty(default=KINDS, options={"HIDDEN"})
    files: CollectionProperty(type=bpy.types.OperatorFileListElement, options={"HIDDEN", "SKIP_SAVE"})
    directory: StringProperty(subtype="DIR_PATH", options={"HIDDEN", "SKIP_SAVE"})

    def work(self, context: bpy.types.Context) -> None:
        item = writable_rig(context)
        folder = bpy.path.abspath(self.directory)
        chosen = [str(Path(folder, file.name)) for file in self.files] or [bpy.path.abspath(self.filepath)]  # type: ignore[attr-defined]
        missing = next((path for path in chosen if not Path(path).is_file()), None)
        if missing is not None:
            raise Refused(rpt_("{path} is not a file: choose photos or a video of the person").format(path=missing))
        before = item["mimaface_portrait"]
        paths, placed = list(dict.fromkeys([*photo.references(before), *chosen])), photo.points(before)
        content = photo.find(before)
        if content is None:
            sentence = rpt_("the photo {name} is not where it was: put it beside the .blend, then add the references again")
            raise Refused(sentence.format(name=portraits.photo_name(item)))
        label, key, runtime = self.bl_label, item[rig.IDENTITY], session()
        file = runtime.file_number

        def done(message: Message) -> None:
            found = next((other for other in bpy.data.objects if other.get(rig.IDENTITY) == key and rig.is_rig(other)), None)
            if file != runtime.file_number or found is None:
                runtime.fail(rpt_("the portrait for which references were chosen is no longer open: add them again"))
                return
            portrait, used = message.fields["portrait"], message.fields.get("references", 0)
            portraits.rename(found, portrait)
            photo.remember(found, portrait, paths if used else [], placed)
            points.note(found, message.fields)
            warnings = message.fields.get("warnings", [])
            runtime.notice = "; ".join([rpt_("{count} reference photos are used").format(count=used), *warnings])
            runtime.steps.push(label, "portrait_loaded")

        several = rpt_("{count} reference photos").format(count=len(paths))
        activity = Activity(n_("Fitting the head to {name}"), several if len(paths) > 1 else Path(paths[0]).name)
        runtime.ask("portrait.fit", photo.given(before) | {"references": paths}, [content], done, runtime.fail, activity)


class MIMAFACE_OT_clear_references(Operator):
    """Use the portrait alone again"""

    bl_idname = "mimaface.clear_references"
    bl_label = "Remove Reference Photos"
    bl_options = {"REGISTER", "UNDO"}

    def work(self, context: bpy.types.Context) -> None:
        item = writable_rig(context)
        if photo.points(item["mimaface_portrait"]):
            fit_again(item, self.bl_label, {"references": []})  # under an id that no rig may remember
        else:
            portraits.rename(item, photo.alone(item["mimaface_portrait"]))


CLASSES = (MIMAFACE_OT_add_references, MIMAFACE_OT_clear_references)
