"""How a file is to be understood where it does not say so itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from mimaface.protocol.errors import InvalidInput
from mimaface.protocol.texts import shown


@dataclass(frozen=True)
class ReadingSettings:
    """timecode_rate: frames a second that a take's time column counts, 0: what the file shows; angles: "degrees" or "radians", values:
    "percent" or "shares" of the blendshapes, "": what the numbers show. They matter to tables only, not to videos."""

    timecode_rate: float = 0.0
    angles: str = ""
    values: str = ""

    def __post_init__(self) -> None:
        if not (self.timecode_rate == 0 or 1 <= self.timecode_rate <= 1000):
            raise InvalidInput(f"a timecode rate of {self.timecode_rate} is out of range", "use 1 to 1000, for example 30")
        for value, known in ((self.angles, ("degrees", "radians")), (self.values, ("percent", "shares"))):
            if value not in ("", *known):
                raise InvalidInput(f"a take cannot be read as {shown(value, 40)!r}", f"use {' or '.join(known)}")

    @classmethod
    def from_wire(cls, values: dict[str, Any]) -> ReadingSettings:
        """Build from message fields; unknown ones are ignored, wrong types raise :class:`InvalidInput`."""
        try:
            rate = float(values.get("timecode_rate", 0.0))
        except (TypeError, ValueError) as error:
            raise InvalidInput("the timecode rate is not a number", "use 1 to 1000, for example 30") from error
        return cls(rate, *(str(values.get(name, "")) for name in ("angles", "values")))
