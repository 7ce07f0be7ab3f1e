# SPDX-License-Identifier: GPL-3.0-or-later
"""Sentences in panels, in as many lines as they need."""

from __future__ import annotations

from typing import Any

import blf
import bpy

NARROW = 240.0  # pixels of a sidebar as Blender opens it
BOX = 18.0  # pixels of a line that the frame of a box takes
BUTTON = 22.0  # pixels of a button with a sign only
MARGIN = 80.0  # pixels of a line that frame, scroll bar and icon take; more breaks lines earlier


def lines_of(text: str, pixels: float) -> list[str]:
    """``text`` in lines that fit ``pixels`` in the interface's font; a word that is longer than a line is broken."""
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
    """A sentence over as many lines as it needs in the sidebar that is being drawn; ``taken``: pixels beside it."""
    scale, region = bpy.context.preferences.system.ui_scale, bpy.context.region
    width = region.width if region is not None and region.width > 1 else NARROW * scale
    column = layout.column(align=True)
    for index, part in enumerate(lines_of(text, width - (MARGIN + taken) * scale)):
        column.label(text=part, icon=icon if index == 0 else "BLANK1" if icon != "NONE" else "NONE")
