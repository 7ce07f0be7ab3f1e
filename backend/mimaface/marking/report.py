"""Inspection of a picture or film: credentials, XMP and watermark, each read from the file alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mimaface.optional import optional
from mimaface.pictures import ENDINGS, open_picture
from mimaface.protocol.arrays import Array
from mimaface.protocol.errors import InvalidInput

from .consent import ANSWERS
from .credentials import Credentials, read_credentials
from .watermark import SMALL, Found, message_of, read_watermark
from .xmp import source_type_of

SAMPLED_FRAMES = 5  # frames of a film, evenly spaced. Raised: finds weaker watermarks, and is slower


@dataclass(frozen=True)
class Finding:
    """One result: its subject, whether it is present and valid, and its text."""

    what: str
    fine: bool
    words: str


def inspect(path: Path) -> Iterator[Finding]:
    """Yields the findings about a file. Raises :class:`InvalidInput` for neither picture nor film, and :class:`NotInstalled`."""
    if path.is_dir():
        raise InvalidInput(f"{path} is a folder", "name one of its pictures")
    if not path.is_file():
        raise InvalidInput(f"{path} is not there", "name a picture or a film")
    pictures = [open_picture(path)[0].image] if path.suffix.lower() in ENDINGS else _pictures_of_film(path)
    credentials = read_credentials(path)
    yield from _of_credentials(credentials)
    named = source_type_of(path)
    yield Finding("XMP", bool(named), named.rpartition("/")[2] or "missing: the file was made elsewhere, or saved anew since")
    yield _of_watermark(read_watermark(pictures), credentials, pictures[0].shape[:2])


def _of_credentials(found: Credentials | None) -> Iterator[Finding]:
    what = "content credentials"
    if found is None:
        yield Finding(what, False, "missing: the file was made without, or saved anew since")
        return
    yield Finding(what, not found.problems, "; ".join(found.problems) or "whole: nothing was changed since the file was signed")
    yield Finding("signed by", bool(found.signer), f"{found.signer or 'nobody'} (not checked against a trust list: you decide whether to trust it)")
    yield Finding("made as", bool(found.source_type), found.source_type.rpartition("/")[2] or "missing")
    statement = found.statement
    if not statement:
        yield Finding("made by", False, "another program: there is no statement of MIMAFace")
        return
    yield Finding("made by", True, f"MIMAFace {statement.get('version', '?')}, renderer {statement.get('renderer', '?')}")
    yield Finding("photograph", True, f"SHA-256 {statement.get('source_sha256', '?')}")
    consent = str(statement.get("consent", "?"))
    yield Finding("consent", consent in ANSWERS, ANSWERS.get(consent, f"{consent}: nobody said whether the person agreed"))


def _of_watermark(found: Found | None, credentials: Credentials | None, size: tuple[int, ...]) -> Finding:
    statement = credentials.statement if credentials is not None else {}
    if found is None:
        meant = statement.get("watermark") is False
        lost = "not found: there is none, or it was lost; a frame at rest, which is the photograph itself, has none"
        if max(size) < SMALL:
            lost = f"not found, as is usual in so small a picture ({size[1]} × {size[0]} pixels); from {SMALL} on it is found"
        return Finding("watermark", False, "none, as its credentials say (--no-watermark)" if meant else lost)
    words = f"found, of a photograph whose SHA-256 begins with {found.message:04x}"
    if found.size != 1:
        words += f"; the picture has {found.size:.2g} times the size it was made in"
    source = str(statement.get("source_sha256", ""))
    if source and message_of(source) != found.message:
        return Finding("watermark", False, f"{words}: not the one that the credentials name")
    return Finding("watermark", True, words)


def _pictures_of_film(path: Path) -> list[Array]:
    av = optional("av", "reading video needs PyAV", "video")
    found = []
    try:
        with av.open(str(path), options={"protocol_whitelist": "file"}) as container:
            stream = container.streams.video[0]
            for look in range(SAMPLED_FRAMES):
                if look and container.duration:
                    container.seek(container.duration * look // SAMPLED_FRAMES)
                picture = next(container.decode(stream), None)
                if picture is not None:
                    found.append(np.asarray(picture.to_ndarray(format="rgb24")))
    except (av.error.FFmpegError, IndexError, OSError) as error:
        why = getattr(error, "strerror", None) or error
        raise InvalidInput(f"{path.name}: not a readable picture or film ({why})", "name a picture or a film") from error
    if not found:
        raise InvalidInput(f"{path.name} holds no picture", "name a picture or a film")
    return found
