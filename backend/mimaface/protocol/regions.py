"""The regions of a face that a motion may be kept to, and which blendshapes move each."""

from __future__ import annotations

from .arkit import BLENDSHAPE_NAMES
from .errors import InvalidInput
from .texts import shown

# how the names of a region's blendshapes begin; beside them, "gaze" has the eyeballs and "head" its pose
REGIONS: dict[str, tuple[str, ...]] = {
    "lips": ("jaw", "mouth", "tongue"),
    "cheeks": ("cheek", "nose"),
    "lids": ("eyeBlink", "eyeSquint", "eyeWide"),
    "gaze": ("eyeLook",),
    "brows": ("brow",),
    "head": (),
}


def regions_of(only: str) -> tuple[str, ...]:
    """The regions that a text such as "lips,gaze" names; all of them for "". Raises :class:`InvalidInput`."""
    names = tuple(name.strip() for name in only.split(",")) if only else tuple(REGIONS)
    unknown = [name for name in names if name not in REGIONS]
    if unknown:
        raise InvalidInput(f"a face has no region {shown(unknown[0], 40)!r}", f"use some of: {', '.join(REGIONS)}")
    return names


def blendshapes_of(*regions: str) -> list[bool]:
    """Of each of the 52 blendshapes, whether it moves one of the ``regions``."""
    beginnings = tuple(beginning for region in regions for beginning in REGIONS[region])
    return [name.startswith(beginnings) for name in BLENDSHAPE_NAMES]
