"""Contents of requests and jobs: ids of portraits, motions, files of the user."""

from __future__ import annotations

import contextlib
import logging
import re
from collections.abc import Iterator

from mimaface.protocol.errors import InvalidInput, InvalidMotion, MimaFaceError
from mimaface.protocol.motion import MotionClip
from mimaface.protocol.people import apart, unpack_motions
from mimaface.shortage import shortage

log = logging.getLogger(__name__)


def parts_of(identity: str) -> tuple[str, int, str]:
    """Splits a portrait's id into the name of its picture, the number of the face, and the name of its references and points, or "".

    Raises :class:`InvalidInput`.
    """
    found = re.fullmatch("([^-]*)-([0-9]{1,3})(?:-([0-9a-f]{64}))?", identity)
    if not found:
        raise InvalidInput(f"portrait id {identity[:80]!r} is invalid", "load the portrait again")
    return found[1], int(found[2]), found[3] or ""


def picture_of(portrait: str) -> str:
    """Returns the name of the picture in a portrait's id; several people have the same one."""
    return parts_of(apart(portrait)[0])[0]


def motions_in(content: bytes, portrait: str, what: str) -> list[MotionClip]:
    """Returns the motion of each person in a portrait's id. Raises :class:`InvalidMotion`."""
    with readable(InvalidMotion, what):
        return [MotionClip.from_bytes(each, what) for each in unpack_motions(content, len(apart(portrait)), what)]


@contextlib.contextmanager
def readable(error: type[MimaFaceError], what: str) -> Iterator[None]:
    """Raises ``error`` instead of an unexpected exception while reading ``what``, a file of the user; shortages pass unchanged."""
    try:
        yield
    except MimaFaceError:
        raise
    except Exception as failure:
        if shortage(failure) is not None:
            raise
        log.warning("%s cannot be read", what, exc_info=failure)
        raise error(
            f"{what} cannot be read: it is damaged or of an unsupported kind ({type(failure).__name__})", "save it again"
        ) from failure
