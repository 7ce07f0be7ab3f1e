"""Message schemas by kind. docs/PROTOCOL.md documents them; a test compares the two.

A request ``x`` is answered by ``x.reply`` or ``error`` with the same number. Events have number 0. Unknown fields are ignored, so
newer and older sides can communicate.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .errors import InvalidMessage

VERSION = 1  # of the protocol; docs/PROTOCOL.md
OLDEST_VERSION = 1  # oldest version that is still understood
CREDIT = 8  # frame events in flight to one client at most

NUMBER = (int, float)
Type = type | tuple[type, ...]


@dataclass(frozen=True)
class Schema:
    """required and optional fields by type; parts: number of raw parts."""

    required: dict[str, Type]
    optional: dict[str, Type]
    parts: int = 0


def _schema(parts: int = 0, optional: dict[str, Type] | None = None, **required: Type) -> Schema:
    return Schema(required, optional or {}, parts)


JOB_STATE: dict[str, Type] = {"job": str, "state": str, "frames": int, "done": int, "name": str}
JOB_EXTRA: dict[str, Type] = {"message": str, "hint": str, "code": str, "created": NUMBER}

SCHEMAS: dict[str, Schema] = {
    "hello": _schema(versions=list, name=str),
    "hello.reply": _schema(version=int, build=str, optional={"credit": int}),
    "capabilities": _schema(),
    "capabilities.reply": _schema(engines=list),
    "portrait.fit": _schema(parts=1, optional={"face": int, "references": list, "points": dict, "template": bool}),
    "portrait.fit.reply": _schema(
        parts=1, portrait=str, width=int, height=int, error=NUMBER, confidence=NUMBER, actions=list, angles=list, gaze=list,
        optional={"warnings": list, "references": int, "points": dict, "placed": list},
    ),
    "preview": _schema(parts=1, portrait=str, slot=str, generation=int, optional={"settings": dict, "frame": int}),
    "preview.reply": _schema(parts=1, generation=int, width=int, height=int),
    "track": _schema(path=str, optional={"options": dict, "portrait": str}),
    "track.reply": _schema(parts=1, frames=int, optional={"warnings": list, "sound": bool, "sound_path": str}),
    "film.open": _schema(path=str, optional={"face": int}),
    "film.open.reply": _schema(
        parts=1, film=str, frames=int, rate=NUMBER, portrait=str, width=int, height=int, error=NUMBER, confidence=NUMBER, actions=list,
        angles=list, gaze=list, optional={"warnings": list, "sound": bool, "points": dict},
    ),
    "speech": _schema(parts=1, optional={"options": dict, "portrait": str}),
    "speech.reply": _schema(parts=1, frames=int, optional={"warnings": list}),
    "stream.open": _schema(input=str),
    "stream.open.reply": _schema(name=str, port=int, optional={"where": str}),
    "stream.latest": _schema(optional={"known": int}),
    "stream.latest.reply": _schema(
        parts=1, number=int, tracking=bool, packets=int, rate=NUMBER, age=NUMBER, ignored=int, note=str, recorded=int,
        optional={"senders": list},
    ),
    "stream.choose": _schema(sender=str),
    "stream.choose.reply": _schema(),
    "stream.neutral": _schema(),
    "stream.neutral.reply": _schema(),
    "stream.record": _schema(),
    "stream.record.reply": _schema(),
    "stream.finish": _schema(),
    "stream.finish.reply": _schema(parts=1, frames=int, optional={"warnings": list}),
    "stream.close": _schema(),
    "stream.close.reply": _schema(),
    "job.submit": _schema(parts=1, portrait=str, settings=dict, optional={"name": str, "consent": str}),
    "job.submit.reply": Schema(JOB_STATE, JOB_EXTRA),
    "job.attach": _schema(job=str, from_frame=int, credit=int, optional={"credentials": bool}),
    "job.attach.reply": Schema(JOB_STATE, JOB_EXTRA),
    "job.resume": _schema(job=str),
    "job.resume.reply": Schema(JOB_STATE, JOB_EXTRA),
    "job.credit": _schema(job=str, frames=int),
    "job.status": _schema(job=str),
    "job.status.reply": Schema(JOB_STATE, JOB_EXTRA),
    "job.list": _schema(),
    "job.list.reply": _schema(jobs=list),
    "job.cancel": _schema(job=str),
    "job.cancel.reply": _schema(job=str, state=str),
    "request.cancel": _schema(request=int),
    "request.cancel.reply": _schema(request=int, state=str),
    "log.tail": _schema(optional={"lines": int}),
    "log.tail.reply": _schema(text=str),
    "shutdown": _schema(),
    "shutdown.reply": _schema(),
    "error": _schema(code=str, message=str, hint=str),
    "frame": _schema(parts=1, job=str, index=int, frames=int, sha256=str),
    "progress": _schema(subject=str, done=int, total=int, optional={"steps": int, "step_age": NUMBER, "stage": str}),
    "done": _schema(job=str),
    "failed": _schema(job=str, code=str, message=str, hint=str),
    "busy": _schema(request=int, subject=str, seconds=NUMBER),
}
REQUESTS = tuple(kind for kind in SCHEMAS if f"{kind}.reply" in SCHEMAS or kind == "job.credit")


def check_fields(kind: str, fields: dict[str, Any], parts: int) -> None:
    """Raises :class:`InvalidMessage` unless ``fields`` and the number of raw ``parts`` match the schema of ``kind``."""
    schema = SCHEMAS.get(kind)
    if schema is None:
        raise InvalidMessage(f"message kind {kind[:40]!r} is unknown")
    if parts != schema.parts:
        raise InvalidMessage(f"{kind}: {parts} raw parts, expected {schema.parts}")
    for name, wanted in schema.required.items():
        if name not in fields:
            raise InvalidMessage(f"{kind}: field {name!r} is missing")
        _check_type(kind, name, fields[name], wanted)
    for name, wanted in schema.optional.items():
        if name in fields:
            _check_type(kind, name, fields[name], wanted)


def _check_type(kind: str, name: str, value: Any, wanted: Type) -> None:
    types = wanted if isinstance(wanted, tuple) else (wanted,)
    if not isinstance(value, types) or (isinstance(value, bool) and bool not in types):
        names = " or ".join(item.__name__ for item in types)
        raise InvalidMessage(f"{kind}: field {name!r} must be {names}, not {type(value).__name__}")


def common_version(versions: list[Any]) -> int | None:
    """Returns the highest protocol version that both sides support, or None."""
    mine = range(OLDEST_VERSION, VERSION + 1)
    shared = [version for version in versions if type(version) is int and version in mine]
    return max(shared, default=None)
