"""The work of the server's requests, as generators whose steps the scheduler interleaves."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import logging
import re
import threading
from collections import OrderedDict
from collections.abc import Generator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mimaface.animation import check, steps
from mimaface.drivers import Progress, ReadingSettings, motion_steps, spoken
from mimaface.drivers.retarget import RetargetSettings
from mimaface.drivers.stills import reference_pictures
from mimaface.engines.pool import EnginePool
from mimaface.face.head import Head
from mimaface.face.points import in_middle, of_landmarks
from mimaface.face.portrait import Portrait
from mimaface.marking.consent import ANSWERS, keep_consent
from mimaface.marking.watermark import Watermark
from mimaface.pictures import encode_png, open_picture
from mimaface.protocol.errors import (
    InvalidCheckpoint,
    InvalidImage,
    InvalidInput,
    InvalidMotion,
    MimaFaceError,
    NoFaceFound,
    OutOfResources,
)
from mimaface.protocol.motion import MotionClip
from mimaface.protocol.rotation import matrix_to_head_angles
from mimaface.protocol.settings import RenderSettings
from mimaface.renderers import registry
from mimaface.renderers.base import Session
from mimaface.reprojection.crops import face_box
from mimaface.shortage import WORK, enough_memory, require, shortage

from .jobs import Job
from .room import Patience
from .store import Store

Array = NDArray[Any]
CACHED = 4
# pixels, longest side of a preview. Higher: sharper than the window shows, and slower
MOST_PREVIEW = 1024
MOST_FACES = 1000  # a portrait's id has three digits for the number of the face
log = logging.getLogger(__name__)
REFERENCE_SIZE = 2048  # pixels, longest side of a reference picture: sharp on a head that fills a screen. Higher: larger files


class Work:
    """The work of the worker threads. Caches portraits, sessions of previews and networks until memory is short."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self._portraits: OrderedDict[str, Portrait] = OrderedDict()
        self._sessions: OrderedDict[tuple[str, RenderSettings], Session] = OrderedDict()
        self._pool = EnginePool()
        self._lock = threading.Lock()  # of the caches

    def capabilities(self) -> list[dict[str, Any]]:
        return [
            {"name": name, "works": not reason, "why_not": reason, "networks": registry.RENDERERS[name].networks()}
            for name, reason in registry.states().items()
        ]

    def portrait(self, identity: str) -> Portrait:
        """Returns the fitted portrait of an id of :meth:`fit`: ``<sha256>-<face>``, with ``-<sha256>`` of its references and points."""
        with self._lock:
            found = self._portraits.get(identity)
        if found is None:
            name, face, listed = parts_of(identity)
            references, points = self._further(listed)
            found = Portrait.open(self.store.portrait(name), face, references, points)
        self._cache_portrait(identity, found)
        return found

    def _further(self, listed: str) -> tuple[list[tuple[str, bytes]], dict[str, Any]]:
        """Returns (name, picture) of a portrait's references, and its placed points, from the stored file ``listed``, "" for none."""
        kept = json.loads(self.store.portrait(listed)) if listed else []
        names, points = (kept["references"], kept["points"]) if isinstance(kept, dict) else (kept, {})
        return [(name, self.store.portrait(digest)) for name, digest in names], points

    def _cache_portrait(self, identity: str, portrait: Portrait) -> None:
        with self._lock:
            self._portraits[identity] = portrait
            self._portraits.move_to_end(identity)
            while len(self._portraits) > CACHED:
                self._portraits.popitem(last=False)

    def fit(
        self, content: bytes, face: int, references: list[Any], points: dict[str, Any] | None = None, template: bool = False
    ) -> tuple[dict[str, Any], bytes]:
        """Fit a picture file, its ``references`` (paths) and placed ``points``; return the fields of ``portrait.fit.reply`` and the head's
        mesh as npz. ``template``: where no face is found, place a generic one in the middle. Raises the errors of :meth:`Portrait.open`."""
        if not 0 <= face < MOST_FACES:
            raise InvalidInput(f"face {face} is none of a picture", "use 0, the largest face, or the number of another one")
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
        self._cache_portrait(identity, portrait)
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

    def preview(self, identity: str, settings: RenderSettings, motion: bytes) -> Iterator[Array | None]:
        """Yields the first frame of a motion as a take would show it, at most ``MOST_PREVIEW`` pixels wide; None after every step before."""
        with readable(InvalidMotion, "the preview's motion"):
            clip = MotionClip.from_bytes(motion, "preview")
        if len(clip) > 1:
            clip = clip.resampled(clip.time[:1])
        with enough_memory(self.forget):
            session = yield from self._session(identity, settings)
            for frame in session.shot(clip, 0, {}):
                yield None if frame is None else frame.image

    def _session(self, identity: str, settings: RenderSettings) -> Generator[None, None, Session]:
        """Returns the cached session of a portrait and settings; yields a step where it is opened."""
        portrait = self.portrait(identity)
        size = min(settings.size or max(portrait.image.shape[:2]), MOST_PREVIEW)
        settings = replace(settings, size=size)
        key = identity, settings
        with self._lock:
            found = self._sessions.get(key)
        new = found is None
        if found is None:
            found = registry.usable(settings.engine).open(portrait, settings, self._pool)
        with self._lock:  # before the step: if the preview is cancelled there, the next one finds the session
            self._sessions[key] = found
            self._sessions.move_to_end(key)
            while len(self._sessions) > CACHED:
                self._sessions.popitem(last=False)
        if new:
            yield None
        return found

    def track(self, path: Path, options: dict[str, Any], progress: Progress) -> Iterator[MotionClip | None]:
        """Read a mocap file or track the face of a video; yields None after every frame, the motion last."""
        retargeting, reading = RetargetSettings.from_wire(options), ReadingSettings.from_wire(options)
        with enough_memory(self.forget), readable(InvalidMotion, path.name):
            yield from motion_steps(path, retargeting, progress, reading)

    def speech(self, content: bytes, options: dict[str, Any]) -> MotionClip:
        """The motion of visemes as a TextGrid holds them, with the ``options`` of :meth:`track`."""
        retargeting, reading = RetargetSettings.from_wire(options), ReadingSettings.from_wire(options)
        with enough_memory(self.forget), readable(InvalidMotion, "the visemes"):
            return spoken(content.decode(), retargeting, reading)

    def submit(self, portrait: str, settings: RenderSettings, name: str, motion: bytes, consent: str = "") -> Job:
        """Check and add a job; errors of its settings and motion are raised here. ``consent``: one of ``ANSWERS``, stored with the
        portrait; "" keeps the stored answer."""
        if consent not in ("", *ANSWERS):
            raise InvalidInput(f"consent {consent[:40]!r} is unknown", f"use {', '.join(ANSWERS)}, or leave it out")
        name_of_picture, _, listed = parts_of(portrait)
        self.store.portrait(name_of_picture)
        self._further(listed)
        if consent:
            keep_consent(self.store.root, name_of_picture, consent)
        with enough_memory(self.forget):
            with readable(InvalidMotion, "the job's motion"):
                clip = MotionClip.from_bytes(motion, "the job's motion")
            check(clip, settings)
            return self.store.submit(portrait, settings, name, motion, len(clip))

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
        motion = MotionClip.from_bytes(self.store.motion(job.id), "the job's motion")
        check(motion, job.settings, job.frames)
        portrait = self.portrait(job.portrait)
        earlier = self.store.job(job.id).done
        while True:
            while (start := self.store.job(job.id).done) < job.frames:
                yield from self._frames(job, portrait, motion, start, patience)
            yield from (None for _ in self.store.verify(job.id, earlier))
            if self.store.job(job.id).done == job.frames:
                return

    def _frames(
        self, job: Job, portrait: Portrait, motion: MotionClip, start: int, patience: Patience
    ) -> Iterator[tuple[int, str] | None]:
        """Render the frames from ``start`` up to the next stored one."""
        same_build(job)
        face = face_box(portrait, job.settings.size, job.settings.framing)
        watermark = Watermark.of(parts_of(job.portrait)[0], face) if job.settings.watermark else None
        with contextlib.closing(steps(portrait, motion, job.settings, start, self.store.memory(job.id), self._pool)) as running:
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
        with self._lock:
            self._portraits.clear()
            self._sessions.clear()
        self._pool.clear()


