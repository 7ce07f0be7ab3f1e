# SPDX-License-Identifier: GPL-3.0-or-later
"""Add-on preferences: which Python runs the backend."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import bpy
from bpy.app.translations import pgettext_iface as iface_

from .core.words import n_
from .protocol.connection import default_folder

PACKAGE = __package__  # the add-on's name in Blender
MARKER = "python.txt"  # contains the path of the backend's interpreter; written by ``run.py`` and by installers


class MimaFacePreferences(bpy.types.AddonPreferences):
    bl_idname = __package__

    python: bpy.props.StringProperty(
        name="Backend Python",
        description="The Python interpreter in which MIMAFace is installed. Empty: the one that the installer noted",
        subtype="FILE_PATH",
    )

    def draw(self, context: bpy.types.Context) -> None:
        self.layout.prop(self, "python")
        found = backend_python()
        text = n_("In use: {path}") if found else n_("No backend found: run “python3 run.py install” in MIMAFace's folder")
        self.layout.label(text=iface_(text).format(path=found), translate=False)


def backend_python() -> Path | None:
    """Returns the backend's interpreter: from the preference, MIMAFACE_PYTHON, the MARKER file, or a .venv beside the add-on's source."""
    addon: Any = bpy.context.preferences.addons.get(__package__)
    candidates = [addon.preferences.python if addon and addon.preferences else "", os.environ.get("MIMAFACE_PYTHON", "")]
    marker = default_folder() / MARKER
    if marker.is_file():
        candidates.append(marker.read_text(encoding="utf-8").strip())
    program = Path("Scripts/python.exe") if sys.platform == "win32" else Path("bin/python")
    candidates += [str(parent / ".venv" / program) for parent in Path(__file__).resolve().parents[:4]]
    for candidate in candidates:
        path = Path(bpy.path.abspath(candidate)) if candidate else None
        if path is not None and path.is_file():
            return path
    return None


def register() -> None:
    bpy.utils.register_class(MimaFacePreferences)


def unregister() -> None:
    bpy.utils.unregister_class(MimaFacePreferences)
