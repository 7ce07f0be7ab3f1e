# SPDX-License-Identifier: GPL-3.0-or-later
"""What all operators share. Nothing waits: answers are handled when :meth:`Session.pump` brings them."""

from __future__ import annotations

import bpy

from ..protocol.errors import MimaFaceError
from ..session import session


class Refused(Exception):
    """A sentence for the user."""


class Operator(bpy.types.Operator):
    """Turns mistakes into a report and keeps the sentence for the panels."""

    def work(self, context: bpy.types.Context) -> None:
        raise Refused(f"{self.bl_label}: nothing to do")

    def execute(self, context: bpy.types.Context) -> set[str]:
        try:
            session().last_error = ""
            self.work(context)
        except (Refused, MimaFaceError) as error:
            return self.refuse(str(error))
        except OSError as error:
            return self.refuse(f"{error.filename or 'a file'}: {error.strerror}")
        return {"FINISHED"}

    def refuse(self, text: str) -> set[str]:
        session().fail(text)
        self.report({"ERROR"}, text)
        return {"CANCELLED"}


def current_rig(context: bpy.types.Context) -> bpy.types.Object:
    """The selected portrait rig, else the scene's."""
    if context.object is not None and context.object.get("mimaface"):
        return context.object
    if context.scene.mimaface.rig is None:
        raise Refused("there is no portrait rig in the scene: add one first")
    return context.scene.mimaface.rig