def parts_of(identity: str) -> tuple[str, int, str]:
    """Split a portrait's id into the name of its picture, the number of the face, and the name of its references and points, or "".

    Raises :class:`InvalidInput`.
    """
    found = re.fullmatch("([^-]*)-([0-9]{1,3})(?:-([0-9a-f]{64}))?", identity)
    if not found:
        raise InvalidInput(f"portrait id {identity[:80]!r} is invalid", "load the portrait again")
    return found[1], int(found[2]), found[3] or ""


@contextlib.contextmanager
def readable(error: type[MimaFaceError], what: str) -> Iterator[None]:
    """Raise ``error`` instead of an unexpected exception while reading ``what``, a file of the user; shortages pass unchanged."""
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


def same_build(job: Job) -> None:
    """Raise :class:`InvalidCheckpoint` if the build differs from that of the job's frames; stores of older versions have none."""
    if job.build not in ("", registry.build(job.settings.engine)):
        raise InvalidCheckpoint(
            "this take was begun with another version, other weights or another device; its remaining frames would look different",
            "press Generate to render it again",
        )


def reference_picture(image: Array) -> bytes:
    """Returns the photograph (H, W, 3), upright, sRGB, 8 bits, as PNG for programs that cannot read its file."""
    picture = Image.fromarray(image)
    picture.thumbnail((REFERENCE_SIZE, REFERENCE_SIZE), Image.Resampling.LANCZOS)
    return encode_png(np.asarray(picture))


