"""Clips and their overlaps: pieces in which a shot of any length is generated. Integers only, constant memory.

Clips advance by ``length − overlap`` frames. The first ``overlap`` frames of a clip repeat the last ones of the previous clip;
their latents are inputs (inter-clip affinity, ICA) and are not generated again. The last clip has full length: past the end of
the shot the motion repeats its last frame, and those frames are dropped. So all clips of a shot have the same number of frames,
and as many overlap latents as in training. A shot shorter than a clip is one short clip.
"""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from dataclasses import dataclass

from mimaface.protocol.errors import InvalidInput

Memory = MutableMapping[str, bytes]  # latents that a job stores between runs, from which a resumed run continues


@dataclass(frozen=True)
class Clip:
    """One clip of a shot.

      frames  shot frame at each place of the clip; past the end the last frame repeats
      given   number of places at the start that repeat the end of the previous clip
      new     shot frames that this clip produces, at least one; they start at place ``given``
    """

    index: int
    frames: tuple[int, ...]
    given: int
    new: range


@dataclass(frozen=True)
class ClipPlan:
    """The clips of a shot as a lazy sequence. Raises :class:`InvalidInput` for inconsistent numbers."""

    frames: int
    length: int
    overlap: int

    def __post_init__(self) -> None:
        if self.frames < 1:
            raise InvalidInput(f"a shot of {self.frames} frames cannot be generated", "select at least one frame")
        if not 0 <= self.overlap < self.length:
            raise InvalidInput(
                f"clips of {self.length} frames cannot overlap by {self.overlap}", "use an overlap of 0 to length - 1"
            )

    def __len__(self) -> int:
        if self.frames <= self.length:
            return 1
        advance = self.length - self.overlap
        return -(-(self.frames - self.overlap) // advance)

    def __getitem__(self, index: int) -> Clip:
        if not 0 <= index < len(self):
            raise IndexError(index)
        start = index * (self.length - self.overlap)
        length = min(self.length, self.frames)
        given = self.overlap if index else 0
        places = tuple(min(start + place, self.frames - 1) for place in range(length))
        return Clip(index, places, given, range(start + given, min(start + length, self.frames)))

    def __iter__(self) -> Iterator[Clip]:
        return (self[index] for index in range(len(self)))

    def clip_of(self, frame: int) -> int:
        """Returns the index of the clip that produces a frame, where a resumed run starts. Raises :class:`InvalidInput` outside
        the shot.
        """
        if not 0 <= frame < self.frames:
            raise InvalidInput(f"frame {frame} is outside the shot of {self.frames} frames")
        return max(0, (frame - self.overlap) // (self.length - self.overlap))
