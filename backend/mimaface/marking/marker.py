"""Marking of a shot's frames: watermark in pixels, then XMP and credentials in the finished file."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mimaface.protocol.arrays import Array
from mimaface.protocol.errors import MimaFaceError
from mimaface.protocol.files import replacing
from mimaface.protocol.settings import RenderSettings

from .consent import consent_of
from .credentials import TOOL, Signer, Statement
from .watermark import Watermark
from .xmp import into_mp4, into_png, packet


def _beside(image: Array) -> tuple[Array, Array]:
    """A picture one level darker, and one level lighter."""
    return np.maximum(image, 1) - np.uint8(1), np.minimum(image, 254) + np.uint8(1)


MOST_CHECKED = 5  # frames of a shot in which the watermark is looked for until it is found, at 20 ms each


class Marker:
    """Marks pictures and files. ``picture`` is deterministic; ``png`` and ``film`` come last, because a signature covers the
    whole file.

    If signing is not possible, the other marks are still applied and ``problem`` contains the reason. ``unfound`` is "" or a sentence that
    the watermark was found in none of the first frames as they were marked, because they are small. Thread-safe.
    """

    def __init__(self, source: str, settings: RenderSettings, home: Path, face: Array | None = None) -> None:
        """source: SHA-256 of the photograph's file; home: the user's folder, with certificate and consent; face: see
        :class:`Watermark`.
        """
        wholly = settings.engine != "proxy" and settings.framing == "face"
        self.statement = Statement(source, settings.engine, wholly, consent_of(home, source), settings.watermark)
        self.problem = self.unfound = ""
        self._to_check = MOST_CHECKED
        self._signer: Signer | None = None
        self._watermark = Watermark.of(source, face) if settings.watermark else None
        self._xmp = packet(self.statement.source_type, TOOL)
        try:
            self._signer = Signer(home)
        except MimaFaceError as error:
            self.problem = f"frames get no content credentials: {error}"

    def picture(self, image: Array, changed: Array | None = None) -> Array:
        """Returns a picture (H, W, 3 or 4) uint8 with the watermark, unless the settings disable it.

        changed (H, W) bool: where a film's frame was changed; elsewhere the watermark changes a pixel by at most one level of 0–255.
        """
        if self._watermark is None:
            return image
        marked = self._watermark.mark(image)
        if changed is not None:
            marked = np.where(changed[..., None], marked, np.clip(marked, *_beside(image)))
        if self._to_check > 0:
            height, width = marked.shape[:2]
            found = self._watermark.is_found_in(marked)
            self._to_check = 0 if found else self._to_check - 1
            self.unfound = "" if found else f"frames of {width} × {height} pixels are too small for their watermark to be found"
        return marked

    def png(self, content: bytes) -> bytes:
        """Returns a finished PNG file with XMP and credentials."""
        described = into_png(content, self._xmp)
        return described if self._signer is None else self._signer.png(described, self.statement)

    def film(self, path: Path) -> None:
        """Adds XMP and credentials to a finished MP4 file. Raises :class:`OSError`."""
        into_mp4(path, self._xmp)
        if self._signer is not None:
            with replacing(path) as signed:
                self._signer.film(path, signed, self.statement)
