"""The portrait: a picture with a face fitted to it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from mimaface.pictures import open_picture
from mimaface.protocol.arrays import Array

from .drawing import WARNING, is_flat
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
        drawn = (WARNING,) if is_flat(picture.image, fit.landmarks[:468, :2]) else ()
        warnings = (*picture.warnings, *drawn)
        portrait = cls(picture.image, fit, hashlib.sha256(content).hexdigest(), picture.alpha, warnings, points=placed)
        named = [_named(reference, number) for number, reference in enumerate(references, 1)]
        if not named:
            return portrait
        from .references import with_references

        return with_references(portrait, named)


def _named(reference: Path | str | bytes | tuple[str, bytes], number: int) -> tuple[str, Path | str | bytes]:
    """A reference with the name that sentences about it use."""
    if isinstance(reference, tuple):
        return reference
    return f"reference {number}" if isinstance(reference, bytes) else Path(reference).name, reference
