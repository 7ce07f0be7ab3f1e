# SPDX-License-Identifier: GPL-3.0-or-later
"""Options of importing motion, which the Mocap panel, the file browser and the operator's redo panel share."""

# annotations are evaluated: Blender reads the properties from them

from typing import Any

import bpy
from bpy.props import BoolProperty, EnumProperty, FloatProperty, StringProperty

from ..core.words import n_
from .texts import named

FLIPS = (
    ("head_yaw", "Head Yaw", "Turns to the left become turns to the right"), ("head_pitch", "Head Pitch", "Up becomes down"),
    ("head_roll", "Head Roll", "Tilts to the left become tilts to the right"), ("gaze_yaw", "Gaze Yaw", "The eyes look to the other side"),
    ("gaze_pitch", "Gaze Pitch", "The eyes look up instead of down"), ("jawLeft", "Jaw Sideways", "The jaw's two sides are exchanged"),
    ("mouthLeft", "Mouth Sideways", "The mouth's two sides are exchanged"),
)  # fmt: skip


class ImportOptions:
    """Properties of the import operator, and of the scene's settings, which store the last used values."""

    neutral: EnumProperty(
        name="Neutral",
        description="What imported motion is relative to",
        items=[
            ("auto", "Automatic", "The frame that looks like the photograph; without one, a calm one with the head where it usually is"),
            ("rest", "Zero", "As recorded, added to the photograph's own pose and expression"),
            ("none", "None (Absolute)", "As recorded, in place of the photograph's own pose and expression"),
        ],
    )
    gain: FloatProperty(name="Head Strength", description="Strength of the imported head motion; 0 keeps the head still", min=0, max=3, default=1)
    position: FloatProperty(
        name="Position Strength", description="Strength of the head's change of place, on top of Head Strength; 0 keeps the head in its place",
        min=0, max=3, default=1,
    )  # fmt: skip
    smoothing: FloatProperty(name="Smoothing", description="Smooth imported motion", min=0, max=1, default=0.0)
    swap: BoolProperty(name="Swap Left/Right", description="Exchange left and right of imported motion")
    flip: EnumProperty(name="Flip", description="Channels that run the wrong way", items=FLIPS, options={"ENUM_FLAG"}, default=set())
    exchange: StringProperty(
        name="Exchange", description="Channels that were written into each other's place, such as head_yaw=head_roll; separate pairs by spaces"
    )
    timecode_rate: FloatProperty(
        name="Timecode Rate", description="Frames per second that the time column of a take counts; 0: as detected in the file",
        min=0, max=1000, default=0,
    )  # fmt: skip
    angles: EnumProperty(
        name="Angles",
        description="Unit of a take's head and eye angles",
        items=[("auto", "Automatic", "As detected from the numbers"), ("degrees", "Degrees", ""), ("radians", "Radians", "")],
    )
    values: EnumProperty(
        name="Values",
        description="Unit of a take's expression values",
        items=[("auto", "Automatic", "As detected from the numbers"), ("percent", "Percent", "0 to 100"), ("shares", "Shares", "0 to 1")],
    )

    sound: BoolProperty(name="Sound of Video", description="Drive the mouth by the sound of a video, and not by the face in it")
    language: EnumProperty(
        name="Language",
        description="How speech is recognised; import a TextGrid or Rhubarb's JSON for exact lips in other languages",
        items=[
            ("en", "English", "By its phones, which are exact with the words in a .txt of the same name beside the sound"),
            ("other", "Other", "By the sound of vowels and hisses, in any language"),
        ],
    )
    speech_model: StringProperty(
        name="Speech Model",
        description="A network that predicts the face from the sound, in place of phones: "
        "SadTalker's folder of checkpoints, or the .onnx of LAM-A2E or Audio2Face-3D",
        subtype="FILE_PATH",
    )
    accents: FloatProperty(name="Accents", description="Strength of blinks, brows and nods while speaking", min=0, max=2, default=1)
    delay: FloatProperty(
        name="Delay", description="Seconds by which the mouth is later than the sound", min=-10, max=10, default=0, subtype="TIME_ABSOLUTE"
    )


NAMES = tuple(ImportOptions.__annotations__)


def draw(layout: bpy.types.UILayout, data: Any) -> None:
    """Draw the options of ``data``, scene settings or operator."""
    column = layout.column(align=True)
    column.label(text="Neutral")
    column.prop(data, "neutral", text="")
    for name in ("gain", "position", "smoothing"):
        column.prop(data, name, slider=True)
    column.prop(data, "swap")
    column.label(text="Flip")
    column.column(align=True).prop(data, "flip")
    column.label(text="Exchange")
    column.prop(data, "exchange", text="")
    column.label(text="Takes (CSV)")
    column.prop(data, "timecode_rate")
    named(column, data, "angles", "Angles")
    named(column, data, "values", "Values")
    column.label(text="Speech")
    column.prop(data, "sound")
    named(column, data, "language", "Language")
    named(column, data, "speech_model", n_("Speech Model"))
    column.prop(data, "accents")
    column.prop(data, "delay")


def to_wire(data: Any) -> dict[str, Any]:
    """Returns the options of the request ``track`` from the operator or the scene's settings."""
    return {
        "neutral": "" if data.neutral == "none" else data.neutral, "absolute": data.neutral == "none",
        "gains": {"head": data.gain, "position": data.position}, "smoothing": data.smoothing, "swap": data.swap,
        "flip": sorted(data.flip), "exchange": data.exchange.split(), "timecode_rate": data.timecode_rate,
        "angles": "" if data.angles == "auto" else data.angles, "values": "" if data.values == "auto" else data.values, "sound": data.sound,
        "language": data.language, "speech_model": bpy.path.abspath(data.speech_model), "accents": data.accents, "delay": data.delay,
    }  # fmt: skip
