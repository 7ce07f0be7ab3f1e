# SPDX-License-Identifier: GPL-3.0-or-later
"""From a mocap take, a video or speech to curves."""

# annotations are evaluated: Blender reads the properties from them
from collections.abc import Callable
from pathlib import Path
from typing import Any

import bpy
from bpy.props import FloatProperty, StringProperty
from bpy_extras.io_utils import ImportHelper

from ... import sending
from ...core.activity import Activity
from ...core.asking import Problem
from ...core.visemes import REST, timed
from ...core.words import n_, rpt_
from ...protocol.codec import Message
from ...protocol.driver_files import PATTERNS, PICTURES, SCENES, ends
from ...protocol.motion import MotionClip
from ...protocol.texts import shown
from ...protocol.visemes import VISEMES, text_grid
from ...scene import bake, fbx, film, reduction, speech, strips
from ...scene.driving import find, key_of
from ...scene.settings import settings_of
from ...session import session
from .. import options
from .base import Operator, Refused, writable_rig


class Import(options.ImportOptions, Operator, ImportHelper):
    """Base of operators that key the mocap layer from a file. posing: only at the current frame, from a picture."""

    posing = False

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        for name in options.NAMES:
            setattr(self, name, getattr(settings_of(context.scene), name))
        return ImportHelper.invoke(self, context, event)

    def draw(self, context: bpy.types.Context) -> None:
        options.draw(self.layout, self)

    def work(self, context: bpy.types.Context) -> None:
        path = Path(bpy.path.abspath(self.filepath))  # type: ignore[attr-defined]  # of ImportHelper
        if not path.is_file():
            raise Refused(rpt_("{path} is not a file: choose a take, a video or a sound").format(path=path))
        item, settings = writable_rig(context), settings_of(context.scene)
        for name in options.NAMES:
            if self.properties.is_property_set(name):
                setattr(settings, name, getattr(self, name))
            else:
                setattr(self, name, getattr(settings, name))
        if self.posing and not ends(path.name, PICTURES):
            raise Refused(rpt_("{name} is no picture: use Import Motion").format(name=path.name))
        identity, scene_name = key_of(item), context.scene.name
        start = context.scene.frame_current if self.posing else context.scene.frame_start
        wanted = options.to_wire(self) | {"rate": bake.frames_per_second(context.scene)}
        if path.suffix.lower() == ".npz":
            del wanted["neutral"]
        replaces = wanted["absolute"]
        portrait = _moved(item, wanted)
        posing = self.posing  # the operator itself is gone when the answer is there
        label, runtime, activity = self.bl_label, session(), Activity(n_("Reading {name}"), path.name, str(path), identity)

        read = path if not ends(path.name, SCENES) else _head_file(path)

        def ask(failed: Callable[[Problem], None]) -> None:
            runtime.ask("track", {"path": str(read), "options": wanted, "portrait": portrait}, [], done, failed, activity)

        def failed(problem: Problem) -> None:
            if problem.code == sending.UNKNOWN and portrait:  # the backend has lost the photograph, or never had it
                sending.send_photo(runtime, portrait, lambda: ask(runtime.fail), runtime.fail)
            else:
                runtime.fail(problem)

        def done(message: Message) -> None:
            target: bpy.types.Object | None = find(identity)
            scene: bpy.types.Scene | None = bpy.data.scenes.get(scene_name)
            if target is None or scene is None:
                runtime.fail(rpt_("{name} was read, but the rig is gone: select a portrait rig and import it again").format(name=path.name))
                return
            motion = MotionClip.from_bytes(message.parts[0], path.name)
            if film.of(target) is not None:  # else the keys are away from the photograph
                is_pose = motion.meta.get("format") == "picture" and wanted.get("neutral") != "rest"  # it has no neutral
                settings_of(scene).absolute = replaces or is_pose
            key = bake.pose_to_curves if posing else bake.motion_to_curves
            made = key(scene, target, motion, path.stem, start)
            scene.frame_end = max(made.last, scene.frame_end)  # never shorter, because the artist sets the range
            keyed = rpt_("{keys} keys on {channels} channels, to frame {end}")
            notes = [keyed.format(keys=made.keys, channels=made.channels, end=made.last)]
            if made.visemes:
                marked = rpt_("{count} visemes are pose markers to edit (Action Editor, Marker > Show Pose Markers)")
                notes.append(marked.format(count=made.visemes))
            notes += [*message.fields.get("warnings", [])]
            if message.fields.get("sound"):
                notes.append(strips.add_sound(scene, Path(message.fields.get("sound_path", path)), start, made.last))
            runtime.notice = f"{path.name}: {'; '.join(notes)}"
            runtime.steps.push(label, "motion_imported")

        ask(failed)


class MIMAFACE_OT_import_motion(Import):
    """Key the selected portrait from a take, video, picture or speech, on a layer beside your own keys; replaces an earlier import"""

    bl_idname = "mimaface.import_motion"
    bl_label = "Import Motion"
    bl_options = {"REGISTER", "UNDO"}
    filter_glob: StringProperty(default=PATTERNS, options={"HIDDEN"})


class MIMAFACE_OT_pose_from_photo(Import):
    """Key the pose of the face in another photo at the current frame, on the layer of Import Motion; its other keys stay"""

    bl_idname = "mimaface.pose_from_photo"
    bl_label = "Pose from Photo"
    bl_options = {"REGISTER", "UNDO"}
    filter_glob: StringProperty(default=";".join(f"*{ending}" for ending in PICTURES), options={"HIDDEN"})
    posing = True


