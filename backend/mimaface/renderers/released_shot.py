"""Frames by the authors' released checkpoint: computes its inputs, and pastes its generated squares into the photograph.

The reconstruction network (D3DFR) and CurricularFace are passed as callables, so this module does not depend on their code.
"""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from mimaface.basel.align import BOX_512, box_corners, draw, face_affine, five_points, paste, similarity
from mimaface.basel.bfm import BaselFace, BaselRenderer, split_coefficients
from mimaface.basel.curricularface import identity_crop
from mimaface.basel.pose import Driving, SourceFace, drive
from mimaface.basel.transfer import GazeAdapter, Transfer
from mimaface.engines.base import Engine
from mimaface.engines.precision import finite
from mimaface.face.gaps import fill_gaps
from mimaface.face.portrait import Portrait
from mimaface.face.pose import poses_for
from mimaface.model.vision import VisionTokens
from mimaface.protocol.arrays import Array
from mimaface.protocol.errors import InvalidCheckpoint, InvalidInput
from mimaface.protocol.motion import MotionClip
from mimaface.sampling.clips import Clip, ClipPlan, Memory
from mimaface.sampling.conditions import as_images, as_pictures
from mimaface.sampling.sampler import ClipInputs, generate_clips, remember, resume_point

log = logging.getLogger(__name__)
# RGB in [−1, 1] (N, 3, 256, 256), the crop of ``face_affine`` → (N, 261): the 257 coefficients, then 4 numbers of gaze
Reconstruct = Callable[[Tensor], Tensor]
# RGB in [−1, 1] (N, 3, 112, 112) → the last feature map, flattened (N, 25088)
Identify = Callable[[Tensor], Tensor]
COEFFICIENTS, CROP_SIDE = 257, 256
SIGNALS = {"identity", "gaze", "expression", "albedo", "illumination", "rotation", "translation"}


@dataclass(frozen=True, eq=False)
class Shot:
    """One face of a photograph with its motion; ``notes`` are warnings about the motion.

    canvas (S, S, 3) uint8: the model's input square; onto_canvas (2, 3): photograph → canvas; driving: T frames; constant: signals that
    all frames share.
    """

    photo: Array
    canvas: Array
    onto_canvas: Array
    driving: Driving
    renderer: BaselRenderer
    tokens: VisionTokens
    constant: dict[str, Tensor]
    notes: tuple[str, ...]


