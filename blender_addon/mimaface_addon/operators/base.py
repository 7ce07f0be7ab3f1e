# SPDX-License-Identifier: GPL-3.0-or-later
"""What all operators share. Nothing waits: answers are handled when :meth:`Session.pump` brings them."""

from __future__ import annotations

import bpy

from .. import portraits, rig
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
            session().last_error = session().notice = ""
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
    """The portrait rig that is meant, as :func:`portraits.current` says, at today's version. Raises :class:`Refused`."""
    item, chosen = portraits.current(context), context.scene.mimaface.rig
    if item is None and chosen is not None and not rig.is_rig(chosen):
        raise Refused(f"{chosen.name} is not a portrait rig: choose one in the Portrait panel, or add one")
    if item is None and any(rig.is_rig(other) for other in context.scene.objects):
        raise Refused("several portrait rigs are in the scene: select one of them")
    if item is None:
        raise Refused("there is no portrait rig in the scene: add one first")
    if not rig.bring_up_to_date(item):
        raise Refused(f"{item.name} was made by an earlier version: open its own file, generate there once, save it, and reload it here")
    return item
