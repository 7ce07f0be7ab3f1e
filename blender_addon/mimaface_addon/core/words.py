# SPDX-License-Identifier: GPL-3.0-or-later
"""Sentences in the language of Blender's interface. No bpy here: the add-on passes Blender's translation to :func:`use`.

A sentence is a constant with ``{named}`` places, translated first and filled afterwards:
``rpt_("{name} has no frame yet: resume it").format(name=take.name)``. Blender's own tools find sentences by the names of these functions.
"""

from __future__ import annotations

from collections.abc import Callable

_translate: Callable[[str], str] = str


def use(translate: Callable[[str], str]) -> None:
    """Let :func:`rpt_` translate by ``translate``, which returns a text that it does not know as it is."""
    global _translate
    _translate = translate


def rpt_(sentence: str) -> str:
    """Returns a result, warning or error in the interface's language. Only for the main thread."""
    return _translate(sentence)


def n_(sentence: str) -> str:
    """Returns the sentence as it is: marks one in a table that is translated where it is shown."""
    return sentence
