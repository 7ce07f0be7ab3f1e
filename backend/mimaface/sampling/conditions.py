"""Pictures as tensors, and the inputs of the networks for posed frames: the U-Net's conditions and the refiner's inputs.

Training, evaluation and inference all call :meth:`Conditions.of`, so that their inputs for one sample and pose are bitwise equal.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from mimaface.engines.precision import HINT
from mimaface.model.config import MimaFaceConfig
from mimaface.protocol.arrays import Array
from mimaface.protocol.errors import NotFinite

Encode = Callable[[Tensor], Tensor]  # RGB in [−1, 1] (N, 3, S, S) → latents (N, C, h, w)
FRAME_CONDITIONS = ("render", "normals")  # conditions per frame, by their names in ``MimaFaceConfig.conditions``
PORTRAIT_CONDITIONS = ("source", "source_normals")  # conditions that all frames of a portrait share


def as_images(pictures: Array) -> Tensor:
    """(…, H, W, 3) uint8 → (…, 3, H, W) float32 in [−1, 1]."""
    return torch.from_numpy(np.array(pictures, np.uint8)).movedim(-1, -3).float() / 127.5 - 1


def as_pictures(images: Tensor) -> Array:
    """(…, 3, H, W) in [−1, 1] → (…, H, W, 3) uint8. Raises :class:`NotFinite`."""
    if not bool(torch.isfinite(images).all()):
        raise NotFinite("a picture contains numbers that are not finite", HINT)
    return np.asarray(((images.detach().float().clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8).movedim(-3, -1).cpu().numpy())


def normals_condition(pictures: Array, side: int) -> Tensor:
    """Pictures of normals (N, S, S, 3) uint8 from ``face.renders`` → (N, 4, side, side) float32 in [−1, 1].

    Channels: the mean normal of each cell, zero outside the head, and the head's coverage.
    """
    normals = as_images(pictures)
    covered = (normals.amax(1, keepdim=True) > -0.5).to(normals)  # a visible normal has a component above −0.5
    return functional.adaptive_avg_pool2d(torch.cat([normals * covered, covered], 1), side)


def provenance_condition(pictures: Array, side: int) -> Tensor:
    """Provenance masks (N, S, S, 3) uint8 from ``Reprojector.posed`` → (N, 3, side, side) float32: shares in [0, 1] of
    photographed person, inpainted pixels, and photographed background.
    """
    return functional.adaptive_avg_pool2d((as_images(pictures) + 1) / 2, side)


def resized(images: Tensor, size: tuple[int, int]) -> Tensor:
    """Resizes (N, C, H, W) bicubically, with antialiasing when it shrinks."""
    if tuple(images.shape[-2:]) == size:
        return images
    shrinks = images.shape[-1] > size[-1]
    return functional.interpolate(images, size, mode="bicubic", antialias=shrinks, align_corners=False)


def rows_of_pictures(rows: list[Tensor]) -> Array:
    """Arranges rows of pictures (N, 3, H, W) in [−1, 1] vertically at their own size → (rows·H, N·W, 3) uint8."""
    return np.concatenate([np.concatenate(list(as_pictures(row)), axis=1) for row in rows], axis=0)


def is_reprojected(config: MimaFaceConfig) -> bool:
    """Returns whether the condition "render" is the reprojected photograph, as for models with a "source" condition; otherwise it
    is the paper's I_R, the head in plain colours (:func:`mimaface.face.renders.render_albedo`).
    """
    return "source" in dict(config.conditions)


class SourceConditions(NamedTuple):
    """A portrait's inputs: ``latents`` (1, C, h, w), and ``normals`` (1, 4, h, w) of its fitted head."""

    latents: Tensor
    normals: Tensor

    @classmethod
    def of(cls, encode: Encode, photo: Tensor, normals: Array) -> SourceConditions:
        """photo (1, 3, S, S), RGB in [−1, 1]; normals (S, S, 3) uint8 from :func:`mimaface.face.renders.render_normals`."""
        latents = encode(photo)
        fine = normals_condition(normals[None], 2 * latents.shape[-1]).to(latents.device)
        return cls(latents, functional.avg_pool2d(fine, 2))


class Conditions(NamedTuple):
    """Inputs for N posed frames of a portrait.

      picture     (N, 3, S, S), RGB in [−1, 1]: the render that the model is conditioned on, see :func:`is_reprojected`
      latents     (N, C, h, w) of the picture
      normals     (N, 4, 2·h, 2·w) of the posed head, see :func:`normals_condition`
      provenance  (N, 3, 2·h, 2·w) of the picture, see :func:`provenance_condition`
      source      the portrait
    """

    picture: Tensor
    latents: Tensor
    normals: Tensor
    provenance: Tensor
    source: SourceConditions

    @classmethod
    def of(cls, encode: Encode, picture: Tensor, normals: Array, provenance: Array, source: SourceConditions) -> Conditions:
        """picture as above; normals (N, S, S, 3) uint8 and provenance (N, W, W, 3) uint8 from the head's renderers."""
        latents = encode(picture)
        side, device = 2 * latents.shape[-1], latents.device
        return cls(
            picture, latents, normals_condition(normals, side).to(device), provenance_condition(provenance, side).to(device), source
        )

    @staticmethod
    def joined(parts: Sequence[Conditions]) -> Conditions:
        """Concatenates the frames of several conditions of one portrait."""
        picture, latents, normals, provenance = (torch.cat(values) for values in zip(*(part[:4] for part in parts)))
        return Conditions(picture, latents, normals, provenance, parts[0].source)

    def channels(self, names: Iterable[str]) -> dict[str, Tensor]:
        """Returns the U-Net's conditions of these names, name → (N, c, h, w)."""
        count = len(self.latents)
        available = {
            "render": self.latents,
            "source": self.source.latents.expand(count, -1, -1, -1),
            "normals": functional.avg_pool2d(self.normals, 2),
            "source_normals": self.source.normals.expand(count, -1, -1, -1),
        }
        return {name: available[name] for name in names}

    def refiner_inputs(self, latents: Tensor) -> dict[str, Tensor]:
        """Returns the refiner's inputs with generated ``latents`` (N, C, h, w); see ``Refiner.forward``."""
        still = self.channels(PORTRAIT_CONDITIONS)
        return {
            "latents": latents, "render": self.latents, "picture": self.picture, "provenance": self.provenance,
            "normals": self.normals, **still,
        }  # fmt: skip


def blanked(conditions: dict[str, Tensor]) -> dict[str, Tensor]:
    """Returns the conditions with those of the posed head set to zero: the ablation of the condition "render"."""
    return {name: torch.zeros_like(value) if name in FRAME_CONDITIONS else value for name, value in conditions.items()}