class MIMAFACE_OT_motion_imported(bpy.types.Operator):
    """The undo step of a result that is there now"""

    bl_idname = "mimaface.motion_imported"
    bl_label = MIMAFACE_OT_import_motion.bl_label
    bl_options = {"UNDO_GROUPED", "INTERNAL"}

    def execute(self, context: bpy.types.Context) -> set[str]:
        return {"FINISHED"}


class MIMAFACE_OT_update_from_markers(Operator):
    """Key the mouth again from the viseme markers as they are now, with the Delay of this panel; head, brows and lids stay"""

    bl_idname = "mimaface.update_from_markers"
    bl_label = "Update from Markers"
    bl_options = {"REGISTER"}

    def work(self, context: bpy.types.Context) -> None:
        item, scene_name = writable_rig(context), context.scene.name
        rate, action = bake.frames_per_second(context.scene), speech.action_of(item)
        known = speech.of(action)
        if action is None or known is None:
            raise Refused(_without_markers(item))
        now, others = speech.edited(action, known, rate)
        if all(viseme.name == REST for viseme in now.visemes):
            raise Refused(rpt_("no marker of {name} is a viseme any more: undo, or import the speech again").format(name=action.name))
        identity, label, runtime, name = key_of(item), self.bl_label, session(), action.name

        def done(message: Message) -> None:
            target: bpy.types.Object | None = find(identity)
            scene: bpy.types.Scene | None = bpy.data.scenes.get(scene_name)
            current = None if target is None else speech.action_of(target)
            if target is None or scene is None or current is None or current.name != name:
                sentence = rpt_("the markers of {name} were read, but it moves {rig} no more: assign it and update again")
                runtime.fail(sentence.format(name=name, rig=identity[0]))
                return
            made = bake.mouth_to_curves(scene, target, MotionClip.from_bytes(message.parts[0], name), now.start)
            speech.keep(speech.action_of(target) or current, now)
            keyed = rpt_("{count} visemes are keys on {channels} channels of the mouth, to frame {end}")
            notes = [keyed.format(count=len(now.visemes), channels=made.channels, end=made.last)]
            if others:
                kept = rpt_("other markers, such as {name}, are let be; visemes are {visemes}")
                notes.append(kept.format(name=shown(others[0], 20), visemes=", ".join(VISEMES)))
            runtime.notice = f"{name}: {'; '.join([*notes, *message.fields.get('warnings', [])])}"
            runtime.steps.push(label)

        content = text_grid(timed(now.visemes, now.start, rate), now.seconds).encode()
        wanted = options.to_wire(settings_of(context.scene)) | {"rate": rate}
        fields = {"options": wanted, "portrait": _moved(item, wanted)}
        runtime.ask("speech", fields, [content], done, runtime.fail, Activity(n_("Speaking {name}"), name, name, identity))


def _head_file(path: Path) -> Path:
    """Returns a motion file with the head of an .fbx, in the folder of this Blender's temporary files. Raises as :func:`fbx.head_of`."""
    with session().threads_held():
        motion = fbx.head_of(path)
    file = Path(bpy.app.tempdir) / f"{path.stem}.motion.npz"
    motion.save(file)
    return file


def _moved(item: bpy.types.Object, wanted: dict[str, Any]) -> str:
    """Returns the portrait that a motion with these options will move, "" for a film, each of whose frames has a pose of its own: absolute
    motion then is keyed as recorded, and takes are made with Absolute.
    """
    if film.of(item) is None:
        return str(item.get("mimaface_portrait", ""))
    if wanted["absolute"]:
        wanted |= {"absolute": False, "neutral": "rest"}
    return ""


def _without_markers(item: bpy.types.Object) -> str:
    """Why there is nothing to update from, and what to do."""
    tracks = item.animation_data.nla_tracks if item.animation_data is not None else ()
    if any(speech.of(strip.action) is not None for track in tracks for strip in track.strips):
        sentence = rpt_("the viseme markers of {name} are in a strip of the NLA: select it there, press Tab, then update")
    else:
        sentence = rpt_("{name} has no viseme markers: import speech first (Import Motion, without a speech model)")
    return sentence.format(name=item.name)


class MIMAFACE_OT_reduce_keys(Operator):
    """Delete keys of the mocap layer without which its motion changes by no more than the tolerance"""

    bl_idname = "mimaface.reduce_keys"
    bl_label = "Reduce Keys"
    bl_options = {"REGISTER", "UNDO"}
    tolerance: FloatProperty(
        name="Tolerance",
        description="Largest change of the motion, where 1 is a whole blendshape, a radian or a tenth of a metre; more deletes more keys",
        min=0.0, max=0.2, default=0.01, step=0.1, precision=3,
    )  # fmt: skip

    def work(self, context: bpy.types.Context) -> None:
        item = writable_rig(context)
        before, after = reduction.reduce_layer(item, self.tolerance)
        if not before:
            raise Refused(rpt_("{name} has no keys on its mocap layer: import or record a motion first").format(name=item.name))
        left = rpt_("{name}: {after} of {before} keys of the mocap layer are left")
        session().notice = left.format(name=item.name, after=after, before=before)


CLASSES = (
    MIMAFACE_OT_import_motion, MIMAFACE_OT_pose_from_photo, MIMAFACE_OT_motion_imported, MIMAFACE_OT_update_from_markers, MIMAFACE_OT_reduce_keys,
)  # fmt: skip
