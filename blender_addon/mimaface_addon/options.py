# SPDX-License-Identifier: GPL-3.0-or-later
"""How motion is imported: the same options in the Mocap panel, in the file browser and in the operator's redo panel."""

# annotations are evaluated: Blender reads the properties from them

from bpy.props import BoolProperty, EnumProperty, FloatProperty

FLIPS = (
    ("head_yaw", "Head Yaw", "Turns to the left become turns to the right"), ("head_pitch", "Head Pitch", "Up becomes down"),
    ("head_roll", "Head Roll", "Tilts to the left become tilts to the right"), ("gaze_yaw", "Gaze Yaw", "The eyes look to the other side"),
    ("gaze_pitch", "Gaze Pitch", "The eyes look up instead of down"),
)  # fmt: skip


class ImportOptions:
    """Mixed into the scene's settings, which keep what was used last, and into the import operator."""

    neutral: EnumProperty(
        name="Neutral",
        description="What imported motion is relative to",
        items=[
            ("auto", "Calmest Frame", "A frame with little expression, the head where it usually is"),
            ("rest", "Zero", "As recorded"),
        ],
    )
    gain: FloatProperty(name="Head Strength", description="Strength of imported head rotation", min=0, max=3, default=1)
    position: FloatProperty(
        name="Position Strength", description="Strength of imported head movement: 0 keeps the head in its place", min=0, max=3, default=1
    )
    smoothing: FloatProperty(name="Smoothing", description="Smooth imported motion", min=0, max=1, default=0.0)
    swap: BoolProperty(name="Swap Left/Right", description="Exchange left and right of imported motion")
    flip: EnumProperty(name="Flip", description="Channels that run the wrong way", items=FLIPS, options={"ENUM_FLAG"}, default=set())


NAMES = tuple(ImportOptions.__annotations__)


def draw(layout, data) -> None:
    """The options of ``data``, scene settings or operator, one under the other."""
    column = layout.column(align=True)
    column.label(text="Neutral")
    column.prop(data, "neutral", text="")
    for name in ("gain", "position", "smoothing"):
        column.prop(data, name, slider=True)
    column.prop(data, "swap")
    column.label(text="Flip")
    column.column(align=True).prop(data, "flip")
