# SPDX-License-Identifier: GPL-3.0-or-later
"""From a photo to a rig."""

# annotations are evaluated: Blender reads the properties from them
import io
from pathlib import Path

import bpy
import numpy as np
from bpy.props import IntProperty, StringProperty
from bpy_extras.io_utils import ImportHelper

from .. import compat, photo, proxy_head, rig
from ..session import session
from .base import Operator, Refused


class MIMAFACE_OT_load_portrait(Operator, ImportHelper):
    """Choose a portrait photo and build the rig for it"""

    bl_idname = "mimaface.load_portrait"
    bl_label = "Add Portrait Rig"
    bl_options = {"REGISTER"}  # the undo step is pushed when the rig is there
    filter_glob: StringProperty(default="*.png;*.jpg;*.jpeg;*.webp;*.tif;*.tiff;*.bmp", options={"HIDDEN"})
    face: IntProperty(name="Face", description="Which face of the picture: 0 is the largest", min=0, max=50)

    def work(self, context: bpy.types.Context) -> None:
        path = Path(bpy.path.abspath(self.filepath))
        if not path.is_file():
            raise Refused(f"{path} is not a file: choose a photo")
        content = path.read_bytes()
        label, face, key, runtime = self.bl_label, self.face, compat.scene_key(context.scene), session()
        file = runtime.file_number
        runtime.busy = f"Fitting the head to {path.name}"

        def done(message) -> None:
            runtime.busy = ""
            scene = compat.find_scene(key)
            if file != runtime.file_number or scene is None:
                runtime.fail(f"the scene for which {path.name} was chosen is no longer open: add the portrait again")
                return
            with np.load(io.BytesIO(message.parts[0]), allow_pickle=False) as archive:
                mesh = {name: archive[name] for name in archive.files}
            portrait = message.fields["portrait"]
            with compat.in_scene(scene):
                item = build_rig(bpy.context, scene, path.stem, str(path), portrait, mesh)
            item["mimaface_photo"] = photo.keep(content, path, portrait)
            scene.mimaface.face = face
            runtime.steps.push(label)

        runtime.ask("portrait.fit", {"face": face}, [content], done, runtime.fail)


def build_rig(
    context: bpy.types.Context, scene: bpy.types.Scene, name: str, path: str, portrait: str, mesh: dict
) -> bpy.types.Object:
    """The rig, the proxy head and the photo beside them."""
    if context.object is not None and context.object.mode != "OBJECT":
        bpy.ops.object.mode_set(mode="OBJECT")
    image = bpy.data.images.load(path, check_existing=True)
    item = rig.create(context, f"{name} rig", mesh["eye_centres"])
    proxy_head.create(context, item, mesh, image)
    shown = bpy.data.objects.new(f"{name} photo", None)
    shown.empty_display_type, shown.data, shown.empty_display_size = "IMAGE", image, 0.4
    shown.rotation_euler = (np.pi / 2, 0, 0)
    shown.location = item.location + rig.Vector((0.4, 0, 0))
    context.collection.objects.link(shown)
    scene.mimaface.portrait, scene.mimaface.portrait_id, scene.mimaface.rig = path, portrait, item
    item["mimaface_portrait"] = portrait
    return item


CLASSES = (MIMAFACE_OT_load_portrait,)
