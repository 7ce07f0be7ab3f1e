# SPDX-License-Identifier: GPL-3.0-or-later
"""From a mocap take or a video to curves."""

# annotations are evaluated: Blender reads the properties from them
from pathlib import Path

import bpy
from bpy.props import StringProperty
from bpy_extras.io_utils import ImportHelper

from .. import bake
from ..protocol.motion import MotionClip
from ..session import session
from .base import Operator, Refused, current_rig


class MIMAFACE_OT_import_motion(Operator, ImportHelper):
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
        label, runtime = self.bl_label, session()
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
            runtime.steps.push(label)
            warnings = message.fields.get("warnings", [])
            if warnings:
                runtime.last_error = f"{path.name}: {warnings[0]}"

        runtime.ask("track", {"path": str(path), "options": options}, [], done, runtime.fail)


CLASSES = (MIMAFACE_OT_import_motion,)
