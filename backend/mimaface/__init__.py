"""MIMAFace Animator: one portrait photo, animated by rig controls, mocap or video.

The public surface is what ``__all__`` lists; a name is imported when it is first used, so that ``import mimaface`` loads nothing else::

    for frame in mimaface.animate(mimaface.Portrait.open("portrait.jpg"), mimaface.open_motion("take.csv")):
        frame.index, frame.image  # RGB (H, W, 3) uint8
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

# How long idle threads of torch keep a core from others in the hope of more work, with GCC's OpenMP and with Intel's; read when torch is
# loaded. Longer: up to 30 % less time a network on an idle machine, up to twelve times more beside a busy Blender. Same bytes.
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ.setdefault("GOMP_SPINCOUNT", "0")  # rounds
    os.environ.setdefault("KMP_BLOCKTIME", "0")  # milliseconds

if TYPE_CHECKING:
    from .animation import animate
    from .drivers import open_motion
    from .drivers.film import Film
    from .face.portrait import Portrait
    from .protocol import errors
    from .protocol.motion import MotionClip
    from .protocol.settings import RenderSettings

__version__ = "0.1.0"
__all__ = ["Film", "MotionClip", "Portrait", "RenderSettings", "animate", "errors", "open_motion"]

_MODULES = {
    "Film": "mimaface.drivers.film",
    "MotionClip": "mimaface.protocol.motion",
    "Portrait": "mimaface.face.portrait",
    "RenderSettings": "mimaface.protocol.settings",
    "animate": "mimaface.animation",
    "open_motion": "mimaface.drivers",
}


def __getattr__(name: str) -> Any:
    if name == "errors":
        return import_module("mimaface.protocol.errors")
    if name not in _MODULES:
        raise AttributeError(f"module 'mimaface' has no attribute {name!r}")
    return getattr(import_module(_MODULES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
