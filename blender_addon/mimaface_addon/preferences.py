# SPDX-License-Identifier: GPL-3.0-or-later
"""Add-on preferences: the backend and which Python runs it."""

from __future__ import annotations

import bpy
from bpy.app.translations import pgettext_iface as iface_

from .interpreter import PACKAGE, backend_python
from .ui.panels import draw_setup


class MimaFacePreferences(bpy.types.AddonPreferences):
    bl_idname = PACKAGE

    python: bpy.props.StringProperty(
        name="Backend Python",
        description="The Python interpreter in which MIMAFace is installed. Empty: the one that was installed last",
        subtype="FILE_PATH",
    )

    def draw(self, context: bpy.types.Context) -> None:
        self.layout.prop(self, "python")
        if found := backend_python():
            self.layout.label(text=iface_("In use: {path}").format(path=found), translate=False)
        draw_setup(self.layout, context)


def register() -> None:
    bpy.utils.register_class(MimaFacePreferences)


def unregister() -> None:
    bpy.utils.unregister_class(MimaFacePreferences)
