"""The alpha of a frame: from the person's matte, or from the photograph's own alpha."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from PIL import Image
from scipy.ndimage import binary_fill_holes, label

from mimaface.face.networks import PersonSegmenter
from mimaface.geometry.distances import further_inside
from mimaface.geometry.interpolation import smoothstep
from mimaface.geometry.strips import row_strips
from mimaface.protocol.arrays import Array

from . import tuning

Backdrop: TypeAlias = Callable[[slice], Array] | float


@dataclass(frozen=True, eq=False)
class Cutout:
    """still (H, W) float32: opacity of the photograph; under (2, h, w) float32: opacity of the rendered part behind the moving person, without
    and with its shoulders;
    backdrop: rows → colours (h, W, 3) behind transparent pixels, or one level for all of them.
    """

    still: Array
    under: Array
    backdrop: Backdrop

    @classmethod
    def of(
        cls, still: Array, beyond: Array | float, backdrop: Backdrop, part: tuple[slice, slice], cuts: list[tuple[Array, Array]]
    ) -> Cutout:
        """``beyond`` (h, w): opacity of the photograph behind the person; cuts: inside and invented (h, w) of :class:`Cut`, of both."""
        under = []
        for opacity, invented in cuts:
            rest = np.clip((still[part] - opacity) / np.maximum(1 - opacity, 1e-3), 0, 1)
            under.append((rest * (1 - invented) + invented * beyond).astype(np.float32))
        return cls(still, np.stack(under), backdrop)

    def alpha(self, part: tuple[slice, slice], loose: float, moved: tuple[Array, Array] | None = None) -> Array:
        """(H, W) uint8 of a frame as photographed; or ``moved``: how much the person covers of each pixel of its ``part``, and how much of it
        is as photographed (h, w), with the shoulders as far as they are ``loose``, 0 to 1."""
        result = self.still
        if moved is not None:
            cover, still = moved
            frame = cover + (1 - cover) * (self.under[0] + np.float32(loose) * (self.under[1] - self.under[0]))
            result = result.copy()
            result[part] = frame + still * (result[part] - frame)
        return np.asarray(np.rint(255 * result).astype(np.uint8))

    def straight(self, picture: Array) -> Array:
        """Returns a frame (H, W, 4) uint8 with straight alpha."""
        return straight(picture, self.backdrop)


def straight(picture: Array, backdrop: Backdrop) -> Array:
    """Returns a picture (H, W, 4) uint8 over a backdrop with straight alpha: the backdrop is removed from its colours."""
    result = picture.copy()
    for rows in row_strips(len(picture)):
        alpha = picture[rows, :, 3:] / np.float32(255)
        behind = backdrop if isinstance(backdrop, float) else backdrop(rows)
        colours = (picture[rows, :, :3] - (1 - alpha) * behind) / np.maximum(alpha, 1 / 255)
        result[rows, :, :3] = np.rint(np.clip(np.where(alpha > 0, colours, 0), 0, 255)).astype(np.uint8)
    return result


def within_alpha(matte: Array, alpha: Array) -> Array:
    """The matte (H, W) float32 of a picture with an ``alpha`` (H, W) uint8, in which the network found the person at ``matte`` (H, W).

    Where the alpha is a person's outline it replaces the network's matte; else the two are intersected.
    """
    share = alpha.astype(np.float32) / 255
    rows, columns = np.nonzero(matte > 0.5)
    around = np.s_[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
    loose = (share * (matte < 0.5))[around].sum() > 0.1 * share[around].sum()  # a tenth of what is opaque is not the person
    return np.minimum(matte, share) if loose else share


def whole_person(image: Array, matte: Array) -> Array:
    """Returns the ``matte`` (H, W) float32 of a person, which ends a few face sizes from the face, extended by the rest of the body in ``image``."""
    rows, columns = np.nonzero(matte > tuning.CLEAR)
    near = np.s_[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
    found = Image.fromarray(PersonSegmenter.load()(image)).resize(image.shape[1::-1], Image.Resampling.BICUBIC)
    result = np.asarray(smoothstep(tuning.EDGE_LOW, tuning.EDGE_HIGH, np.asarray(found)), np.float32)
    result[near] = matte[near]
    people, count = label(result > 0.5)
    if count > 1:
        mine = np.bincount(people[near][matte[near] > 0.5], minlength=count + 1)[1:].argmax() + 1
        result[(people > 0) & (people != mine)] = 0
    result[further_inside(binary_fill_holes(result > 0.5), tuning.SURE_PERSON * max(image.shape[:2]))] = 1
    return result
