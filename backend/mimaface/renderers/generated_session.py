"""Portrait + motion → frames by the diffusion model: the head is posed, the networks generate, the result is pasted back.

The reprojected photograph of each pose is the spatial condition, and what the frame outside the face is made of.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mimaface.engines import chosen_engine
from mimaface.engines.base import Engine
from mimaface.engines.finite import finite
from mimaface.engines.precision import best_device
from mimaface.face.albedo import PLAIN_LIGHT, render_albedo
from mimaface.face.normals import render_normals
from mimaface.face.portrait import Portrait
from mimaface.face.pose import FacePose, motion_signals, poses_for
from mimaface.geometry.interpolation import smoothstep
from mimaface.geometry.strips import same
from mimaface.model.refiner import feather, feathered, refined
from mimaface.protocol.motion import MotionClip
from mimaface.protocol.settings import RenderSettings
from mimaface.reprojection.crops import CropWindow, choose_window
from mimaface.reprojection.reprojector import PosedFrame, Reprojector
from mimaface.sampling.clips import Clip, ClipPlan, Memory
from mimaface.sampling.conditions import Conditions, Encode, SourceConditions, is_reprojected
from mimaface.sampling.images import as_images, as_pictures, resized
from mimaface.sampling.memory import remember, resume_point
from mimaface.sampling.sampler import ClipInputs, generate_clips

from .ahead import threads
from .base import Frame

Array = NDArray[Any]
# displacement in pixels of the generated window at which the blend from photograph to generated picture starts and ends. A lower
# start changes frames whose pose is nearly the photograph's; a lower end shows a jump where motion begins.
MOVED = 0.01, 4.0


def open_engine(folder: Path) -> Engine:
    """The networks of a model folder, by what runs them fastest here. Raises :class:`InvalidCheckpoint`."""
    return chosen_engine.open_engine(folder, best_device())


class DrawnFrame(NamedTuple):
    """A pose without any network: the whole ``picture`` (H, W, 3 or 4) uint8; of its generated window the ``provenance`` (W, W, 3)
    uint8; of what the window shows, at the networks' size, the head's ``normals`` (S, S, 3) uint8, the plain render ``albedo``
    (S, S, 3) uint8 for models that are conditioned on it, and the vertices' ``places`` (V, 2) in pixels; ``away`` from the
    photograph, 0 to 1."""

    picture: Array
    provenance: Array
    normals: Array
    albedo: Array | None
    places: Array
    away: float


class ConditionedFrame(NamedTuple):
    """A drawn frame with its ``conditions``, N = 1."""

    drawn: DrawnFrame
    conditions: Conditions


class GeneratedSession:
    """One portrait at one output size: ready to generate any motion; see :class:`mimaface.renderers.base.Session`."""

    def __init__(self, engine: Engine, portrait: Portrait, settings: RenderSettings) -> None:
        self.engine, self.settings, self.fit = engine, settings, portrait.fit
        self.quality = engine.config.quality(settings.quality)
        self.renderer = Reprojector(portrait, settings.size, settings.framing, settings.body_follows, settings.only)
        self.size = engine.config.image_size
        face = choose_window(portrait, self.size, "face")
        self.place = window_in(self.renderer.crop, face)
        self.camera = self.fit.camera.window(face.left, face.top, face.scale, self.size, self.size)
        photo = self._small(self._window(self.renderer.image))
        self.tokens = finite(lambda: engine.encode_source(photo), "the encoder gave, for the portrait,")
        still = self.renderer.projection.still
        self.source = SourceConditions.of(self._encoder("the portrait"), photo, render_normals(still, self.camera))
        self._at_rest = self.camera.project(still)[:, :2]

    def _encoder(self, what: str) -> Encode:
        """The engine's encoder of pictures; what it gives is finite, or :class:`NotFinite` names ``what``."""
        return lambda images: finite(lambda: self.engine.encode_images(images), f"the encoder gave, for {what},")

    def _window(self, picture: Array) -> Tensor:
        """The part of a frame (H, W, 3) uint8 that is generated, as RGB in [−1, 1] (1, 3, W, W) on the engine's device."""
        left, top, side = self.place
        return as_images(picture[top : top + side, left : left + side, :3][None]).to(self.engine.device)

    def _small(self, window: Tensor) -> Tensor:
        return resized(window, (self.size, self.size)).clamp(-1, 1)

    def shot(self, motion: MotionClip, start: int, memory: Memory) -> Iterator[Frame | None]:
        """``memory`` receives the latents that each clip hands on; a run that finds some begins with the clip after them, and with
        the same result, for a clip depends on nothing else."""
        poses = poses_for(self.fit, motion, self.settings.absolute, self.settings.only)
        config = self.engine.config
        plan = ClipPlan(len(poses), config.clip_length, config.overlap)
        first, previous = resume_point(plan, start, memory)
        ready: dict[int, ConditionedFrame] = {}
        drawing: dict[int, Future[DrawnFrame]] = {}  # by other threads, a clip ahead of the networks
        height, width = self.renderer.image.shape[:2]
        pool = ThreadPoolExecutor(threads(height * width), "draw")

        def inputs(clip: Clip) -> ClipInputs:
            for index in sorted(set(ready) - set(clip.frames)):
                del ready[index]
            ahead = plan[clip.index + 1].frames if clip.index + 1 < len(plan) else ()
            for index in (*clip.frames, *ahead):
                if index not in ready and index not in drawing:
                    drawing[index] = pool.submit(self._drawn, poses[index])
            for index in clip.frames:
                if index not in ready:
                    ready[index] = self._conditioned(drawing.pop(index).result(), index)
            shown = Conditions.joined([ready[index].conditions for index in clip.frames])
            signals = motion_signals([poses[index] for index in clip.frames], self.fit)
            moved = distances([ready[index].drawn.places for index in clip.frames])
            conditions = shown.channels(dict(config.conditions))
            return ClipInputs(conditions, {name: torch.from_numpy(value) for name, value in signals.items()}, moved)

        clips = generate_clips(
            self.engine, plan, self.tokens, inputs, self.settings.seed, steps=self.quality.steps, guidance=self.quality.guidance,
            first=first, previous=previous,
        )  # fmt: skip
        try:
            for done in clips:
                if done is None:
                    yield None
                    continue
                remember(done, plan, memory)
                for index, latents in zip(done.clip.new, done.new):
                    if index >= start:
                        picture = self._finished(ready[index], latents, index)
                        yield Frame(index, picture, same(picture, self.renderer.image))
        finally:
            pool.shutdown(wait=False, cancel_futures=True)  # what is being drawn is not waited for: a cancelled job leaves at once

    def _drawn(self, pose: FacePose) -> DrawnFrame:
        posed: PosedFrame = self.renderer.posed(pose, self.settings.transparent)
        left, top, side = self.place
        places = self.camera.project(posed.vertices)[:, :2]
        away = float(smoothstep(*MOVED, np.abs(places - self._at_rest).max()))
        provenance = posed.provenance[top : top + side, left : left + side].copy()  # so that the rest need not be kept
        plain = not is_reprojected(self.engine.config)
        albedo = render_albedo(self.fit.identity, pose, self.camera, PLAIN_LIGHT) if plain else None
        return DrawnFrame(posed.picture, provenance, render_normals(posed.vertices, self.camera), albedo, places, away)

    def _conditioned(self, drawn: DrawnFrame, index: int) -> ConditionedFrame:
        shown = self._small(self._window(drawn.picture)) if drawn.albedo is None else as_images(drawn.albedo[None])
        shown = shown.to(self.engine.device)
        encode = self._encoder(f"frame {index}")
        conditions = Conditions.of(encode, shown, drawn.normals[None], drawn.provenance[None], self.source)
        return ConditionedFrame(drawn, conditions)

    def _finished(self, frame: ConditionedFrame, latents: Tensor, index: int) -> Array:
        """The drawn picture (H, W, 3 or 4) uint8 with the face generated from ``latents`` (C, h, w)."""
        window = self._window(frame.drawn.picture)
        face = self._decoded(frame, latents[None].to(frame.conditions.latents), window, index)
        result = frame.drawn.picture.copy()
        left, top, side = self.place
        result[top : top + side, left : left + side, :3] = as_pictures(face)[0]
        return self.renderer.finished(result, self.settings.transparent)

    def _decoded(self, frame: ConditionedFrame, latents: Tensor, window: Tensor, index: int) -> Tensor:
        """What latents (1, C, h, w) show, at the size of the reprojected photograph ``window`` (1, 3, W, W): the same as that at its
        border, and all over while the pose is the photograph's."""
        engine, away, where = self.engine, frame.drawn.away, f"the decoder gave, for frame {index},"
        if engine.has_refiner:
            change = finite(lambda: engine.refine(**frame.conditions.refiner_inputs(latents)), where)
            return self._toned(window, refined(window, feathered(change, self.size, away), self.size))
        decoded = finite(lambda: engine.decode_latents(latents), where)
        painted = resized(decoded, (window.shape[-2], window.shape[-1]))
        return self._toned(window, window + away * feather(window.shape[-1], self.size).to(window) * (painted - window))

    def _toned(self, window: Tensor, drawn: Tensor) -> Tensor:
        """``drawn`` (1, 3, W, W), RGB in [−1, 1], with no colour in what it changes of ``window`` that the photograph has not."""
        tone = self.renderer.projection.tone
        if tone.own >= 1:
            return drawn
        before, after = (tone.painted((values[0].movedim(0, -1).double().cpu().numpy() + 1) * 127.5) for values in (window, drawn))
        return window + torch.from_numpy((after - before) / 127.5).movedim(-1, 0)[None].to(window)


def distances(places: list[Array]) -> Tensor:
    """(F,) how far the point that moved most is from where it was in the frame before, from F × places (V, 2); 0 for the first."""
    steps = [np.linalg.norm(now - before, axis=1).max() for before, now in pairwise(places)]
    return torch.tensor([0.0, *steps], dtype=torch.float32)


def window_in(frame: CropWindow, face: CropWindow) -> tuple[int, int, int]:
    """left, top and side, in pixels of ``frame``, of the square that ``face`` shows of the same photograph."""
    side = max(round(face.width / face.scale * frame.scale), 1)
    side = min(side, frame.width, frame.height)
    left = min(max(round((face.left - frame.left) * frame.scale), 0), frame.width - side)
    top = min(max(round((face.top - frame.top) * frame.scale), 0), frame.height - side)
    return left, top, side
