# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the gaze target is free."""

# annotations are evaluated: Blender reads the properties from them
import bpy
from bpy.props import EnumProperty

from ...core.words import rpt_
from ...scene import gazing
from .base import Operator, Refused, current_rig

PLACES = (
    ("HEAD", "In Head", "The gaze target is carried along by the head"),
    ("WORLD", "In World", "The gaze target stays where it is when the head moves"),
    ("CAMERA", "Look at Camera", "The eyes look into the camera that took the photograph, whatever the head does"),
)  # fmt: skip


class MIMAFACE_OT_gaze(Operator):
    """Where the gaze target is free: it stays where it is seen now"""

    bl_idname = "mimaface.gaze"
    bl_label = "Gaze Target"
    bl_options = {"REGISTER", "UNDO"}
    place: EnumProperty(name="Place", items=PLACES)

    @classmethod
    def description(cls, context: bpy.types.Context, properties: bpy.types.OperatorProperties) -> str:
        return next(text for name, _, text in PLACES if name == getattr(properties, "place", "HEAD"))

    def work(self, context: bpy.types.Context) -> None:
        item = current_rig(context)
        if not gazing.has(item):
            sentence = rpt_("{name} was made by an earlier version, whose gaze target stays in the head: add the portrait again to free it")
            raise Refused(sentence.format(name=item.name))
        context.view_layer.update()
        gazing.put(item, self.place)


CLASSES = (MIMAFACE_OT_gaze,)
