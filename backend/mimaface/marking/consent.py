"""Whether the person in a photograph agreed: said once for a photograph, kept beside the user's certificate, told by every frame."""

from __future__ import annotations

import json
from pathlib import Path

from mimaface.protocol.errors import NotWritable
from mimaface.protocol.files import write_whole

NOT_STATED = "not stated"
ANSWERS = {
    "self": "the person in the photograph made this",
    "given": "the person in the photograph agreed",
    "not-needed": "the photograph shows no living person",
}
NAME = "consent.json"  # in the user's folder: SHA-256 of the photograph → answer, or NOT_STATED once it was asked for


def consent_of(home: Path, photograph: str) -> str:
    """The answer for a photograph, by the SHA-256 of its file; NOT_STATED without one."""
    return _kept(home).get(photograph, NOT_STATED)


def was_asked(home: Path, photograph: str) -> bool:
    """Whether somebody was asked about this photograph before."""
    return photograph in _kept(home)


def keep_consent(home: Path, photograph: str, answer: str) -> None:
    """Keep an answer, one of ``ANSWERS`` or NOT_STATED. Raises :class:`NotWritable`."""
    kept = _kept(home)
    if kept.get(photograph) == answer:
        return
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_whole(home / NAME, json.dumps(kept | {photograph: answer}, indent=1).encode(), private=True)
    except OSError as error:
        raise NotWritable(f"cannot write {home / NAME}: {error.strerror}", "choose another MIMAFACE_HOME") from error


def _kept(home: Path) -> dict[str, str]:
    try:
        values = json.loads((home / NAME).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    known = (*ANSWERS, NOT_STATED)
    return {name: answer for name, answer in values.items() if answer in known} if isinstance(values, dict) else {}
