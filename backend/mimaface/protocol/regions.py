"""Regions of a face to which a motion may be restricted, and their blendshapes."""

from __future__ import annotations

from .arkit import BLENDSHAPE_NAMES
from .errors import InvalidInput
from .texts import shown

# prefixes of each region's blendshapes; further regions are "gaze", the eyeballs, and "head", its pose
REGIONS: dict[str, tuple[str, ...]] = {
    "lips": ("jaw", "mouth", "tongue"),
    "cheeks": ("cheek", "nose"),
    "lids": ("eyeBlink", "eyeSquint", "eyeWide"),
    "gaze": ("eyeLook",),
    "brows": ("brow",),
    "head": (),
}


def regions_of(only: str) -> tuple[str, ...]:
    """Returns the regions in a text such as "lips,gaze"; all for "". Raises :class:`InvalidInput`."""
    names = tuple(name.strip() for name in only.split(",")) if only else tuple(REGIONS)
    unknown = [name for name in names if name not in REGIONS]
    if unknown:
        raise InvalidInput(f"a face has no region {shown(unknown[0], 40)!r}", f"use some of: {', '.join(REGIONS)}")
    return names


def blendshapes_of(*regions: str) -> list[bool]:
    """Returns for each of the 52 blendshapes whether it belongs to one of the ``regions``."""
    beginnings = tuple(beginning for region in regions for beginning in REGIONS[region])
    return [name.startswith(beginnings) for name in BLENDSHAPE_NAMES]
