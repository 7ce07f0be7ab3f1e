"""How a file is to be understood where it does not say so itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

from mimaface.protocol.errors import InvalidInput
from mimaface.protocol.motion import FASTEST, SLOWEST
from mimaface.protocol.texts import shown

Progress = Callable[[str, int, int], None]  # receives the stage, the frames done and the number of frames, 0 where that is not known
LONGEST_DELAY = 10.0  # seconds either way: more is another take


@dataclass(frozen=True)
class ReadingSettings:
    """Of tables: timecode_rate: frames a second that a take's time column counts, 0: what the file shows; angles: "degrees" or "radians",
    values: "percent" or "shares" of the blendshapes, "": what the numbers show.

    Of speech: sound: drive by the sound of a video, not by its face; transcript: path of a text with the words that are said, "": the
    .txt beside the sound, if there is one; speech_model: path of weights that hear speech (``speech.networks.KNOWN``), "": the phones are
    recognised; language: "en", or "other" to go by the spectrum alone; delay: seconds by which the mouth is
    later than the sound; accents: strength of blinks, brows and head, 0 to 2; rate: frames a second of the motion, 0: 25.
    """

    timecode_rate: float = 0.0
    angles: str = ""
    values: str = ""
    sound: bool = False
    transcript: str = ""
    language: str = "en"
    delay: float = 0.0
    accents: float = 1.0
    rate: float = 0.0
    speech_model: str = ""

    def __post_init__(self) -> None:
        if self.language not in ("en", "other"):
            raise InvalidInput(f"speech cannot be read as {shown(self.language, 40)!r}", 'use "en", or "other" for every other language')
        if self.transcript and self.language == "other":
            raise InvalidInput("a transcript is used for English only", "leave the transcript out, or import a TextGrid of the phones")
        if self.transcript and self.speech_model:
            raise InvalidInput("a speech model does not use a transcript", "leave out one of them")
        if not abs(self.delay) <= LONGEST_DELAY:
            raise InvalidInput(f"a delay of {self.delay} s is out of range", f"use -{LONGEST_DELAY:g} to {LONGEST_DELAY:g}")
        if not 0 <= self.accents <= 2:
            raise InvalidInput(f"accents of {self.accents} are out of range", "use 0 to 2")
        if not (self.rate == 0 or SLOWEST <= self.rate <= FASTEST):
            raise InvalidInput(f"{self.rate} frames per second is out of range", f"use {SLOWEST:g} to {FASTEST:g}")
        if not (self.timecode_rate == 0 or 1 <= self.timecode_rate <= 1000):
            raise InvalidInput(f"a timecode rate of {self.timecode_rate} is out of range", "use 1 to 1000, for example 30")
        for value, known in ((self.angles, ("degrees", "radians")), (self.values, ("percent", "shares"))):
            if value not in ("", *known):
                raise InvalidInput(f"a take cannot be read as {shown(value, 40)!r}", f"use {' or '.join(known)}")

    @classmethod
    def from_wire(cls, values: dict[str, Any]) -> ReadingSettings:
        """Build from message fields; unknown ones are ignored, wrong types raise :class:`InvalidInput`."""
        known: dict[str, Any] = {}
        for item in fields(cls):
            if item.name in values:
                try:
                    known[item.name] = {float: float, bool: bool, str: str}[type(getattr(cls, item.name))](values[item.name])
                except (TypeError, ValueError) as error:
                    name = item.name.replace("_", " ")
                    raise InvalidInput(f"the {name} is not a number", "use a number, for example 30") from error
        return cls(**known)
