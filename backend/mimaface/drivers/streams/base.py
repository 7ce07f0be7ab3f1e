"""Interface of face-capture streams: decoders that turn untrusted packets into samples of one face."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

import numpy as np

from mimaface.drivers.columns import known_column
from mimaface.protocol.arkit import BLENDSHAPE_INDEX, BLENDSHAPE_NAMES
from mimaface.protocol.arrays import Array
from mimaface.protocol.rotation import head_angles_to_matrix, matrix_to_quaternion

LARGEST_WEIGHT = 10.0  # largest plausible blendshape; packets with larger ones are rejected
LATE = 0.05  # seconds, of both clocks, within which packets overtake each other. Higher: a clock that is set back stops the face longer


class UnknownPacket(Exception):
    """A packet that does not belong to the stream; its text is "" or a hint for the user."""


@dataclass(frozen=True, eq=False)
class Sample:
    """One moment of one face.

      seconds               on the sender's clock if it sends one, else the arrival time; any origin
      blendshapes (52,)     in the order of ``BLENDSHAPE_NAMES``, nominal 0–1; None if the sender sees no face
      head_quat (4,)        w, x, y, z, head → camera; None if not sent
      head_pos (3,)         metres, camera frame; None if not sent
      gaze (2, 2)           radians, [left eye, right eye] × [yaw, pitch], head frame; None if not sent
      timecode              hours:minutes:seconds:frames of the sender, or ""
      arrived               monotonic seconds at which its packet was read; NaN where unknown
      device                tells senders apart where several may send from one address and port
      subject               the sender's own name for its users, or ""
    """

    seconds: float
    blendshapes: Array | None = None
    head_quat: Array | None = None
    head_pos: Array | None = None
    gaze: Array | None = None
    timecode: str = ""
    arrived: float = math.nan
    device: str = ""
    subject: str = ""

    def overtaken(self, newest: Sample | None) -> bool:
        """Whether ``newest``, received shortly before, is newer by the sender's clock."""
        return newest is not None and 0 < newest.seconds - self.seconds < LATE and self.arrived - newest.arrived < LATE


class Decoder(Protocol):
    """Turns packets of one kind of stream into samples; keeps state that spans packets."""

    name: str  # product name
    port: int  # default port of the stream
    largest: int  # bytes; larger packets are dropped unread

    def decode(self, packet: bytes, arrived: float) -> Sample | None:
        """Returns the sample that this packet completes, or None. Raises only :class:`UnknownPacket`, whatever the bytes are."""

    def greeting(self, port: int) -> bytes:
        """Returns the request, sent repeatedly to the smartphone, to send to ``port``; b"" for senders that are set up by their
        user."""
        return b""


class Input(Protocol):
    """A source of samples, such as a socket or a webcam. Use as a context manager."""

    ignored: int  # packets that were left out
    packets: int  # that came, or frames
    note: str  # what its user should know

    @property
    def name(self) -> str:
        """The source's name for users."""

    @property
    def where(self) -> str:
        """The address as text, such as "port 11111"."""

    @property
    def port(self) -> int:
        """The local port; 0 for a webcam."""

    @property
    def tracking(self) -> bool:
        """Whether a face was tracked within the last half second."""

    @property
    def delay(self) -> float:
        """Seconds from receiving the newest packet or frame to its sample."""

    @property
    def senders(self) -> list[str]:
        """Names of those that send now, and of the heard one, which is first; empty for a device."""

    def choose(self, name: str) -> bool:
        """Hears this sender whenever it sends; returns whether there is one of this name."""

    def poll(self, timeout: float) -> list[Sample]:
        """Returns the samples since the last call, in order; waits up to ``timeout`` seconds for the first."""

    def __enter__(self) -> Input:
        """Starts receiving."""

    def __exit__(self, *_: object) -> None:
        """Stops receiving."""


def newest_of(samples: Iterable[Sample], before: Sample | None) -> Sample | None:
    """Returns the newest sample with a face; ``before``, the newest so far, where none is newer."""
    for sample in samples:
        if sample.blendshapes is not None and not sample.overtaken(before):
            before = sample
    return before


@lru_cache(maxsize=4096)
def index_of(name: str) -> int:
    """Returns the index of a blendshape in any of its spellings, or −1."""
    return BLENDSHAPE_INDEX.get(known_column(name), -1) if len(name) < 60 else -1


def weights_of(pairs: Iterable[tuple[str, float]]) -> tuple[Array, int]:
    """Returns blendshapes (52,) from (name, weight) pairs, ignoring unknown names, and the number of known ones."""
    weights, known = np.zeros(len(BLENDSHAPE_NAMES), np.float32), 0
    for name, value in pairs:
        index = index_of(name)
        if index >= 0:
            weights[index], known = value, known + 1
    return plausible(weights), known


def plausible(weights: Array) -> Array:
    """Returns ``weights``. Raises :class:`UnknownPacket` if one is not finite or larger than ``LARGEST_WEIGHT``."""
    if not np.isfinite(weights).all() or np.abs(weights).max(initial=0.0) > LARGEST_WEIGHT:
        raise UnknownPacket
    return weights


def finite(values: Iterable[float]) -> list[float]:
    """Returns the values as floats. Raises :class:`UnknownPacket` if one is not finite."""
    numbers = [float(value) for value in values]
    if not all(math.isfinite(value) for value in numbers):
        raise UnknownPacket
    return numbers


def quaternion_of(yaw: float, pitch: float, roll: float) -> Array:
    """Returns the quaternion (4,) of head angles in radians, with the signs of docs/CONVENTIONS.md."""
    return matrix_to_quaternion(head_angles_to_matrix(np.array([yaw, pitch, roll])))


def from_arkit_degrees(head: Iterable[float], left: Iterable[float], right: Iterable[float]) -> tuple[Array, Array]:
    """Converts head (x, y, z) and eyes (x, y, …) in degrees about ARKit's axes – x + down, y + to the subject's left – to
    head_quat and gaze.
    """
    x, y, z = (math.radians(value) for value in finite(head))
    eyes = [[math.radians(eye[1]), -math.radians(eye[0])] for eye in (finite(left), finite(right))]
    return quaternion_of(y, -x, -z), np.array(eyes, np.float32)
