"""Sends frames and progress to the clients that are attached to jobs, as their credit allows.

The store contains unsigned frames, so that equal jobs have equal bytes. Content credentials, which differ each time, are added here, on a
separate thread, for clients that ask for them.
"""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from mimaface.marking.marker import Marker
from mimaface.protocol.codec import Message
from mimaface.protocol.errors import MimaFaceError, OutOfResources, UnknownJob
from mimaface.protocol.messages import CREDIT

from .contents import picture_of
from .jobs import Job
from .outbox import Outbox
from .renders import Renders
from .scheduler import Scheduler
from .store import Store

log = logging.getLogger(__name__)
PROGRESS_EVERY = 0.25  # seconds
FINISHED = ("done", "failed", "cancelled", "paused")
MOST_ATTACHED = 1024  # jobs of one client. Higher: the socket's thread, which reads each from the database at every turn, gets slower


@dataclass
class Attachment:
    """A client that receives the frames of a job. next: index of the next frame; credit: frames that may be sent now; sign: whether frames
    get content credentials; signed: the next frame while it is being signed; marker: created by the signing thread with the first frame;
    reported: the message of its last event about a paused job."""

    next: int
    credit: int
    sign: bool
    signed: Future[bytes] | None = None
    marker: Marker | None = None
    reported: str = ""


class Delivery:
    """The attached clients. Only the socket's thread may use it."""

    def __init__(
        self, store: Store, renders: Renders, outbox: Outbox, scheduler: Scheduler, later: Callable[[Callable[[], object]], None]
    ) -> None:
        """``later``: calls a function on the socket's thread, which then looks for frames to send."""
        self._store, self._renders, self._outbox, self._scheduler, self._later = store, renders, outbox, scheduler, later
        self._signing = ThreadPoolExecutor(1, "signing")
        self._attached: dict[tuple[bytes, str], Attachment] = {}
        self._progress_sent = 0.0

    def attach(self, identity: bytes, job: str, start: int, credit: int, sign: bool) -> None:
        mine = [key for key in self._attached if key[0] == identity and key[1] != job]
        for key in mine[: -MOST_ATTACHED + 1]:
            del self._attached[key]
        self._attached[identity, job] = Attachment(start, min(max(credit, 0), CREDIT), sign)

    def close(self) -> None:
        self._signing.shutdown()

    def grant(self, identity: bytes, job: str, frames: int) -> None:
        attachment = self._attached.get((identity, job))
        if attachment is not None:
            attachment.credit = min(attachment.credit + max(frames, 0), CREDIT)

    def forget(self, identity: bytes) -> None:
        for key in [key for key in self._attached if key[0] == identity]:
            del self._attached[key]

    def deliver(self) -> None:
        """Send finished frames as credit allows, then the event about the job's end."""
        for (identity, name), attachment in list(self._attached.items()):
            if (identity, name) not in self._attached:  # the client has left in the meantime
                continue
            try:
                ended = self._frames(identity, name, attachment)
            except UnknownJob:
                ended = True
            except OutOfResources:  # the frame cannot be read now: try again at the next turn
                ended = False
                self._report_pause(identity, self._store.job(name), attachment)
            if ended:
                self._attached.pop((identity, name), None)

    def _frames(self, identity: bytes, name: str, attachment: Attachment) -> bool:
        """Send what can be sent; True once the end of the job has been sent. A job that waits for resources has not ended."""
        job = self._store.job(name)
        while attachment.credit > 0 and attachment.next < job.done:
            found = self._frame(identity, job, attachment)
            if found is None:
                return False
            content, digest = found
            fields = {"job": name, "index": attachment.next, "frames": job.frames, "sha256": digest}
            if not self._outbox.event(identity, Message("frame", fields, (content,))):
                return False
            attachment.signed = None
            attachment.next += 1
            attachment.credit -= 1
        ended = job.state in FINISHED and name not in self._renders
        if not ended or (attachment.next < job.done and job.state != "cancelled"):
            return False
        if job.waits_for_room:
            self._report_pause(identity, job, attachment)
            return False
        event = Message("done", {"job": name}) if job.state == "done" else failure(job)
        return self._outbox.event(identity, event)

    def _frame(self, identity: bytes, job: Job, attachment: Attachment) -> tuple[bytes, str] | None:
        """Returns the next frame to send and its SHA-256; None while it is being signed, and where it is damaged: it is rendered again."""
        if attachment.signed is None:
            found = self._store.frame(job.id, attachment.next)
            if found is None:
                self._renders.start(identity, self._store.job(job.id))
            if found is None or not attachment.sign:
                return found
            attachment.signed = self._signing.submit(signed, attachment, job, self._store.root, found[0])
            attachment.signed.add_done_callback(lambda _: self._later(lambda: None))
        if not attachment.signed.done():
            return None
        content = attachment.signed.result()
        return content, hashlib.sha256(content).hexdigest()

    def _report_pause(self, identity: bytes, job: Job, attachment: Attachment) -> None:
        """Send each new message of a paused job once. The client stays attached, because the job continues by itself."""
        if job.waits_for_room and job.message != attachment.reported and self._outbox.event(identity, failure(job)):
            attachment.reported = job.message

    def send_progress(self) -> None:
        now = time.monotonic()
        if now - self._progress_sent < PROGRESS_EVERY or not self._attached:
            return
        self._progress_sent = now
        steps, age = self._scheduler.steps, self._scheduler.step_age
        for identity, name in list(self._attached):
            job = self._store.job(name)
            fields = {"subject": name, "done": job.done, "total": job.frames, "steps": steps, "step_age": age, "stage": self._renders.stage(name)}
            self._outbox.event(identity, Message("progress", fields))


def signed(attachment: Attachment, job: Job, root: Path, content: bytes) -> bytes:
    """Returns a stored frame with content credentials; where it cannot be signed, unchanged, with a warning in the log. Signing thread."""
    try:
        if attachment.marker is None:
            attachment.marker = Marker(picture_of(job.portrait), job.settings, root)
            if attachment.marker.problem:
                log.warning("job %s: %s", job.id, attachment.marker.problem)
        return attachment.marker.png(content)
    except MimaFaceError as error:
        log.warning("a frame of job %s was sent without content credentials: %s", job.id, error)
        return content


def failure(job: Job) -> Message:
    """Returns the event with the reason why a job is not done."""
    return Message("failed", {"job": job.id, "code": job.code, "message": job.message, "hint": job.hint})
