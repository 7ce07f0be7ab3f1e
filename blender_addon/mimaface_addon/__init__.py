# SPDX-License-Identifier: GPL-3.0-or-later
"""MIMAFace Animator: animate a portrait photo with a rig, mocap or video, and get image strips back."""

from __future__ import annotations


def register() -> None:
    from . import handlers, preferences
    from .core import words
    from .scene import compat, parts
    from .ui import capture, live, live_editors, live_view, operators, panels, properties

    words.use(compat.translation())
    for module in (preferences, properties, operators, panels, parts, handlers, capture, live, live_view, live_editors):
        module.register()


def unregister() -> None:
    from . import handlers, preferences
    from .scene import parts
    from .ui import capture, live, live_editors, live_view, operators, panels, properties

    for module in (live_editors, live_view, live, capture, handlers, parts, panels, operators, properties, preferences):
        module.unregister()
