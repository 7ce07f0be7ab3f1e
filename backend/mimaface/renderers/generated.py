"""Portrait + poses → frames by the diffusion model: what the face layer prepares, the networks generate, pasted back.

The proxy's picture of each pose is the spatial condition, and what the frame outside the face is made of.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from mimaface.engines.finite import finite
from mimaface.engines.precision import best_device
from mimaface.engines.torch_engine import TorchEngine
from mimaface.face.normals import render_normals
from mimaface.face.portrait import Portrait
from mimaface.face.pose import FacePose, motion_signals
from mimaface.geometry.interpolation import smoothstep
from mimaface.model.photo_decoder import feather, feathered, redraw
from mimaface.protocol.settings import RenderSettings
from mimaface.reprojection.renderer import Frame as Window
from mimaface.reprojection.renderer import ProxyRenderer, choose_frame
from mimaface.sampling.clips import Clip, ClipPlan, Memory
from mimaface.sampling.images import as_images, as_pictures, normals_condition, origin_condition, resized
from mimaface.sampling.memory import remember, resume_point
from mimaface.sampling.sampler import ClipInputs, generate_clips

Array = NDArray[Any]


MOVED = 0.01, 4.0  # pixels of the generated window: up to the first a pose is the photograph, from the second on all generated


def open_engine(folder: Path) -> TorchEngine:
    """The networks of a model folder, on the GPU where torch has one. Raises :class:`InvalidCheckpoint`."""
    return TorchEngine.open(folder, best_device())


class Drawn(NamedTuple):
    """A pose without any network: the proxy's ``picture`` (H, W, 3 or 4) uint8, and of its generated window the ``origin`` (W, W, 3)
    uint8; what that window shows of the posed head, its ``normals`` (S, S, 3) uint8, where its vertices are, ``places`` (V, 2) pixels
    of the generated picture; and how far that is ``away`` from the photograph, 0 to 1."""

    picture: Array
    origin: Array
    normals: Array
    places: Array
    away: float


class PosedPicture(NamedTuple):
    """What conditions one frame: the proxy's ``picture`` (H, W, 3 or 4) uint8; its generated window ``small`` (1, 3, S, S), RGB in
    [−1, 1], and that window's ``latents`` (1, C, h, w), ``origin`` (1, 3, 2·h, 2·w) and ``normals`` of the posed head (1, 4, 2·h, 2·w);
    ``places`` and ``away`` as when it was drawn."""

    picture: Array
    small: Tensor
    latents: Tensor
    origin: Tensor
    normals: Tensor
    places: Array
    away: float


class PortraitGenerator:
    """One portrait at one output size: ready to generate any poses."""

    def __init__(self, engine: TorchEngine, portrait: Portrait, settings: RenderSettings) -> None:
        self.engine, self.settings, self.fit = engine, settings, portrait.fit
        self.renderer = ProxyRenderer(portrait, settings.size, settings.framing)
        self.size = engine.config.image_size
        face = choose_frame(portrait, self.size, "face")
        self.place = window_in(self.renderer.frame, face)
        self.camera = self.fit.camera.window(face.left, face.top, face.scale, self.size, self.size)
        photo = self._small(self._window(self.renderer.image))
        self.tokens = finite(lambda: engine.encode_source(photo), "the encoder gave, for the portrait,")
        self.source = finite(lambda: engine.encode_images(photo), "the encoder gave, for the portrait,")
        still = self.renderer.projection.still
        self.still = functional.avg_pool2d(self._normals(render_normals(still, self.camera)), 2)
        self._at_rest = self.camera.project(still)[:, :2]

    def _window(self, picture: Array) -> Tensor:
        """The part of a frame (H, W, 3) uint8 that is generated, as RGB in [−1, 1] (1, 3, S, S) on the engine's device."""
        left, top, side = self.place
        return as_images(picture[top : top + side, left : left + side, :3][None]).to(self.engine.device)

    def _small(self, window: Tensor) -> Tensor:
        return resized(window, (self.size, self.size)).clamp(-1, 1)

    def _normals(self, picture: Array) -> Tensor:
        """A picture of normals (S, S, 3) uint8 at twice the latents' size (1, 4, 2·h, 2·w)."""
        return normals_condition(picture[None], 2 * self.engine.model.latent_size).to(self.engine.device)

    def frames(self, poses: list[FacePose], start: int, memory: Memory) -> Iterator[tuple[int, Array] | None]:
        """(index, picture) of the poses from ``start`` on; None after every step that finished none.

        ``memory`` receives the latents that each clip hands on; a run that finds some begins with the clip after them, and
        with the same result, for a clip depends on nothing else.
        """
        config = self.engine.config
        plan = ClipPlan(len(poses), config.clip_length, config.overlap)
        first, previous = resume_point(plan, start, memory)
        kept: dict[int, PosedPicture] = {}
        drawing: dict[int, Future[Drawn]] = {}  # by other threads, a clip ahead of the networks
        pool = ThreadPoolExecutor(os.cpu_count())

        def inputs(clip: Clip) -> ClipInputs:
            for index in sorted(set(kept) - set(clip.frames)):
                del kept[index]
            ahead = plan[clip.index + 1].frames if clip.index + 1 < len(plan) else ()
            for index in (*clip.frames, *ahead):
                if index not in kept and index not in drawing:
                    drawing[index] = pool.submit(self._drawn, poses[index])
            for index in clip.frames:
                if index not in kept:
                    kept[index] = self._posed(drawing.pop(index).result(), index)
            conditions = {
                "render": torch.cat([kept[index].latents for index in clip.frames]),
                "source": self.source.expand(len(clip.frames), -1, -1, -1),
                "normals": functional.avg_pool2d(torch.cat([kept[index].normals for index in clip.frames]), 2),
                "source_normals": self.still.expand(len(clip.frames), -1, -1, -1),
            }
            signals = motion_signals([poses[index] for index in clip.frames], self.fit)
            moved = distances([kept[index].places for index in clip.frames])
            return ClipInputs(conditions, {name: torch.from_numpy(value) for name, value in signals.items()}, moved)

        clips = generate_clips(self.engine, plan, self.tokens, inputs, self.settings.seed, first=first, previous=previous)
        try:
            for done in clips:
                if done is None:
                    yield None
                    continue
                remember(done, plan, memory)
                for index, latents in zip(done.clip.new, done.new):
                    if index >= start:
                        yield index, self._finished(kept[index], latents, index)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)  # what is being drawn is not waited for: a cancelled job leaves at once

    def _drawn(self, pose: FacePose) -> Drawn:
        picture, origin = self.renderer.render_with_origin(pose, self.settings.transparent)
        left, top, side = self.place
        vertices = self.renderer.pose_vertices(pose)
        places = self.camera.project(vertices)[:, :2]
        away = float(smoothstep(*MOVED, np.abs(places - self._at_rest).max()))
        window = origin[top : top + side, left : left + side].copy()  # so that the rest of the frame's need not be kept
        return Drawn(picture, window, render_normals(vertices, self.camera), places, away)

    def _posed(self, drawn: Drawn, index: int) -> PosedPicture:
        small = self._small(self._window(drawn.picture))
        origin = origin_condition(drawn.origin[None], 2 * self.engine.model.latent_size).to(self.engine.device)
        latents = finite(lambda: self.engine.encode_images(small), f"the encoder gave, for frame {index},")
        return PosedPicture(drawn.picture, small, latents, origin, self._normals(drawn.normals), drawn.places, drawn.away)

    def _finished(self, posed: PosedPicture, latents: Tensor, index: int) -> Array:
        """The proxy's picture (H, W, 3 or 4) uint8 with the face generated from ``latents`` (C, h, w)."""
        window = self._window(posed.picture)
        face = self._decoded(posed, latents[None].to(posed.latents), window, index)
        result = posed.picture.copy()
        left, top, side = self.place
        result[top : top + side, left : left + side, :3] = as_pictures(face)[0]
        return self.renderer.finished(result, self.settings.transparent)

    def _decoded(self, posed: PosedPicture, latents: Tensor, window: Tensor, index: int) -> Tensor:
        """What latents (1, C, h, w) show, at the size of the posed photograph ``window`` (1, 3, W, W): the same as that at its border,
        and all over while the pose is the photograph's."""
        engine, where = self.engine, f"the decoder gave, for frame {index},"
        if engine.model.photo_decoder is not None:
            change = finite(
                lambda: engine.redrawing(
                    latents=latents, render=posed.latents, source=self.source,
                    picture=posed.small, origin=posed.origin, normals=posed.normals, source_normals=self.still,
                ), where,
            )  # fmt: skip
            return self._toned(window, redraw(window, feathered(change, self.size, posed.away), self.size))
        decoded = finite(lambda: engine.decode_latents(latents), where)
        painted = resized(decoded, (window.shape[-2], window.shape[-1]))
        return self._toned(window, window + posed.away * feather(window.shape[-1], self.size).to(window) * (painted - window))

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


def window_in(frame: Window, face: Window) -> tuple[int, int, int]:
    """left, top and side, in pixels of ``frame``, of the square that ``face`` shows of the same photograph."""
    side = max(round(face.width / face.scale * frame.scale), 1)
    side = min(side, frame.width, frame.height)
    left = min(max(round((face.left - frame.left) * frame.scale), 0), frame.width - side)
    top = min(max(round((face.top - frame.top) * frame.scale), 0), frame.height - side)
    return left, top, side