def head_mesh(portrait: Portrait) -> bytes:
    """Returns the fitted head for Blender, as npz.

    vertices (V, 3) neutral, head frame, metres; triangles (N, 3) without hair and lashes; part (N,); uv (V, 2) in the
    photograph, 0–1, v up; actions (52, V, 3), how each blendshape moves them; source_actions (52,), the portrait's own weights;
    eye_centres (2, 3); landmarks (478, 2) in the photograph, as uv; eye_vertices (V,) 0 none, 1 left, 2 right; rotation (3, 3) and
    translation (3,) of the fit; picture: bytes of :func:`reference_picture`.
    """
    head, fit = Head.load(), portrait.fit
    posed = head.posed(fit.identity, fit.blendshapes, fit.gaze) @ fit.rotation.T + fit.translation
    place = fit.camera.project(posed)
    height, width = portrait.image.shape[:2]
    eyes = np.zeros(len(head.vertices), np.uint8)
    for label, name in ((1, "eye_left"), (2, "eye_right")):
        eyes[head.vertices_of(name)] = label
    arrays: dict[str, Any] = {
        "vertices": head.shape(fit.identity, np.zeros(head.expression_size)), "triangles": head.drawn_triangles(),
        "part": head.triangle_part[head.drawn()], "part_names": np.array(head.parts), "eye_vertices": eyes,
        "uv": np.stack([place[:, 0] / width, 1 - place[:, 1] / height], axis=1).astype(np.float32),
        "actions": head.blendshapes.astype(np.float16), "source_actions": fit.blendshapes, "source_gaze": fit.gaze,
        "landmarks": (fit.landmarks[:, :2] / [width, height] * [1, -1] + [0, 1]).astype(np.float32),
        "eye_centres": head.eye_centres_for(fit.identity), "rotation": fit.rotation, "translation": fit.translation,
        "picture": np.frombuffer(reference_picture(portrait.image), np.uint8),
    }  # fmt: skip
    out = io.BytesIO()
    np.savez_compressed(out, **arrays)
    return out.getvalue()
