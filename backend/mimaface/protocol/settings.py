"""Render settings, sent with a job and part of its identity."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any

from .arkit import regions_of
from .errors import InvalidInput

STANDARD = "standard"
DRAFT = "draft"
QUALITIES = (DRAFT, STANDARD, "final")  # mimaface.model.config.Quality defines them per model
BODY_FOLLOWS = 1.0  # default, 0 to 1; chosen as the closest to six filmed people. Raised: shoulders follow the head further


@dataclass(frozen=True)
class RenderSettings:
    """Settings of a render.

      engine      renderer: "proxy" (the reprojected photograph), "demo" (the small diffusion model that is shipped) or "released"
      size        pixels of the longer side of the output frame; 0 = the photograph's own size
      framing     "photo": the whole photograph with the face pasted back; "face": the square crop around the head
      transparent PNG with alpha: everything except the person is transparent; a photograph's own alpha is always kept
      absolute    apply head and expression as recorded, not relative to the neutral frame
      seed        0 … 2⁶³−1
      face        index of the face in the picture, largest first
      watermark   embeds an imperceptible provenance watermark; off only for intermediate work
      quality     one of ``QUALITIES``: the sampling steps, for renderers with a model
      body_follows  how far the shoulders follow a head that moves far, 0 (not at all) to 1; not with "released"
      only        regions of :data:`mimaface.protocol.arkit.REGIONS`, separated by commas, that the motion moves; the rest stays as it
                  is in the picture; "" = all
    """

    engine: str = "proxy"
    size: int = 0
    framing: str = "photo"
    transparent: bool = False
    absolute: bool = False
    seed: int = 0
    face: int = 0
    watermark: bool = True
    quality: str = STANDARD
    body_follows: float = BODY_FOLLOWS
    only: str = ""

    def __post_init__(self) -> None:
        if self.framing not in ("photo", "face"):
            raise InvalidInput(f"framing {self.framing!r} is unknown", 'use "photo" or "face"')
        if self.size != 0 and not 64 <= self.size <= 8192:
            raise InvalidInput(f"size {self.size} is out of range", "use 0 for the photograph's size, or 64 to 8192")
        if not 0 <= self.seed < 2**63:
            raise InvalidInput(f"seed {self.seed} is out of range", "use 0 to 2^63 - 1")
        if self.quality not in QUALITIES:
            raise InvalidInput(f"quality {self.quality!r} is unknown", f"use one of: {', '.join(QUALITIES)}")
        if self.face < 0:
            raise InvalidInput(f"face {self.face} is out of range", "0 is the largest face of the picture")
        if not 0 <= self.body_follows <= 1:
            raise InvalidInput(f"body_follows {self.body_follows} is out of range", "use 0 (the shoulders stay) to 1 (they follow)")
        regions_of(self.only)

    def to_wire(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_wire(cls, values: dict[str, Any]) -> RenderSettings:
        """Builds settings from a message; fields of newer versions are ignored, wrong types raise :class:`InvalidInput`."""
        known: dict[str, Any] = {}
        for item in fields(cls):
            if item.name in values:
                value = values[item.name]
                if type(item.default) is float and type(value) is int:
                    value = float(value)
                if type(value) is not type(item.default):
                    raise InvalidInput(f"setting {item.name} must be {type(item.default).__name__}, got {value!r}")
                known[item.name] = value
        return cls(**known)
