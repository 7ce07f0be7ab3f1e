"""The 52 ARKit face blendshapes: names, order (vendors' differ, so bind by name), mirror partners and regions."""

from __future__ import annotations

from .errors import InvalidInput
from .texts import shown

BLENDSHAPE_NAMES: tuple[str, ...] = (
    "eyeBlinkLeft", "eyeLookDownLeft", "eyeLookInLeft", "eyeLookOutLeft", "eyeLookUpLeft", "eyeSquintLeft",
    "eyeWideLeft", "eyeBlinkRight", "eyeLookDownRight", "eyeLookInRight", "eyeLookOutRight", "eyeLookUpRight",
    "eyeSquintRight", "eyeWideRight", "jawForward", "jawLeft", "jawRight", "jawOpen", "mouthClose", "mouthFunnel",
    "mouthPucker", "mouthLeft", "mouthRight", "mouthSmileLeft", "mouthSmileRight", "mouthFrownLeft",
    "mouthFrownRight", "mouthDimpleLeft", "mouthDimpleRight", "mouthStretchLeft", "mouthStretchRight",
    "mouthRollLower", "mouthRollUpper", "mouthShrugLower", "mouthShrugUpper", "mouthPressLeft", "mouthPressRight",
    "mouthLowerDownLeft", "mouthLowerDownRight", "mouthUpperUpLeft", "mouthUpperUpRight", "browDownLeft",
    "browDownRight", "browInnerUp", "browOuterUpLeft", "browOuterUpRight", "cheekPuff", "cheekSquintLeft",
    "cheekSquintRight", "noseSneerLeft", "noseSneerRight", "tongueOut",
)  # fmt: skip

BLENDSHAPE_INDEX: dict[str, int] = {name: index for index, name in enumerate(BLENDSHAPE_NAMES)}

ACTION_NAMES, ACTION_INDEX = BLENDSHAPE_NAMES, BLENDSHAPE_INDEX  # names before schema 2 of motion files, for users' scripts


def mirror_name(name: str) -> str:
    """Returns the mirrored blendshape: ``jawLeft`` → ``jawRight``; names without a side map to themselves."""
    if name.endswith("Left"):
        return name[: -len("Left")] + "Right"
    if name.endswith("Right"):
        return name[: -len("Right")] + "Left"
    return name


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
