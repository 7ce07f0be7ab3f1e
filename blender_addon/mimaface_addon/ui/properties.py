# SPDX-License-Identifier: GPL-3.0-or-later
"""Properties that the .blend stores: portrait, rig, settings and takes."""

# annotations are evaluated: Blender reads the properties from them

import bpy
from bpy.props import BoolProperty, CollectionProperty, EnumProperty, FloatProperty, IntProperty, PointerProperty, StringProperty

from ..core.capture import SOURCES
from ..core.delivery import note
from ..core.words import n_
from ..protocol.arkit import REGIONS
from ..protocol.settings import BODY_FOLLOWS
from ..scene import strips
from ..scene.rig import is_rig
from ..scene.settings import Take
from ..scene.takes import take_folder
from .options import ImportOptions

REGION_TEXTS = {
    "lips": n_("Lips, jaw and tongue"), "gaze": n_("Where the eyes look"), "lids": n_("Blinks, squints and wide eyes"),
    "brows": n_("Both brows"), "cheeks": n_("Cheeks and nose"), "head": n_("Rotation and position of the head"),
}  # fmt: skip


def _renamed(take: Take, context: bpy.types.Context) -> None:
    """Write a take's new name to its strip and its manifest."""
    if not take.uuid:
        return
    for strip in strips.find_all(take.id_data, take.uuid):
        strip.name = take.name
    if take.folder:
        note(take_folder(take), name=take.name)


def _hidden(take: Take) -> bool:
    found = strips.find_all(take.id_data, take.uuid)
    return bool(found) and all(strip.mute for strip in found)


def _hide(take: Take, hidden: bool) -> None:
    for strip in strips.find_all(take.id_data, take.uuid):
        strip.mute = hidden


class MimaFaceTake(bpy.types.PropertyGroup):
    """One generated shot. ``name`` is shown; ``uuid`` also tags its strip. Undo does not change the fields in ``takes.FIELDS``."""

    name: StringProperty(name="Name", description="Name of the take and of its strip; the folder keeps its own", update=_renamed)
    uuid: StringProperty()
    job: StringProperty()
    folder: StringProperty()  # relative to a saved .blend
    frames: IntProperty()
    done: IntProperty()
    start: IntProperty()
    step: IntProperty(default=1)  # scene frames per picture
    channel: IntProperty()
    state: StringProperty(default="waiting")
    message: StringProperty()
    placed: BoolProperty()  # whether its strip was created; a missing one then was deleted by the artist
    hidden: BoolProperty(name="Hide", description="Mute the strips of this take", get=_hidden, set=_hide)


class MimaFaceScene(ImportOptions, bpy.types.PropertyGroup):
    portrait: StringProperty(name="Portrait", description="The photo to animate", subtype="FILE_PATH")
    portrait_id: StringProperty()
    face: IntProperty(name="Face", description="Which face of the picture: 0 is the largest", min=0, max=50)
    rig: PointerProperty(
        name="Rig",
        description="The armature that animates the portrait",
        type=bpy.types.Object,
        poll=lambda self, item: is_rig(item),
        update=lambda self, context: setattr(self, "pinned", self.rig is not None),
    )
    pinned: BoolProperty(description="The portrait chosen in the panel is used, whatever is selected")
    takes: CollectionProperty(type=MimaFaceTake)
    active_take: IntProperty()
    engine: EnumProperty(
        name="Engine",
        default="proxy",
        items=[
            ("demo", "Generated", "The diffusion model that comes with the add-on: light follows the turning head"),
            ("proxy", "Projected", "The photo's own pixels on the posed head: nearer to real films than the model, and several times as fast"),
            (
                "released",
                "Released",
                "The authors' weights, once “mimaface models pull released” has installed them; slow without a GPU",
            ),
        ],
    )
    quality: EnumProperty(
        name="Quality",
        description="Number of steps in which the model of Generated or Released is sampled",
        items=[
            ("draft", "Draft", "In few steps, or the posed photo alone: to judge the motion"),
            ("standard", "Standard", "As the model was made for"),
            ("final", "Final", "In more steps, where the model gains by them"),
        ],
        default="standard",
    )
    size: IntProperty(name="Size", description="Pixels of the longer side; 0 is the photo's own size", default=0, min=0, max=8192)
    framing: EnumProperty(
        name="Framing",
        items=[("photo", "Whole Photo", "The face pasted back into the photo"), ("face", "Face", "A square around the head")],
    )
    transparent: BoolProperty(name="Transparent", description="PNG with alpha: everything but the person is transparent")
    stream_kind: EnumProperty(
        name="Input", description="What sends the face", items=[(item.kind, item.label, item.setting) for item in SOURCES]
    )
    stream_host: StringProperty(
        name="Address",
        description="The phone's address where it must be asked to send, or the name of a camera or microphone; "
        "else this computer's address to listen at; empty: all",
    )
    stream_port: IntProperty(
        name="Port", description="Port of this computer to listen at, 0 is the usual one of the input; or number of a camera, 0 is the first",
        min=0, max=65535,
    )  # fmt: skip
    watermark: BoolProperty(
        name="Watermark",
        description="An imperceptible mark in the frames that says how they were made; without it they are for intermediate work",
        default=True,
    )
    body_follows: FloatProperty(
        name="Body Follows", description="How far the shoulders follow a large movement of the head: 0, they stay, to 1", default=BODY_FOLLOWS,
        min=0.0, max=1.0, subtype="FACTOR",
    )  # fmt: skip
    only: EnumProperty(
        name="Only", description="Regions that the rig moves in takes and Live, the rest stays as in the photo or film; none chosen: all",
        items=[(name, name.capitalize(), REGION_TEXTS[name]) for name in REGIONS], options={"ENUM_FLAG"}, default=set(),
    )  # fmt: skip
    absolute: BoolProperty(
        name="Absolute", description="The rig's motion replaces that of the film's face in the regions of Only, and is not added to it; "
        "the head's place stays the film's",
    )  # fmt: skip


CLASSES = (MimaFaceTake, MimaFaceScene)


def register() -> None:
    for item in CLASSES:
        bpy.utils.register_class(item)
    bpy.types.Object.mimaface_consent = EnumProperty(  # type: ignore[attr-defined]  # of a rig, for it belongs to one portrait
        name="Consent",
        description="Whether the person in the photo agreed. Every frame says so in its content credentials",
        items=[
            ("not-stated", "Not Stated", "Frames say that nobody said whether the person agreed"),
            ("self", "It Is Me", "The person in the photo makes this"),
            ("given", "Given", "The person in the photo agreed"),
            ("not-needed", "Not Needed", "The photo shows no living person"),
        ],
    )
    bpy.types.Scene.mimaface = PointerProperty(type=MimaFaceScene)  # type: ignore[attr-defined]


def unregister() -> None:
    del bpy.types.Object.mimaface_consent  # type: ignore[attr-defined]
    del bpy.types.Scene.mimaface  # type: ignore[attr-defined]
    for item in reversed(CLASSES):
        bpy.utils.unregister_class(item)
