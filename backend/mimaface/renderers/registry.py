"""The renderers by the names that settings, command line and Blender give them."""

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
    """Every renderer by name, with "" when it works here, else the reason why not."""
    return {name: renderer.state() for name, renderer in RENDERERS.items()}


def usable(name: str) -> Renderer:
    """The renderer of that name. Raises :class:`InvalidInput` if there is none, or if it does not work here."""
    if name not in RENDERERS:
        raise InvalidInput(f"engine {name!r} is unknown", f"use one of: {', '.join(RENDERERS)}")
    reason = RENDERERS[name].state()
    if reason:
        raise InvalidInput(f"engine {name} cannot be used: {reason}", "or choose another engine")
    return RENDERERS[name]


def build(name: str) -> str:
    """What the frames of a renderer depend on beside their inputs, as a SHA-256: the version, its weights, its arithmetic."""
    return hashlib.sha256("\0".join([__version__, RENDERERS[name].build()]).encode()).hexdigest()
