# SPDX-License-Identifier: GPL-3.0-or-later
"""From a mocap take, a video or speech to curves."""

# annotations are evaluated: Blender reads the properties from them
from pathlib import Path

import bpy
from bpy.props import FloatProperty, StringProperty
from bpy_extras.io_utils import ImportHelper

from ...core.activity import Activity
from ...protocol.codec import Message
from ...protocol.driver_files import PATTERNS
from ...protocol.motion import MotionClip
from ...scene import bake, reduction, strips
from ...scene.driving import find, key_of
from ...scene.settings import settings_of
from ...session import session
from .. import options
from .base import Operator, Refused, writable_rig


class MIMAFACE_OT_import_motion(options.ImportOptions, Operator, ImportHelper):
    """Key the selected portrait from a take, a .motion.npz, a video, a picture or speech: beside your own keys, in place of an earlier import"""

    bl_idname = "mimaface.import_motion"
    bl_label = "Import Motion"
    bl_options = {"REGISTER", "UNDO"}
    filter_glob: StringProperty(default=PATTERNS, options={"HIDDEN"})

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        for name in options.NAMES:
            setattr(self, name, getattr(settings_of(context.scene), name))
        return ImportHelper.invoke(self, context, event)

    def draw(self, context: bpy.types.Context) -> None:
        options.draw(self.layout, self)

    def work(self, context: bpy.types.Context) -> None:
        path = Path(bpy.path.abspath(self.filepath))  # type: ignore[attr-defined]  # of ImportHelper
        if not path.is_file():
            raise Refused(f"{path} is not a file: choose a take, a video or a sound")
        item, settings = writable_rig(context), settings_of(context.scene)
        for name in options.NAMES:
            if self.properties.is_property_set(name):
                setattr(settings, name, getattr(self, name))
            else:
                setattr(self, name, getattr(settings, name))
        identity, scene_name, start = key_of(item), context.scene.name, context.scene.frame_start
        wanted = options.to_wire(self) | {"rate": bake.frames_per_second(context.scene)}
        if path.suffix.lower() == ".npz":
            del wanted["neutral"]
        label, runtime = self.bl_label, session()

        def done(message: Message) -> None:
            target: bpy.types.Object | None = find(identity)
            scene: bpy.types.Scene | None = bpy.data.scenes.get(scene_name)
            if target is None or scene is None:
                runtime.fail(f"{path.name} was read, but the rig is gone: select a portrait rig and import it again")
                return
            motion = MotionClip.from_bytes(message.parts[0], path.name)
            made = bake.motion_to_curves(scene, target, motion, path.stem, start)
            scene.frame_end = max(made.last, scene.frame_end)  # only ever longer: the shot is the artist's
            notes = [f"{made.keys} keys on {made.channels} channels, to frame {made.last}", *message.fields.get("warnings", [])]
            if message.fields.get("sound"):
                notes.append(strips.add_sound(scene, Path(message.fields.get("sound_path", path)), start, made.last))
            runtime.notice = f"{path.name}: {'; '.join(notes)}"
            runtime.steps.push(label, "motion_imported")

        runtime.ask("track", {"path": str(path), "options": wanted}, [], done, runtime.fail, Activity("Reading", path.name, str(path), identity))


class MIMAFACE_OT_motion_imported(bpy.types.Operator):
    """The undo step of a result that is there now"""

    bl_idname = "mimaface.motion_imported"
    bl_label = MIMAFACE_OT_import_motion.bl_label
    bl_options = {"UNDO_GROUPED", "INTERNAL"}

    def execute(self, context: bpy.types.Context) -> set[str]:
        return {"FINISHED"}


class MIMAFACE_OT_reduce_keys(Operator):
    """Take keys out of the mocap layer that it can do without: what it does changes by no more than the tolerance"""

    bl_idname = "mimaface.reduce_keys"
    bl_label = "Reduce Keys"
    bl_options = {"REGISTER", "UNDO"}
    tolerance: FloatProperty(
        name="Tolerance", description="Largest change: 1 is a whole blendshape, a radian, or a tenth of a metre; more takes out more keys",
        min=0.0, max=0.2, default=0.01, step=0.1, precision=3,
    )  # fmt: skip

    def work(self, context: bpy.types.Context) -> None:
        item = writable_rig(context)
        before, after = reduction.reduce_layer(item, self.tolerance)
        if not before:
            raise Refused(f"{item.name} has no keys on its mocap layer: import or record a motion first")
        session().notice = f"{item.name}: {after} of {before} keys of the mocap layer are left"


CLASSES = (MIMAFACE_OT_import_motion, MIMAFACE_OT_motion_imported, MIMAFACE_OT_reduce_keys)
