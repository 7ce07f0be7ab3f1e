# SPDX-License-Identifier: GPL-3.0-or-later
"""Which Python runs the backend, and what a new one is installed with."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import bpy

from .core.installation import ENVIRONMENT, MARKER, PROGRAM
from .core.words import rpt_
from .protocol.connection import default_folder

PACKAGE = __package__  # the add-on's name in Blender
HERE = Path(__file__).resolve().parent
SOURCE = HERE / "source" if (HERE / "source").is_dir() else HERE.parents[1]  # of the backend: the extension's copy, or the clone


def backend_python() -> Path | None:
    """Returns the backend's interpreter: from the preference, MIMAFACE_PYTHON, the MARKER file, or a .venv beside the add-on's source."""
    addon: Any = bpy.context.preferences.addons.get(PACKAGE)
    candidates = [addon.preferences.python if addon and addon.preferences else "", os.environ.get("MIMAFACE_PYTHON", "")]
    marker = default_folder() / MARKER
    if marker.is_file():
        candidates.append(marker.read_text(encoding="utf-8").strip())
    candidates += [str(parent / ".venv" / PROGRAM) for parent in (HERE, *HERE.parents[:3])]
    for candidate in candidates:
        path = Path(bpy.path.abspath(candidate)) if candidate else None
        if path is not None and path.is_file():
            return path
    return None


def outdated(python: Path) -> bool:
    """Whether this interpreter's backend was installed by a Blender add-on of another build."""
    folder = default_folder() / ENVIRONMENT
    try:
        return python == folder / PROGRAM and (folder / ".complete").read_text() != (SOURCE / "BUILD").read_text()
    except OSError:
        return False


def own_python() -> Path:
    """Returns Blender's Python."""
    program = Path(sys.executable or "")
    if program.stem.startswith("python"):
        return program
    return next(iter(sorted(Path(sys.base_prefix).glob("bin/python3*"))), program)  # a Blender that names itself


def installed() -> str:
    """Let the preference name no interpreter, so that the one just installed is used; returns what to tell."""
    addon: Any = bpy.context.preferences.addons.get(PACKAGE)
    if addon and addon.preferences:
        addon.preferences.python = ""
    return rpt_("The backend is installed, and starts")
