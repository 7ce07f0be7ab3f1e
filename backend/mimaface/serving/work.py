"""The work of the server's requests, as generators whose steps the scheduler interleaves."""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
from collections.abc import Generator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from mimaface.animation import check, steps
from mimaface.drivers import Progress, ReadingSettings, motion_steps, spoken
from mimaface.drivers.film import Film
from mimaface.drivers.retarget import RetargetSettings
from mimaface.drivers.stills import reference_pictures
from mimaface.engines.pool import EnginePool
from mimaface.face.fit import FittedFace
from mimaface.face.points import in_middle, of_landmarks
from mimaface.face.portrait import Portrait
from mimaface.face.pose import away_from
from mimaface.marking.consent import ANSWERS, keep_consent
from mimaface.marking.watermark import Watermark
from mimaface.pictures import encode_png, open_picture
from mimaface.protocol.arrays import Array
from mimaface.protocol.errors import (
    InvalidCheckpoint,
    InvalidImage,
    InvalidInput,
    InvalidMotion,
    NoFaceFound,
    OutOfResources,
)
from mimaface.protocol.motion import MotionClip
from mimaface.protocol.people import apart
from mimaface.protocol.rotation import matrix_to_head_angles
from mimaface.protocol.settings import RenderSettings
from mimaface.renderers import registry
from mimaface.renderers.base import Session
from mimaface.renderers.film_session import FilmSession
from mimaface.renderers.people_session import PeopleSession, check_people
from mimaface.reprojection.crops import face_box
from mimaface.shortage import WORK, enough_memory, require

from .contents import motions_in, parts_of, picture_of, readable
from .films import Films
from .jobs import Job
from .mesh import head_mesh
from .recent import Recent
from .room import Patience
from .store import Store

CACHED = 4
# pixels, longest side of a preview. Higher: sharper than the window shows, and slower
MOST_PREVIEW = 1024
MOST_FACES = 1000  # a portrait's id has three digits for the number of the face
log = logging.getLogger(__name__)


