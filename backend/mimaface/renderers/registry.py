"""The renderers by their names in settings, command line and Blender."""

from __future__ import annotations

import hashlib

from mimaface import __version__
from mimaface.protocol.errors import InvalidInput

from .base import Renderer
from .generated import SHIPPED, Generated
from .released import Released
from .reprojected import Reprojected

RENDERERS: dict[str, Renderer] = {renderer.name: renderer for renderer in (Generated("demo", SHIPPED), Reprojected(), Released())}


def states() -> dict[str, str]:
    """Returns the state of every renderer by name: "" if it works on this machine, else the reason why not."""
    return {name: renderer.state() for name, renderer in RENDERERS.items()}


def usable(name: str) -> Renderer:
    """Returns the renderer ``name``. Raises :class:`InvalidInput` if there is none, or if it does not work on this machine."""
    if name not in RENDERERS:
        raise InvalidInput(f"engine {name!r} is unknown", f"use one of: {', '.join(RENDERERS)}")
    reason = RENDERERS[name].state()
    if reason:
        raise InvalidInput(f"engine {name} cannot be used: {reason}", "or choose another engine")
    return RENDERERS[name]


def build(name: str) -> str:
    """Returns a SHA-256 of what a renderer's frames depend on besides their inputs: version, weights and arithmetic."""
    return hashlib.sha256("\0".join([__version__, RENDERERS[name].build()]).encode()).hexdigest()
