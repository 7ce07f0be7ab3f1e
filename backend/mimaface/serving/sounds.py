"""The fields of a reply about the sound of a motion's file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mimaface.drivers import sound_file
from mimaface.output.sound import has_sound
from mimaface.protocol.motion import MotionClip


def heard_in(path: Path, motion: MotionClip) -> dict[str, Any]:
    """Return {"sound": whether ``path``, from which ``motion`` was read, has a sound}, with "sound_path" if that is another file."""
    sound = sound_file(path)
    heard = motion.meta.get("format") in ("video", "sound", "phones", "coefficients") and has_sound(sound)
    return {"sound": heard, "sound_path": str(sound)} if heard and sound != path else {"sound": heard}
