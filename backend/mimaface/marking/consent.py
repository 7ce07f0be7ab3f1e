"""Consent of photographed persons: stored per photograph in the user's folder, stated in each frame."""

from __future__ import annotations

import json
from pathlib import Path

from mimaface.protocol.files import writable, write_whole

NOT_STATED = "not stated"
ANSWERS = {
    "self": "the person in the photograph made this",
    "given": "the person in the photograph agreed",
    "not-needed": "the photograph shows no living person",
}
NAME = "consent.json"  # in the user's folder: SHA-256 of the photograph → answer, or NOT_STATED after the question was shown


def consent_of(home: Path, photograph: str) -> str:
    """Returns the answer for a photograph by its file's SHA-256, or NOT_STATED."""
    return _stored(home).get(photograph, NOT_STATED)


def was_asked(home: Path, photograph: str) -> bool:
    """Returns whether the question about this photograph was shown before."""
    return photograph in _stored(home)


def keep_consent(home: Path, photograph: str, answer: str) -> None:
    """Stores an answer, one of ``ANSWERS`` or NOT_STATED. Raises :class:`NotWritable` and :class:`DiskFull`."""
    stored = _stored(home)
    if stored.get(photograph) == answer:
        return
    with writable(home / NAME, "choose another MIMAFACE_HOME"):
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_whole(home / NAME, json.dumps(stored | {photograph: answer}, indent=1).encode(), private=True)


def _stored(home: Path) -> dict[str, str]:
    try:
        values = json.loads((home / NAME).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    known = (*ANSWERS, NOT_STATED)
    return {name: answer for name, answer in values.items() if answer in known} if isinstance(values, dict) else {}
