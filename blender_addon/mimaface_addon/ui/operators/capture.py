# SPDX-License-Identifier: GPL-3.0-or-later
"""Receives face capture, and records it to the mocap layer."""

# annotations are evaluated: Blender reads the properties from them
import bpy
from bpy.app.translations import pgettext_tip as tip_
from bpy.props import BoolProperty, StringProperty

from ...core.activity import Activity
from ...core.capture import SOURCES, Take
from ...core.words import n_, rpt_
from ...protocol.codec import Message
from ...protocol.motion import MotionClip
from ...scene import bake, compat
from ...scene.driving import find, key_of
from ...scene.settings import settings_of
from ...session import session
from .. import capture as live
from .base import Operator, Refused, writable_rig


class MIMAFACE_OT_listen(Operator):
    """Listen to this input: the portrait follows the face that is sent, until Stop"""

    bl_idname = "mimaface.listen"
    bl_label = "Listen"

    def work(self, context: bpy.types.Context) -> None:
        settings, runtime = settings_of(context.scene), session()
        source = next(item for item in SOURCES if item.kind == settings.stream_kind)
        address = source.address(settings.stream_host, settings.stream_port)
        live.stop()

        def done(message: Message) -> None:
            client = runtime.backend.client
            if client is not None:
                port = rpt_("port {number}").format(number=message.fields["port"])
                live.capture.begin(client, message.fields["name"], message.fields.get("where", port), source.is_microphone)
                live.listen()

        runtime.ask("stream.open", {"input": address}, [], done, _failed, Activity(n_("Opening {name}"), source.label, address, "capture"))


def _failed(text: str) -> None:
    live.capture.problem = text


class Listening(Operator):
    """Base of operators that need an open stream."""

    def execute(self, context: bpy.types.Context) -> set[str]:
        live.capture.problem = ""
        return super().execute(context)

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return live.capture.on


class MIMAFACE_OT_stop_listening(Listening):
    """Stop listening; the portrait is as it was"""

    bl_idname = "mimaface.stop_listening"
    bl_label = "Stop"

    def work(self, context: bpy.types.Context) -> None:
        if live.capture.take is not None:
            raise Refused(rpt_("a take is being recorded: press Stop Recording first"))
        live.stop()


class MIMAFACE_OT_set_neutral(Listening):
    """Use the face as it is now as the neutral, to which the motion is relative"""

    bl_idname = "mimaface.set_neutral"
    bl_label = "Set Neutral"

    def work(self, context: bpy.types.Context) -> None:
        session().ask("stream.neutral", {}, [], lambda _: None, _failed)


class MIMAFACE_OT_choose_sender(Listening):
    """Hear this sender, whenever it sends; its face at this moment is the neutral"""

    bl_idname = "mimaface.choose_sender"
    bl_label = "Choose Sender"
    sender: StringProperty(options={"SKIP_SAVE", "HIDDEN"})

    def work(self, context: bpy.types.Context) -> None:
        session().ask("stream.choose", {"sender": self.sender}, [], lambda _: None, _failed)


class MIMAFACE_OT_record(Listening):
    """Record from the current frame on, until Stop, and replace the earlier take on the mocap layer; press Play to act to the shot"""

    bl_idname = "mimaface.record"
    bl_label = "Record"
    punch_in: BoolProperty(
        name="Punch In", description="Replace only the frames that are recorded; what the mocap layer does before and after stays"
    )

    @classmethod
    def description(cls, context: bpy.types.Context, properties: bpy.types.OperatorProperties) -> str:
        if getattr(properties, "punch_in", False):
            return tip_("Record from the current frame on, until Stop, and replace only these frames: the take before and after them stays")
        return tip_(cls.__doc__ or "")

    def work(self, context: bpy.types.Context) -> None:
        if live.capture.take is not None:
            raise Refused(rpt_("a take is being recorded: press Stop Recording first"))
        item, scene = writable_rig(context), context.scene
        take = Take(key_of(item), compat.scene_key(scene), scene.frame_current, self.punch_in)

        def done(_: Message) -> None:
            if live.capture.on:
                live.capture.record(take)

        session().ask("stream.record", {}, [], done, _failed)


class MIMAFACE_OT_stop_recording(Listening):
    """End the take and key the mocap layer with it"""

    bl_idname = "mimaface.stop_recording"
    bl_label = "Stop Recording"

    def work(self, context: bpy.types.Context) -> None:
        take, runtime = live.capture.take, session()
        if take is None:
            raise Refused(rpt_("no take is being recorded: press Record first"))
        name, mouth_only, live.capture.take = live.capture.name, live.capture.mouth_only, None

        def done(message: Message) -> None:
            live.capture.taken()
            rig, scene = find(take.rig), compat.find_scene(take.scene)
            if rig is None or scene is None:
                runtime.fail(rpt_("a take was recorded, but its rig is gone: select a portrait rig, and press Kept Takes to import it"))
                return
            motion = MotionClip.from_bytes(message.parts[0], name)
            live.driven.release()  # the undo step must not contain the stream's values
            if mouth_only:
                made = bake.mouth_to_curves(scene, rig, motion, take.start)
            else:
                made = bake.motion_to_curves(scene, rig, motion, name, take.start, take.punch_in)
            scene.frame_end = max(made.last, scene.frame_end)  # only ever longer: the shot is the artist's
            keyed = rpt_("{keys} keys on {channels} channels, frames {start} to {end}")
            keyed = keyed.format(keys=made.keys, channels=made.channels, start=take.start, end=made.last)
            runtime.notice = f"{name}: {'; '.join([keyed, *message.fields.get('warnings', [])])}"
            runtime.steps.push(n_("Punch In") if take.punch_in else n_("Record"))

        runtime.ask("stream.finish", {}, [], done, _failed, Activity(n_("Reading the take of {name}"), name))


CLASSES = (
    MIMAFACE_OT_listen, MIMAFACE_OT_stop_listening, MIMAFACE_OT_choose_sender, MIMAFACE_OT_set_neutral, MIMAFACE_OT_record,
    MIMAFACE_OT_stop_recording,
)  # fmt: skip
