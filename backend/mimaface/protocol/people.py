"""Several people of one picture in one job or preview: their portraits' ids as one text, their motions as one part."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterable

from .errors import InvalidMotion

JOINT = "+"  # between the ids of portraits
MEMBER = "{}.motion.npz"  # of the archive of several motions, counted from 0


def together(portraits: Iterable[str]) -> str:
    """Returns the ids of portraits as one; :func:`apart` undoes it."""
    return JOINT.join(portraits)


def apart(portrait: str) -> list[str]:
    """Returns the ids of the people that a portrait's id names, of which one is usual."""
    return portrait.split(JOINT)


def pack_motions(motions: list[bytes]) -> bytes:
    """Returns the contents of ``.motion.npz`` files as one part: that of one person as it is, those of several in a zip. Deterministic."""
    if len(motions) == 1:
        return motions[0]
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        for number, content in enumerate(motions):
            archive.writestr(zipfile.ZipInfo(MEMBER.format(number), (1980, 1, 1, 0, 0, 0)), content)
    return out.getvalue()


def unpack_motions(content: bytes, people: int, name: str) -> list[bytes]:
    """Returns the motions of so many people; undoes :func:`pack_motions`. Raises :class:`InvalidMotion` that contains ``name``."""
    if people == 1:
        return [content]
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            members = {item.filename: item for item in archive.infolist() if item.compress_type == zipfile.ZIP_STORED}
            if sorted(members) == sorted(MEMBER.format(number) for number in range(people)):
                return [archive.read(members[MEMBER.format(number)]) for number in range(people)]
    except Exception as error:  # zip raises many kinds of errors on damaged bytes
        raise InvalidMotion(f"{name}: the motions of {people} people cannot be read", "generate it again") from error
    raise InvalidMotion(f"{name}: it does not have one motion for each of {people} people", "give a motion for each person")
