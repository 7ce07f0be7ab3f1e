"""Marks the frames of one shot: the watermark in pixels, then XMP and credentials in the finished file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from mimaface.protocol.errors import MimaFaceError
from mimaface.protocol.files import replacing
from mimaface.protocol.settings import RenderSettings

from .consent import consent_of
from .credentials import TOOL, Signer, Statement
from .watermark import Watermark
from .xmp import into_mp4, into_png, packet

Array = NDArray[Any]


class Marker:
    """``picture`` gives equal bytes for equal pictures; ``png`` and ``film`` come last, for a signature covers the whole file.

    Where frames cannot be signed they are marked otherwise, and ``problem`` says why. Several threads may use one.
    """

    def __init__(self, source: str, settings: RenderSettings, home: Path, face: Array | None = None) -> None:
        """``source``: SHA-256 of the photograph's file; ``home``: the user's folder, with the certificate and the answers about consent;
        ``face``: as :class:`Watermark` has it."""
        wholly = settings.engine != "proxy" and settings.framing == "face"
        self.statement = Statement(source, settings.engine, wholly, consent_of(home, source), settings.watermark)
        self.problem = ""
        self._signer: Signer | None = None
        self._watermark = Watermark.of(source, face) if settings.watermark else None
        self._xmp = packet(self.statement.source_type, TOOL)
        try:
            self._signer = Signer(home)
        except MimaFaceError as error:
            self.problem = f"frames get no content credentials: {error}"

    def picture(self, image: Array) -> Array:
        """A picture (H, W, 3 or 4) uint8 with the watermark, unless the settings want none."""
        return image if self._watermark is None else self._watermark.mark(image)

    def png(self, content: bytes) -> bytes:
        """A finished PNG file with XMP and credentials."""
        told = into_png(content, self._xmp)
        return told if self._signer is None else self._signer.png(told, self.statement)

    def film(self, path: Path) -> None:
        """Give a finished MP4 file its XMP and credentials. Raises :class:`OSError`."""
        into_mp4(path, self._xmp)
        if self._signer is not None:
            with replacing(path) as signed:
                self._signer.film(path, signed, self.statement)
