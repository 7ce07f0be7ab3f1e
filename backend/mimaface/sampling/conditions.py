"""What the networks are given of posed frames: the only author of the U-Net's conditions and of the refiner's inputs.

Training, evaluation and use call :meth:`Conditions.of` with the same pictures, so that for one sample and pose all three are equal to
the bit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from mimaface.model.config import MimaFaceConfig

from .images import normals_condition, provenance_condition

Array = NDArray[Any]
Encode = Callable[[Tensor], Tensor]  # RGB in [−1, 1] (N, 3, S, S) → latents (N, C, h, w)
MOVING = ("render", "normals")  # conditions of every frame, by the names of ``MimaFaceConfig.conditions``
STILL = ("source", "source_normals")  # conditions that all frames of a portrait share


def is_reprojected(config: MimaFaceConfig) -> bool:
    """Whether the condition "render" is the reprojected photograph, as for models that are given the source, too; else it is the
    paper's I_R, the head in plain colours (:func:`mimaface.face.albedo.render_albedo`)."""
    return "source" in dict(config.conditions)


class SourceConditions(NamedTuple):
    """A portrait as the networks see it: ``latents`` (1, C, h, w), and the ``normals`` (1, 4, h, w) of its fitted head."""

    latents: Tensor
    normals: Tensor

    @classmethod
    def of(cls, encode: Encode, photo: Tensor, normals: Array) -> SourceConditions:
        """photo (1, 3, S, S), RGB in [−1, 1]; normals (S, S, 3) uint8 as :func:`mimaface.face.normals.render_normals` draws them."""
        latents = encode(photo)
        fine = normals_condition(normals[None], 2 * latents.shape[-1]).to(latents.device)
        return cls(latents, functional.avg_pool2d(fine, 2))


class Conditions(NamedTuple):
    """N posed frames of one portrait as the networks see them.

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
        """picture as above; normals (N, S, S, 3) uint8 and provenance (N, W, W, 3) uint8 as the head's renderers draw them."""
        latents = encode(picture)
        side, device = 2 * latents.shape[-1], latents.device
        return cls(
            picture, latents, normals_condition(normals, side).to(device), provenance_condition(provenance, side).to(device), source
        )

    @staticmethod
    def joined(parts: Sequence[Conditions]) -> Conditions:
        """The frames of several conditions of one portrait, in order."""
        picture, latents, normals, provenance = (torch.cat(values) for values in zip(*(part[:4] for part in parts)))
        return Conditions(picture, latents, normals, provenance, parts[0].source)

    def channels(self, names: Iterable[str]) -> dict[str, Tensor]:
        """The U-Net's conditions of these names, name → (N, c, h, w)."""
        count = len(self.latents)
        every = {
            "render": self.latents,
            "source": self.source.latents.expand(count, -1, -1, -1),
            "normals": functional.avg_pool2d(self.normals, 2),
            "source_normals": self.source.normals.expand(count, -1, -1, -1),
        }
        return {name: every[name] for name in names}

    def refiner_inputs(self, latents: Tensor) -> dict[str, Tensor]:
        """What the refiner needs beside generated ``latents`` (N, C, h, w); see ``Refiner.forward``."""
        still = self.channels(STILL)
        return {
            "latents": latents, "render": self.latents, "picture": self.picture, "provenance": self.provenance,
            "normals": self.normals, **still,
        }  # fmt: skip


def blanked(conditions: dict[str, Tensor]) -> dict[str, Tensor]:
    """The same without anything of the posed head: the ablation of the condition "render"."""
    return {name: torch.zeros_like(value) if name in MOVING else value for name, value in conditions.items()}
