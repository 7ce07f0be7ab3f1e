"""The portrait: a picture with a face fitted to it, and whether it is a drawing in flat colours, on which the shading of a
photographed head would look wrong."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from PIL import Image

from mimaface.pictures import open_picture
from mimaface.protocol.arrays import Array

from .fit import FittedFace, fit_portrait
from .points import Points, checked


@dataclass(frozen=True, eq=False)
class Portrait:
    """image (H, W, 3) sRGB uint8 with the fit of one face in it; sha256 names the file's content.

    alpha (H, W) uint8 where the file has see-through pixels, else None; warnings: sentences about how the file was read;
    references: further pictures of the person, fitted with the same identity; points: what was placed by hand, name → pixels.
    """

    image: Array
    fit: FittedFace
    sha256: str
    alpha: Array | None = None
    warnings: tuple[str, ...] = ()
    references: tuple[Portrait, ...] = ()
    points: Points = field(default_factory=dict)

    @property
    def flat(self) -> bool:
        """Whether it is a drawing in flat colours."""
        return is_flat(self.image, self.fit.landmarks[:468, :2])

    @classmethod
    def open(
        cls,
        source: Path | str | bytes,
        face: int = 0,
        references: Iterable[Path | str | bytes | tuple[str, bytes]] = (),
        points: Points | None = None,
    ) -> Portrait:
        """Open a picture and fit its ``face``-th largest face, and the same person's in ``references``: pictures, or (name, picture).

        points: where its named points are, pixels (u, v) of the picture as it stands upright; any of them, the others are found. In a
        picture without a face that is found, eight and more are needed. Names are those of :data:`mimaface.face.points.PLACES`.
        Raises :class:`InvalidImage`, :class:`NoFaceFound` or :class:`InvalidInput`.
        """
        picture, content = open_picture(source)
        height, width = picture.image.shape[:2]
        placed = checked(points or {}, width, height)
        fit = fit_portrait(picture.image, face, placed)
        portrait = cls(picture.image, fit, hashlib.sha256(content).hexdigest(), picture.alpha, picture.warnings, points=placed)
        if portrait.flat:
            portrait = replace(portrait, warnings=(*picture.warnings, WARNING))
        named = [_named(reference, number) for number, reference in enumerate(references, 1)]
        if not named:
            return portrait
        from .references import with_references

        return with_references(portrait, named)


def _named(reference: Path | str | bytes | tuple[str, bytes], number: int) -> tuple[str, Path | str | bytes]:
    """Returns a reference with its name in messages."""
    if isinstance(reference, tuple):
        return reference
    return f"reference {number}" if isinstance(reference, bytes) else Path(reference).name, reference


SIDE = 96  # pixels a side to which the face is scaled, so that grain and JPEG are averaged out
ALIKE = 4  # levels in every channel that count as one colour. Higher: smooth photographs count as drawings
# share of the face in one colour from which it is flat: drawings had 0.46 and more, photographs and paintings up to 0.12. Lower: photographs
# of smooth skin in even light count as drawings
FLAT = 0.3
WARNING = (
    "the portrait looks like a drawing in flat colours, and is animated as a photographed head would be: turns of more than about "
    "20 degrees and closed eyes may not look drawn – try them in a few frames first; Generated draws it as Projected does"
)


def is_flat(image: Array, points: Array) -> bool:
    """Whether one colour covers much of the face around ``points`` (K, 2), pixels of a picture (H, W, 3) uint8."""
    low = np.clip(np.floor(points.min(0)), 0, [image.shape[1] - 1, image.shape[0] - 1]).astype(int)
    high = np.maximum(np.ceil(points.max(0)).astype(int), low + 1)
    face = Image.fromarray(image[low[1] : high[1], low[0] : high[0]]).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
    colours = np.asarray(face).reshape(-1, 3)
    coarse = colours.astype(np.int32) // 8 @ [1024, 32, 1]
    found, count = np.unique(coarse, return_counts=True)
    usual = np.median(colours[coarse == found[np.argmax(count)]], axis=0)
    return bool((np.abs(colours - usual).max(1) <= ALIKE).mean() >= FLAT)
