# SPDX-License-Identifier: GPL-3.0-or-later
"""Submits takes to the backend, and submits them again, with motion and photograph, to a backend that lacks them.

That happens when a .blend is opened on another computer or a backend's folder was emptied.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from .core.activity import Activity
from .core.asking import Problem
from .core.delivery import MOTION, note, read_manifest
from .core.words import n_, rpt_
from .protocol.codec import Message
from .protocol.people import apart, together
from .scene import film, photo
from .scene.takes import find_take, take_folder, takes_of_job

if TYPE_CHECKING:
    from .session import Session

UNKNOWN = "unknown_job"  # error code of a missing or damaged job or portrait
LACKING = (UNKNOWN, "invalid_input")  # error codes of a job whose portrait or motion is missing or damaged


def submit(runtime: Session, identity: str, folder: Path, heal: bool = True) -> None:
    """Submit a take whose folder contains its manifest and motion, then receive its frames. ``heal``: send a missing photograph once."""
    manifest = read_manifest(folder) or {}
    try:
        motion = (folder / MOTION).read_bytes()
    except OSError:
        _failed(runtime, identity, rpt_("its motion is not in its folder: generate it again"))
        return

    def done(message: Message) -> None:
        found = find_take(identity)
        note(folder if found is None else take_folder(found[1]), job=message.fields["job"])
        if found is None:
            if identity in runtime.removed and not takes_of_job(message.fields["job"]):  # before the backend replied
                runtime.ask("job.cancel", {"job": message.fields["job"]}, [], lambda _: None, runtime.fail)
            return
        mine = found[1]
        mine.job = message.fields["job"]
        if mine.state == "cancelled":  # cancelled before the backend replied
            runtime.ask("job.cancel", {"job": mine.job}, [], lambda _: None, runtime.fail)
            return
        runtime.receive(mine)

    def failed(text: Problem) -> None:
        if heal and text.code == UNKNOWN:
            send_photo(runtime, manifest["portrait"], lambda: submit(runtime, identity, folder, heal=False), report)
        else:
            report(text)

    def report(text: str) -> None:
        _failed(runtime, identity, text)

    fields = {"portrait": manifest["portrait"], "name": manifest["name"], "settings": manifest["settings"], "consent": manifest.get("consent", "")}
    runtime.ask("job.submit", fields, [motion], done, failed)


def resume(runtime: Session, identity: str) -> None:
    """Continue a take; one that the backend lacks is submitted again, for the frames that are not on disk."""
    found = find_take(identity)
    if found is None:
        return
    take = found[1]
    folder = take_folder(take)
    can_submit = (folder / MOTION).is_file() and "settings" in (read_manifest(folder) or {})

    def done(message: Message) -> None:
        now = find_take(identity)
        if now is not None:
            runtime.receive(now[1])

    def failed(text: Problem) -> None:
        if text.code == UNKNOWN and can_submit:
            submit(runtime, identity, folder)
        elif text.code == UNKNOWN:
            _failed(runtime, identity, rpt_("the backend does not have this take, and its motion file is missing: generate it again"))
        else:
            _failed(runtime, identity, text, "interrupted")

    take.state, take.message = "waiting", ""
    runtime.under_way[identity] = 0.0
    if take.job:
        runtime.ask("job.resume", {"job": take.job}, [], done, failed)
    else:
        submit(runtime, identity, folder)


def send_again(runtime: Session, identity: str) -> None:
    """Send photograph and motion of a take again, after the backend has lost one of them."""
    found = find_take(identity)
    folder = take_folder(found[1])
    portrait = (read_manifest(folder) or {}).get("portrait", "")

    def sent() -> None:
        if (folder / MOTION).is_file():
            submit(runtime, identity, folder, heal=False)
        else:
            resume(runtime, identity)

    send_photo(runtime, portrait, sent, lambda text: _failed(runtime, identity, text))


def send_photo(runtime: Session, portrait: str, then: Callable[[], None], failed: Callable[[Problem], None]) -> None:
    """Send the photograph or film of ``portrait`` again, one after the other for several people, without changing the scene."""
    portrait, *others = apart(portrait)
    shot = film.named(portrait)
    if shot is not None:
        _open_film(runtime, shot, then, failed)
        return
    content = photo.find(portrait)
    if content is None:
        sentence = rpt_(
            "this backend does not have the portrait and “{name}” is not the photo it was made from: "
            "put that photo beside the .blend, or add the portrait again"
        )
        failed(Problem(sentence.format(name=photo.name(portrait))))
        return
    activity = Activity(n_("Fitting the head again to {name}"), photo.name(portrait))

    def done(message: Message) -> None:
        if message.fields["portrait"] == portrait and others:
            send_photo(runtime, together(others), then, failed)
        elif message.fields["portrait"] == portrait:
            then()
        else:
            failed(Problem(rpt_("this backend does not have the portrait's reference photos, and their files have changed: add them again")))

    runtime.ask("portrait.fit", photo.given(portrait), [content], done, failed, activity)


def _open_film(runtime: Session, shot: film.Film, then: Callable[[], None], failed: Callable[[Problem], None]) -> None:
    """Let the backend follow a film again that it does not know, or not here."""
    path = film.find(shot)
    if path is None:
        sentence = rpt_("the film {path} is not there any more: put it back, or beside the .blend, then resume the take")
        failed(Problem(sentence.format(path=shot.path)))
        return

    def done(message: Message) -> None:
        if message.fields["film"] == shot.identity:
            then()
        else:
            sentence = rpt_("{name} is not the film that the rig was made for: put that one back, or add the portrait rig again")
            failed(Problem(sentence.format(name=path.name)))

    runtime.ask("film.open", {"path": str(path), "face": shot.face}, [], done, failed, Activity(n_("Reading {name}"), path.name, str(path)))


def _failed(runtime: Session, identity: str, text: str, state: str = "") -> None:
    """End a take: "failed" if the backend refused it, "interrupted" if it could not be sent and can be resumed."""
    code = getattr(text, "code", "")
    state = state or {"": "interrupted", UNKNOWN: "interrupted", "not_reachable": "interrupted", "cancelled": "cancelled"}.get(code, "failed")
    runtime.end(identity, state, text)