class ReleasedEngine:
    """A model of the released type with the networks it needs. Raises :class:`InvalidCheckpoint` for other models."""

    def __init__(
        self,
        engine: Engine,
        bfm: BaselFace,
        reconstruct: Reconstruct,
        identify: Identify,
        transfer: Transfer,
    ) -> None:
        names = {signal.name for signal in engine.config.appearance.signals}
        if engine.config.motion_space != "bfm2009" or names != SIGNALS:
            raise InvalidCheckpoint(
                f"the model {engine.config.name} is not driven by the Basel face",
                "use it with the engine of its own motion space",
            )
        self.engine, self.bfm, self.transfer = engine, bfm, transfer
        self.reconstruct, self.identify = reconstruct, identify
        self.decode: Callable[[Tensor], Tensor] = engine.decode_latents

    def with_decoder(self, decode: Callable[[Tensor], Tensor]) -> ReleasedEngine:
        """The same with another decoder: latents (1, C, h, w) → RGB in [−1, 1] (1, 3, S, S)."""
        changed = copy.copy(self)
        changed.decode = decode
        return changed

    @property
    def side(self) -> int:
        """Side of the generated square, pixels."""
        return self.engine.config.image_size

    def shot(
        self, portrait: Portrait, motion: MotionClip, absolute: bool = False, gaze_adapter: GazeAdapter | None = None
    ) -> Shot:
        """Encode the portrait and convert the motion to coefficients. Raises :class:`InvalidMotion` without any face.

        ``motion.expression_bfm`` and ``gaze_d3dfr``, where present, replace blendshapes and gaze. ``gaze_adapter`` converts gaze to the
        network's numbers; default :meth:`GazeAdapter.assumed`.
        """
        motion, notes = fill_gaps(motion)
        for note in notes:
            log.warning(note)
        view = net_input(portrait.image, portrait.fit.landmarks[:, :2], self.side)
        parts, gaze = net_output(self.reconstruct, view.crop, self.engine.device)
        source = SourceFace(parts["expression"], parts["rotation"], parts["translation"], gaze, view.onto_canvas, view.five)
        poses = poses_for(portrait.fit, motion, absolute)
        adapter = gaze_adapter or GazeAdapter.assumed()
        driving = with_native(drive(source, portrait.fit, poses, self.transfer, adapter, absolute), source, motion, absolute)
        seen = identity_crop(view.canvas, view.five).to(self.engine.device)
        with torch.inference_mode():
            deep = finite(lambda: self.identify(seen).float(), "the identity network gave, for the portrait,")
        if deep.shape[0] != 1 or deep[0].numel() != self._size("identity"):
            raise InvalidCheckpoint(f"the identity network gives {tuple(deep.shape)}, expected (1, {self._size('identity')})")
        constant = {
            "identity": deep.flatten(),
            "albedo": torch.as_tensor(parts["albedo"], dtype=torch.float32),
            "illumination": torch.as_tensor(parts["light"], dtype=torch.float32),
        }
        renderer = BaselRenderer(self.bfm, parts["identity"], parts["albedo"], parts["light"])
        tokens = finite(lambda: self.engine.encode_source(as_images(view.canvas[None])), "the encoder gave, for the portrait,")
        return Shot(portrait.image, view.canvas, view.onto_canvas, driving, renderer, tokens, constant, tuple(notes))

    def _size(self, name: str) -> int:
        return next(signal.size for signal in self.engine.config.appearance.signals if signal.name == name)

    def renders(self, shot: Shot, frames: Sequence[int]) -> Array:
        """Returns I_R of some frames (F, S, S, 3) uint8: the source's α, δ, γ under the driver's β, ρ; background 0."""
        d = shot.driving
        drawn = [shot.renderer.canvas(d.expression[i], d.rotation[i], d.translation[i], d.crop[i], self.side) for i in frames]
        return np.stack(drawn)

    def inputs(self, shot: Shot, clip: Clip) -> ClipInputs:
        """Returns condition and signals of one clip for :func:`generate_clips`."""
        frames = list(clip.frames)
        different = sorted(set(frames))  # a last clip repeats the last frame, which is rendered once
        renders = as_images(self.renders(shot, different))
        latents = finite(lambda: self.engine.encode_images(renders), f"the encoder gave, for the frames from {different[0]} on,")
        d = shot.driving
        driven = {"gaze": d.gaze, "expression": d.expression, "rotation": d.rotation, "translation": d.translation}
        signals = {name: torch.as_tensor(value[frames], dtype=torch.float32) for name, value in driven.items()}
        return ClipInputs({"render": latents[[different.index(i) for i in frames]]}, {**shot.constant, **signals})

    def squares(
        self,
        shot: Shot,
        seed: int,
        steps: int | None = None,
        guidance: float | None = None,
        start: int = 0,
        memory: Memory | None = None,
        name: str = "clip",
    ) -> Iterator[tuple[int, Array] | None]:
        """Yields (index, generated square (S, S, 3) uint8) from ``start`` on in order, with None after each denoising step.

        A clip depends on the one before: clips before ``start`` are generated, too, unless ``memory`` contains their state under ``name``.
        """
        memory = {} if memory is None else memory
        config = self.engine.config
        plan = ClipPlan(len(shot.driving), config.clip_length, config.overlap)
        first, previous = resume_point(plan, start, memory, name)
        clips = generate_clips(
            self.engine, plan, shot.tokens, lambda clip: self.inputs(shot, clip), seed, steps=steps, guidance=guidance,
            first=first, previous=previous,
        )  # fmt: skip
        for clip in clips:
            if clip is None:
                yield None
                continue
            remember(clip, plan, memory, name)
            for index, latents in zip(clip.clip.new, clip.new):
                if index >= start:
                    yield index, self._decoded(latents[None], index)

    def _decoded(self, latents: Tensor, index: int) -> Array:
        """Returns the picture (S, S, 3) uint8 of a frame's latents (1, C, h, w)."""
        picture: Array = as_pictures(finite(lambda: self.decode(latents), f"the decoder gave, for frame {index},"))[0]
        return picture

    def frames(
        self,
        shots: Sequence[Shot],
        seed: int,
        *,
        start: int = 0,
        steps: int | None = None,
        guidance: float | None = None,
        memory: Memory | None = None,
    ) -> Iterator[tuple[int, Array] | None]:
        """Yields (index, RGB (H, W, 3) uint8 of the photograph's size) from ``start`` on, None after every other step.

        shots: faces of one photograph, with motions of equal length. ``memory`` as in :meth:`squares`; the bytes are the same with
        and without. Raises :class:`InvalidInput`.
        """
        if not shots:
            raise InvalidInput("no face was chosen", "give one shot or more")
        lengths = {len(shot.driving) for shot in shots}
        if len(lengths) > 1 or any(shot.photo.shape != shots[0].photo.shape for shot in shots):
            raise InvalidInput(
                f"faces of one photograph need motions of equal length, these have {sorted(lengths)} frames", "trim them"
            )
        streams = [
            self.squares(shot, seed + face, steps, guidance, start, memory, f"face{face}-clip") for face, shot in enumerate(shots)
        ]
        for index in range(start, lengths.pop()):
            pasted = []
            for shot, stream in zip(shots, streams):
                done = next(stream)
                while done is None:
                    yield None
                    done = next(stream)
                pasted.append((done[1], shot.onto_canvas))
            yield index, paste(shots[0].photo, pasted)


