# SPDX-License-Identifier: GPL-3.0-or-later
"""Give a take to the backend, and give it again – with motion and photograph – to a backend that does not know it.

A .blend comes to another computer, a backend's folder is emptied: the add-on has what is needed and asks nobody.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from .core.activity import Activity
from .core.asking import Problem
from .core.delivery import MOTION, note, read_manifest
from .protocol.codec import Message
from .scene import photo
from .scene.takes import find_take, take_folder

if TYPE_CHECKING:
    from .session import Session

UNKNOWN = "unknown_job"  # the backend's word for a job or a portrait that it does not have, or whose file is damaged
LACKING = (UNKNOWN, "invalid_input")  # words with which a job ends whose portrait or motion is gone or damaged


def submit(runtime: Session, identity: str, folder: Path, heal: bool = True) -> None:
    """Submit a take whose folder holds its manifest and motion; receive it when the backend has accepted it."""
    manifest = read_manifest(folder) or {}
    try:
        motion = (folder / MOTION).read_bytes()
    except OSError:
        _failed(runtime, identity, "its motion is not in its folder: generate it again")
        return

    def done(message: Message) -> None:
        found = find_take(identity)
        note(folder if found is None else take_folder(found[1]), job=message.fields["job"])
        if found is None:
            return
        owner, mine = found
        mine.job = message.fields["job"]
        if mine.state == "cancelled":  # before the backend had named the job
            runtime.ask("job.cancel", {"job": mine.job}, [], lambda _: None, runtime.fail)
            return
        runtime.receive(owner, mine)

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
    """Go on with a take; one that the backend does not know is submitted anew, for the frames that are not on disk."""
    found = find_take(identity)
    if found is None:
        return
    take = found[1]
    folder = take_folder(take)
    can_submit = (folder / MOTION).is_file() and "settings" in (read_manifest(folder) or {})

    def done(message: Message) -> None:
        now = find_take(identity)
        if now is not None:
            runtime.receive(*now)

    def failed(text: Problem) -> None:
        if text.code == UNKNOWN and can_submit:
            submit(runtime, identity, folder)
        elif text.code == UNKNOWN:
            _failed(runtime, identity, "this backend does not know the take and its motion is gone: generate it again")
        else:
            _failed(runtime, identity, text, "interrupted")

    take.state, take.message = "waiting", ""
    runtime.under_way[identity] = 0.0
    if take.job:
        runtime.ask("job.resume", {"job": take.job}, [], done, failed)
    else:
        submit(runtime, identity, folder)


def send_again(runtime: Session, identity: str) -> None:
    """The backend lost something that a job of its own needs: give it the photograph and the motion again."""
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
    """Give the backend the photograph of ``portrait`` again; nothing is built in the scene."""
    content = photo.find(portrait)
    if content is None:
        sentence = f"this backend does not have the portrait and “{photo.name(portrait)}” is not the photo it was made from"
        failed(Problem(f"{sentence}: put that photo beside the .blend, or add the portrait again"))
        return
    activity = Activity("Fitting the head again to", photo.name(portrait))

    def done(message: Message) -> None:
        if message.fields["portrait"] == portrait:
            then()
        else:
            failed(Problem("this backend does not have the portrait's reference photos, and they are not what they were: add them again"))

    runtime.ask("portrait.fit", photo.given(portrait), [content], done, failed, activity)


def _failed(runtime: Session, identity: str, text: str, state: str = "") -> None:
    """A take that the backend refused has failed; one that could not be sent waits to be resumed."""
    code = getattr(text, "code", "")
    state = state or {"": "interrupted", UNKNOWN: "interrupted", "not_reachable": "interrupted", "cancelled": "cancelled"}.get(code, "failed")
    runtime.end(identity, state, text)
