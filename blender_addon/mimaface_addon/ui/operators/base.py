# SPDX-License-Identifier: GPL-3.0-or-later
"""Base of all operators. None blocks: :meth:`Session.pump` handles replies later."""

from __future__ import annotations

import bpy

from ...core.words import rpt_
from ...protocol.errors import MimaFaceError
from ...scene import portraits, rig
from ...scene.settings import settings_of
from ...session import session


class Refused(Exception):
    """An error with a sentence for the user."""


class Operator(bpy.types.Operator):
    """Reports errors, and stores their sentence for the panels."""

    def work(self, context: bpy.types.Context) -> None:
        """Do the operator's work; every subclass implements it. Raises :class:`Refused`."""
        raise NotImplementedError

    def execute(self, context: bpy.types.Context) -> set[str]:
        try:
            session().last_error = session().notice = ""
            self.work(context)
        except (Refused, MimaFaceError) as error:
            return self.refuse(str(error))
        except OSError as error:
            sentence = rpt_("{path} cannot be used ({reason}): check that it may be read and written, then try again")
            return self.refuse(sentence.format(path=error.filename or rpt_("a file"), reason=error.strerror))
        return {"FINISHED"}

    def refuse(self, text: str) -> set[str]:
        session().fail(text)
        self.report({"ERROR"}, text)
        return {"CANCELLED"}


def current_rig(context: bpy.types.Context) -> bpy.types.Object:
    """Returns the current rig (:func:`portraits.current`), updated to the current version. Raises :class:`Refused`."""
    item, chosen = portraits.current(context), settings_of(context.scene).rig
    if item is None and chosen is not None and not rig.is_rig(chosen):
        raise Refused(rpt_("{name} is not a portrait rig: choose one in the Portrait panel, or add one").format(name=chosen.name))
    if item is None and any(rig.is_rig(other) for other in context.scene.objects):
        raise Refused(rpt_("several portrait rigs are in the scene: select one of them"))
    if item is None:
        raise Refused(rpt_("there is no portrait rig in the scene: add one first"))
    if not rig.bring_up_to_date(item):
        sentence = rpt_("{name} was made by an earlier version: open its own file, generate there once, save it, and reload it here")
        raise Refused(sentence.format(name=item.name))
    return item


def writable_rig(context: bpy.types.Context) -> bpy.types.Object:
    """Returns the current rig if keys on it are saved with this file. Raises :class:`Refused`."""
    item = current_rig(context)
    if item.library is not None:
        sentence = rpt_(
            "{name} is linked from {file}, so keys on it would be lost: "
            "make a library override of it first (Object > Library Override > Make)"
        )
        raise Refused(sentence.format(name=item.name, file=bpy.path.basename(item.library.filepath)))
    if item.override_library is not None and getattr(item.override_library, "is_system_override", False):
        sentence = rpt_(
            "{name} is an override that is not editable, so keys on it would be lost: "
            "make it editable in the Outliner (Library Override > Make > Selected)"
        )
        raise Refused(sentence.format(name=item.name))
    return item