class NetInput(NamedTuple):
    """Inputs of the networks: canvas (S, S, 3) uint8; onto_canvas (2, 3): picture → canvas; five points (5, 2) in pixels of the canvas;
    crop (256, 256, 3) uint8 for the reconstruction network."""

    canvas: Array
    onto_canvas: Array
    five: Array
    crop: Array


def net_input(image: Array, landmarks: Array, side: int) -> NetInput:
    """Align a picture (H, W, 3) uint8 by its face's landmarks (478, 2), pixels, to a canvas of ``side`` pixels."""
    points = landmarks[:468]
    onto_canvas = similarity(box_corners([points.min(0), points.max(0)]), BOX_512 * side / 512)
    canvas = draw(image, onto_canvas, side, side)
    five = five_points(landmarks) @ onto_canvas[:, :2].T + onto_canvas[:, 2]
    return NetInput(canvas, onto_canvas, five, draw(canvas, face_affine(five), CROP_SIDE, CROP_SIDE))


def net_output(reconstruct: Reconstruct, crop: Array, device: torch.device) -> tuple[dict[str, Array], Array]:
    """Returns the coefficients by name and the four numbers of gaze of a crop. Raises :class:`InvalidCheckpoint` for an invalid output."""
    with torch.inference_mode():
        output = reconstruct(as_images(crop[None]).to(device))
    values = output.float().cpu().numpy().astype(np.float64)
    if values.shape != (1, COEFFICIENTS + 4) or not np.isfinite(values).all():
        raise InvalidCheckpoint(f"the reconstruction network gives {values.shape}, expected finite numbers (1, 261)")
    return split_coefficients(values[0, :COEFFICIENTS]), values[0, COEFFICIENTS:]


def with_native(driving: Driving, source: SourceFace, motion: MotionClip, absolute: bool) -> Driving:
    """Returns ``driving`` with β and gaze replaced by the motion's native values, if any, relative to its neutral or absolute."""
    frame = None if absolute else motion.neutral_frame()

    def over(values: Array | None, portrait: Array, otherwise: Array) -> Array:
        if values is None:
            return otherwise
        native = values.astype(np.float64)
        return native if absolute else portrait + native - (0.0 if frame is None else native[frame])

    expression = over(motion.expression_bfm, source.expression, driving.expression)
    gaze = over(motion.gaze_d3dfr, source.gaze, driving.gaze)
    return Driving(expression, driving.rotation, driving.translation, gaze, driving.crop)
