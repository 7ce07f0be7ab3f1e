# SPDX-License-Identifier: GPL-3.0-or-later
"""The artist's pose: rest, mirror, keys, and the keying set that Blender's own keying commands use."""

# annotations are evaluated: Blender reads the properties from them
import bpy
from bpy.props import StringProperty

from ...core.words import rpt_
from ...scene import face, portraits
from .base import Operator, current_rig, writable_rig


class MIMAFACE_OT_reset_face(Operator):
    """Put all sliders and handles of the face to rest; the head stays as it is turned"""

    bl_idname = "mimaface.reset_face"
    bl_label = "Reset"
    bl_options = {"REGISTER", "UNDO"}

    def work(self, context: bpy.types.Context) -> None:
        face.reset(current_rig(context))


class MIMAFACE_OT_mirror_face(Operator):
    """Exchange left and right of the whole pose: sliders, handles, head and gaze"""

    bl_idname = "mimaface.mirror_face"
    bl_label = "Mirror"
    bl_options = {"REGISTER", "UNDO"}

    def work(self, context: bpy.types.Context) -> None:
        face.mirror(current_rig(context))


class MIMAFACE_OT_key_face(Operator):
    """Key the whole pose on the current frame: sliders, handles, head and gaze"""

    bl_idname = "mimaface.key_face"
    bl_label = "Key All"
    bl_options = {"REGISTER", "UNDO"}

    def work(self, context: bpy.types.Context) -> None:
        count = face.key_all(writable_rig(context), context.scene.frame_current_final)
        self.report({"INFO"}, rpt_("{count} channels keyed").format(count=count))


class MIMAFACE_OT_save_pose(Operator):
    """Keep the whole pose, sliders too, as an asset of this file for Blender's pose library: any portrait can take it on"""

    bl_idname = "mimaface.save_pose"
    bl_label = "Save Pose"
    bl_options = {"REGISTER", "UNDO"}
    name: StringProperty(name="Name", description="Name of the pose", default="Pose")

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        return set[str](context.window_manager.invoke_props_dialog(self))

    def work(self, context: bpy.types.Context) -> None:
        made = face.pose_asset(writable_rig(context), self.name)
        self.report({"INFO"}, rpt_("{name} is in the asset browser, under Current File").format(name=made.name))


class MIMAFACE_KS_portrait(bpy.types.KeyingSetInfo):
    """All that the artist poses on a portrait: sliders, handles, head and gaze"""

    bl_idname = "MIMAFACE_KS_portrait"
    bl_label = "MIMAFace Portrait"

    def poll(self, context: bpy.types.Context) -> bool:
        return portraits.current(context) is not None

    def iterator(self, context: bpy.types.Context, keying_set: bpy.types.KeyingSet) -> None:
        self.generate(context, keying_set, portraits.current(context))

    def generate(self, context: bpy.types.Context, keying_set: bpy.types.KeyingSet, data: bpy.types.Object) -> None:
        for owner, path, group in face.channels(data):
            place = "" if owner == data else owner.path_from_id()
            whole = f"{place}.{path}" if place else path
            keying_set.paths.add(data, whole, group_method="NAMED", group_name=group)


CLASSES = (MIMAFACE_OT_reset_face, MIMAFACE_OT_mirror_face, MIMAFACE_OT_key_face, MIMAFACE_OT_save_pose, MIMAFACE_KS_portrait)
