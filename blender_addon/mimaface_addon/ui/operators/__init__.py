# SPDX-License-Identifier: GPL-3.0-or-later
"""The operators, one file per topic."""

from __future__ import annotations

from typing import Any

import bpy

from . import backend, capture, face, fit, gaze, motion, portrait, references, takes

CLASSES = (
    *backend.CLASSES, *portrait.CLASSES, *references.CLASSES, *fit.CLASSES, *face.CLASSES, *gaze.CLASSES, *motion.CLASSES, *capture.CLASSES,
    *takes.CLASSES,
)  # fmt: skip


def _menu(self: Any, context: Any) -> None:
    self.layout.operator(portrait.MIMAFACE_OT_load_portrait.bl_idname, text="Portrait Rig", icon="USER")


def register() -> None:
    for item in CLASSES:
        bpy.utils.register_class(item)
    bpy.types.VIEW3D_MT_add.append(_menu)  # type: ignore[arg-type]


def unregister() -> None:
    bpy.types.VIEW3D_MT_add.remove(_menu)  # type: ignore[arg-type]
    for item in reversed(CLASSES):
        bpy.utils.unregister_class(item)
