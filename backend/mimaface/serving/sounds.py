"""Whether the file that a motion was read from has a sound, as replies report it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mimaface.drivers import sound_file
from mimaface.output.sound import has_sound
from mimaface.protocol.motion import MotionClip


def heard_in(path: Path, motion: MotionClip) -> dict[str, Any]:
    """Of a ``motion`` that was read from ``path``: whether it has a sound, and which, where that is not in the file itself."""
    sound = sound_file(path)
    heard = motion.meta.get("format") in ("video", "sound", "phones", "coefficients") and has_sound(sound)
    return {"sound": heard, "sound_path": str(sound)} if heard and sound != path else {"sound": heard}