class Work:
    """The work of the worker threads. Caches portraits, sessions of previews and networks until memory is short."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self._portraits: Recent[str, Portrait] = Recent(CACHED)
        self._sessions: Recent[tuple[str, RenderSettings], Session | PeopleSession | FilmSession] = Recent(CACHED)
        self._films = Films(store)
        self._pool = EnginePool()

    def capabilities(self) -> list[dict[str, Any]]:
        return [
            {"name": name, "works": not reason, "why_not": reason, "networks": registry.RENDERERS[name].networks()}
            for name, reason in registry.states().items()
        ]

    def portrait(self, identity: str) -> Portrait:
        """Returns the fitted portrait of an id of :meth:`fit`: ``<sha256>-<face>``, with ``-<sha256>`` of its references and points."""
        found = self._portraits.find(identity)
        if found is None:
            name, face, listed = parts_of(identity)
            references, points = self._further(listed)
            found = Portrait.open(self.store.portrait(name), face, references, points)
            self._portraits.keep(identity, found)
        return found

    def _further(self, listed: str) -> tuple[list[tuple[str, bytes]], dict[str, Any]]:
        """Returns (name, picture) of a portrait's references, and its placed points, from the stored file ``listed``, "" for none."""
        kept = json.loads(self.store.portrait(listed)) if listed else []
        names, points = (kept["references"], kept["points"]) if isinstance(kept, dict) else (kept, {})
        return [(name, self.store.portrait(digest)) for name, digest in names], points

    def fit(
        self, content: bytes, face: int, references: list[Any], points: dict[str, Any] | None = None, template: bool = False
    ) -> tuple[dict[str, Any], bytes]:
        """Fit a picture file, its ``references`` (paths) and placed ``points``; return the fields of ``portrait.fit.reply`` and the head's
        mesh as npz. ``template``: where no face is found, place a generic one in the middle. Raises the errors of :meth:`Portrait.open`."""
        if not 0 <= face < MOST_FACES:
            raise InvalidInput(f"a picture has no face {face}", "use 0, the largest face, or the number of another one")
        with enough_memory(self.forget), readable(InvalidImage, "this picture"):
            require(WORK)
            if not all(isinstance(path, str) for path in references):
                raise InvalidInput("the references of portrait.fit must be paths", "update the add-on")
            given = reference_pictures(references)
            try:
                portrait = Portrait.open(content, face, given, points)
            except NoFaceFound:
                if not template or points:
                    raise
                height, width = open_picture(content)[0].image.shape[:2]
                portrait = Portrait.open(content, face, given, in_middle(width, height))
        identity = f"{self.store.put_portrait(content)}-{face}{self._put_further(portrait, given)}"
        self._portraits.keep(identity, portrait)
        fit = portrait.fit
        fields = {
            "portrait": identity, "width": portrait.image.shape[1], "height": portrait.image.shape[0], "error": fit.error,
            "confidence": fit.confidence, "actions": fit.blendshapes.tolist(), "gaze": fit.gaze.tolist(),
            "angles": matrix_to_head_angles(fit.rotation).tolist(), "warnings": list(portrait.warnings),
            "references": len(portrait.references), "points": of_landmarks(fit.landmarks), "placed": list(portrait.points),
        }  # fmt: skip
        return fields, head_mesh(portrait)

    def _put_further(self, portrait: Portrait, given: list[tuple[str, bytes]]) -> str:
        """Store a portrait's references and points; return the end of its id, "" without any."""
        taken = {picture.sha256 for picture in portrait.references}
        kept = [(name, self.store.put_portrait(picture)) for name, picture in given if hashlib.sha256(picture).hexdigest() in taken]
        if not kept and not portrait.points:
            return ""
        further = {"references": kept, "points": dict(portrait.points)} if portrait.points else kept
        return f"-{self.store.put_portrait(json.dumps(further).encode())}"

    def source(self, identity: str) -> Portrait | list[Portrait] | Film:
        """Returns the portrait of an id, those of an id of several people, or the film of one."""
        film = self._films.film(identity)
        if film is not None:
            return film
        found = [self.portrait(each) for each in apart(identity)]
        return found[0] if len(found) == 1 else found

    def preview(self, identity: str, settings: RenderSettings, motion: bytes, frame: int = 0) -> Iterator[Array | None]:
        """Yields the first frame of a motion as a take would show it, at most ``MOST_PREVIEW`` pixels wide; None after every step before.
        ``frame``: of a film, the number of the frame that the motion moves."""
        clips = [clip.resampled(clip.time[:1]) if len(clip) > 1 else clip for clip in motions_in(motion, identity, "the preview's motion")]
        with enough_memory(self.forget):
            session = yield from self._session(identity, settings)
            if isinstance(session, FilmSession):
                yield session.still(frame, clips[0]).image
                return
            for made in session.shot(clips, 0) if isinstance(session, PeopleSession) else session.shot(clips[0], 0, {}):
                yield None if made is None else made.image

    def _session(self, identity: str, settings: RenderSettings) -> Generator[None, None, Session | PeopleSession | FilmSession]:
        """Returns the cached session of a portrait or film and settings; yields a step where it is opened."""
        people = self.source(identity)
        portrait = people[0] if isinstance(people, list) else people
        largest = max(portrait.size if isinstance(portrait, Film) else portrait.image.shape[:2])
        size = min(settings.size or largest, MOST_PREVIEW)
        settings = replace(settings, size=size)
        key = identity, settings
        found = self._sessions.find(key)
        if found is None:
            usable = registry.usable(settings.engine)
            if isinstance(people, Film):
                yield from self._films.unchanged(people)
                found = FilmSession(people, settings)
            else:
                found = PeopleSession(people, settings) if isinstance(people, list) else usable.open(people, settings, self._pool)
            self._sessions.keep(key, found)  # before the step: if the preview is cancelled there, the next one finds the session
            yield None
        return found

    def track(self, path: Path, options: dict[str, Any], progress: Progress, portrait: str = "") -> Iterator[MotionClip | None]:
        """Read a mocap file or track the face of a video; yields None after every frame, the motion last, as :func:`_moving` has it.

        ``portrait``: id of the portrait that it will move, "" for none.
        """
        retargeting, reading = RetargetSettings.from_wire(options), ReadingSettings.from_wire(options)
        with enough_memory(self.forget), readable(InvalidMotion, path.name):
            fit = self._fit_for(portrait, options)
            for clip in motion_steps(path, retargeting, progress, reading, fit):
                yield clip and _moving(fit, clip, options)

    def speech(self, content: bytes, options: dict[str, Any], portrait: str = "") -> MotionClip:
        """Returns the motion of the visemes in a TextGrid, with ``options`` and ``portrait`` of :meth:`track`."""
        retargeting, reading = RetargetSettings.from_wire(options), ReadingSettings.from_wire(options)
        with enough_memory(self.forget), readable(InvalidMotion, "the visemes"):
            return _moving(self._fit_for(portrait, options), spoken(content.decode(), retargeting, reading), options)

    def _fit_for(self, portrait: str, options: dict[str, Any]) -> FittedFace | None:
        if not portrait and options.get("absolute") is True:
            raise InvalidInput("absolute motion needs the portrait that it moves, and none was given", "select a portrait rig")
        return self.portrait(portrait).fit if portrait else None

    def film(self, path: Path, face: int, progress: Progress) -> Iterator[tuple[dict[str, Any], bytes] | None]:
        """Tracks a face through a film; yields None after every step, then the fields of ``film.open.reply`` and the mesh of its first portrait."""
        if not 0 <= face < MOST_FACES:
            raise InvalidInput(f"a film has no face {face}", "use 0, the largest face, or the number of another one")
        with enough_memory(self.forget), readable(InvalidImage, path.name):
            require(WORK)
            for step in self._films.follow(path, face, progress):
                yield step and self._film_reply(face, *step)

    def _film_reply(self, face: int, fields: dict[str, Any], still: bytes) -> tuple[dict[str, Any], bytes]:
        """Returns the parts of ``film.open.reply`` from a film's ``fields`` and its first frame with the face."""
        self._sessions.drop(lambda key: key[0] == fields["film"])  # the film may have been elsewhere
        portrait, mesh = self.fit(still, face, [])
        return portrait | fields | {"warnings": [*portrait["warnings"], *fields["warnings"]]}, mesh

    def submit(self, portrait: str, settings: RenderSettings, name: str, motion: bytes, consent: str = "") -> Job:
        """Check and add a job; errors of its settings and motion are raised here. ``consent``: one of ``ANSWERS``, stored with the
        portrait; "" keeps the stored answer."""
        if consent not in ("", *ANSWERS):
            raise InvalidInput(f"consent {consent[:40]!r} is unknown", f"use {', '.join(ANSWERS)}, or leave it out")
        film = self._films.film(portrait)
        people = [parts_of(each) for each in apart(portrait)]
        if len(people) > 1:
            check_people([picture for picture, _, _ in people], settings)
        if len({face for _, face, _ in people}) < len(people):
            raise InvalidInput("two motions are given to one face", "leave one out, or give it to another face")
        for picture, _, listed in people if film is None else ():
            self.store.portrait(picture)
            self._further(listed)
        if consent:
            keep_consent(self.store.root, people[0][0], consent)
        with enough_memory(self.forget):
            clips = motions_in(motion, portrait, "the job's motion")
            for clip in clips:
                check(clip, settings)
            if film is not None:
                FilmSession(film, settings)
            return self.store.submit(portrait, settings, name, motion, max(map(len, clips)) if film is None else len(film))

    def render(self, job: Job) -> Iterator[tuple[int, str] | None]:
        """Render and store the missing frames of a job; yields (index, sha256) per frame, None after other steps.

        Frames of earlier runs are compared with their files at the end, when no client waits for them. Where a file cannot be opened for
        lack of a handle, everything from the first missing frame on is attempted again.
        """
        patience = Patience()
        with enough_memory(self.forget):
            while True:
                try:
                    yield from self._missing(job, patience)
                    return
                except Exception as error:
                    patience.wait(error)
                yield None

    def _missing(self, job: Job, patience: Patience) -> Iterator[tuple[int, str] | None]:
        require(WORK)
        motions, source = motions_in(self.store.motion(job.id), job.portrait, "the job's motion"), self.source(job.portrait)
        check(max(motions, key=len), job.settings, None if isinstance(source, Film) else job.frames)
        if isinstance(source, Film):
            yield from self._films.unchanged(source)
        earlier = self.store.job(job.id).done
        while True:
            while (start := self.store.job(job.id).done) < job.frames:
                yield from self._frames(job, source, motions, start, patience)
            yield from (None for _ in self.store.verify(job.id, earlier))
            if self.store.job(job.id).done == job.frames:
                return

    def _frames(
        self, job: Job, source: Portrait | list[Portrait] | Film, motions: list[MotionClip], start: int, patience: Patience
    ) -> Iterator[tuple[int, str] | None]:
        """Render the frames from ``start`` up to the next stored one."""
        same_build(job)
        if isinstance(source, Film):
            face = source.face_box(job.settings.size)
        else:
            face = face_box(source[0] if isinstance(source, list) else source, job.settings.size, job.settings.framing)
        watermark = Watermark.of(picture_of(job.portrait), face) if job.settings.watermark else None
        motion = motions if isinstance(source, list) else motions[0]
        pool = self._pool.by(registry.runtimes_in(job.build)) if job.build else self._pool
        with contextlib.closing(steps(source, motion, job.settings, start, self.store.memory(job.id), pool)) as running:
            for frame in running:
                if frame is None:
                    yield None
                    continue
                if frame.index == start:
                    same_build(job)  # again, because the networks are loaded now
                picture = frame.image if watermark is None or frame.still else watermark.mark(frame.image)
                digest = yield from self._put(job, frame.index, encode_png(picture), patience)
                yield frame.index, digest
                if self.store.job(job.id).done > frame.index + 1:
                    return

    def _put(self, job: Job, number: int, content: bytes, patience: Patience) -> Generator[None, None, str]:
        """Store a frame and return its SHA-256. Without a file handle, attempt it again, so that the frame need not be rendered again."""
        while True:
            try:
                digest = self.store.put_frame(job.id, number, content)
            except OutOfResources as error:
                patience.wait(error)
                yield None
            else:
                patience.renew()
                return digest

    def forget(self) -> None:
        """Free the memory of the caches."""
        self._portraits.drop()
        self._films.forget()
        self._sessions.drop()
        self._pool.clear()


def _moving(fit: FittedFace | None, clip: MotionClip, options: dict[str, Any]) -> MotionClip:
    """Returns a motion as the option "absolute" asks for it, away from the portrait of this ``fit``; so is a picture whose neutral is not "rest"."""
    replaces = options.get("absolute") is True or (clip.meta.get("format") == "picture" and options.get("neutral") != "rest")
    return away_from(fit, clip) if fit is not None and replaces else clip


def same_build(job: Job) -> None:
    """Raise :class:`InvalidCheckpoint` if the job's frames cannot be made any more, by the runtimes that made the first of them; stores of
    older versions have no build."""
    if job.build and job.build != registry.build(job.settings.engine, job.build):
        raise InvalidCheckpoint(
            "this take was begun with another version, other weights or another device; its remaining frames would look different",
            "press Generate to render it again",
        )
