# SPDX-License-Identifier: GPL-3.0-or-later
"""Wrapped text in panels."""

from __future__ import annotations

from typing import Any

import blf
import bpy

NARROW = 240.0  # pixels, default width of a sidebar
BOX = 18.0  # pixels of a line that a box's frame takes
BUTTON = 22.0  # pixels, width of a button with an icon only
NAME_SHARE = 0.48  # of a line that the name before a property takes: enough for "Speech Model" in a sidebar as Blender opens it
MARGIN = 80.0  # pixels of a line that frame, scroll bar and icon take. Higher: lines break earlier


def lines_of(text: str, pixels: float) -> list[str]:
    """Returns ``text`` as lines of at most ``pixels`` in the interface's font; longer words are broken."""
    preferences = bpy.context.preferences
    blf.size(0, preferences.ui_styles[0].widget.points * preferences.system.ui_scale)

    def fits(part: str) -> bool:
        return blf.dimensions(0, part)[0] <= pixels

    lines, line = [], ""
    for word in text.split():
        if line and not fits(f"{line} {word}"):
            lines.append(line)
            line = ""
        line = f"{line} {word}".strip()
        while not fits(line) and len(line) > 1:
            length = next(length for length in range(len(line) - 1, 0, -1) if length == 1 or fits(line[:length]))
            lines.append(line[:length])
            line = line[length:]
    return [*lines, line]


def wrapped(layout: bpy.types.UILayout, text: str, icon: Any = "NONE", taken: float = 0.0) -> None:
    """Draw a wrapped sentence, which is translated already, in the current sidebar; ``taken``: pixels used beside it."""
    scale, region = bpy.context.preferences.system.ui_scale, bpy.context.region
    width = region.width if region is not None and region.width > 1 else NARROW * scale
    column = layout.column(align=True)
    for index, part in enumerate(lines_of(text, width - (MARGIN + taken) * scale)):
        column.label(text=part, translate=False, icon=icon if index == 0 else "BLANK1" if icon != "NONE" else "NONE")


def named(layout: bpy.types.UILayout, data: Any, name: str, text: str) -> None:
    """Draw a property beside its name, which Blender's own layout cuts off in a narrow sidebar."""
    row = layout.split(factor=NAME_SHARE, align=True)
    row.label(text=text)
    row.prop(data, name, text="")
