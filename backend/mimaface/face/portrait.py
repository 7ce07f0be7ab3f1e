"""The portrait: a picture with a face fitted to it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from mimaface.pictures import open_picture

from .drawing import WARNING, is_flat
from .fit import FittedFace, fit_portrait

Array = NDArray[Any]


@dataclass(frozen=True, eq=False)
class Portrait:
    """image (H, W, 3) sRGB uint8 with the fit of one face in it; sha256 names the file's content.

    alpha (H, W) uint8 where the file has see-through pixels, else None; warnings: sentences about how the file was read.
    """

    image: Array
    fit: FittedFace
    sha256: str
    alpha: Array | None = None
    warnings: tuple[str, ...] = ()

    @classmethod
    def open(cls, source: Path | str | bytes, face: int = 0) -> Portrait:
        """Open a picture and fit its ``face``-th largest face. Raises :class:`InvalidImage` or :class:`NoFaceFound`."""
        picture, content = open_picture(source)
        fit = fit_portrait(picture.image, face)
        drawn = (WARNING,) if is_flat(picture.image, fit.landmarks[:468, :2]) else ()
        return cls(picture.image, fit, hashlib.sha256(content).hexdigest(), picture.alpha, (*picture.warnings, *drawn))
