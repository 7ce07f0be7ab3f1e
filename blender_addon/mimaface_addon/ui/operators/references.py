# SPDX-License-Identifier: GPL-3.0-or-later
"""Reference photos of the person, for what the portrait does not show: teeth, closed eyes, the other side."""

# annotations are evaluated: Blender reads the properties from them
from pathlib import Path

import bpy
from bpy.props import CollectionProperty, StringProperty
from bpy_extras.io_utils import ImportHelper

from ...core.words import rpt_
from ...scene import photo
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
        known = photo.references(item[photo.TAG])
        fit_again(item, self.bl_label, {"references": list(dict.fromkeys([*known, *chosen]))})


class MIMAFACE_OT_clear_references(Operator):
    """Use the portrait alone again"""

    bl_idname = "mimaface.clear_references"
    bl_label = "Remove Reference Photos"
    bl_options = {"REGISTER", "UNDO"}

    def work(self, context: bpy.types.Context) -> None:
        fit_again(writable_rig(context), self.bl_label, {"references": []})


CLASSES = (MIMAFACE_OT_add_references, MIMAFACE_OT_clear_references)
