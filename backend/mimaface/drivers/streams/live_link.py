"""Live Link Face for iPhone, over UDP in its ARKit mode (packet version 6)."""

from __future__ import annotations

import struct

import numpy as np

from mimaface.protocol.arkit import BLENDSHAPE_NAMES

from .base import Decoder, Sample, UnknownPacket, finite, plausible, quaternion_of

VERSIONS = range(1, 16)  # of the packet format: 6, and others with exactly its layout
LONGEST_NAME = 256  # bytes of a device or subject name
VALUES = len(BLENDSHAPE_NAMES) + 9  # blendshapes in ARKit's order, then yaw, pitch, roll of head, left eye and right eye


class LiveLinkFace(Decoder):
    """Packets, big-endian: u8 6; device and subject, each i32 length and bytes; i32 frame; f32 subframe; i32 rate numerator and
    denominator; u8 61; 61 × f32 weights and radians. A packet without a face ends after the rate. Eyes: yaw + right, pitch +
    down; head: yaw + left, pitch + up, roll + right shoulder.
    """

    name, port, largest = "Live Link Face", 11111, 2048

    def decode(self, packet: bytes, arrived: float) -> Sample | None:
        """See :meth:`Decoder.decode`."""
        try:
            return self._decode(packet)
        except (struct.error, OverflowError, UnknownPacket) as error:
            raise UnknownPacket(METAHUMAN if _is_metahuman(packet) else "") from error

    def _decode(self, packet: bytes) -> Sample:
        if not packet or packet[0] not in VERSIONS:
            raise UnknownPacket
        device, place = _text(packet, 1)
        subject, place = _text(packet, place)
        frame, subframe, numerator, denominator = struct.unpack_from(">ifii", packet, place)
        place += 16
        if numerator <= 0 or denominator <= 0:
            raise UnknownPacket
        seconds = finite([(frame + subframe) * denominator / numerator])[0]
        timecode = _timecode(frame, max(round(numerator / denominator), 1))
        if place == len(packet):
            return Sample(seconds, timecode=timecode, device=device, subject=subject)
        if packet[place] != VALUES or len(packet) != place + 1 + 4 * VALUES:
            raise UnknownPacket
        values = np.frombuffer(packet, ">f4", VALUES, place + 1).astype(np.float32)
        weights, angles = plausible(values[: len(BLENDSHAPE_NAMES)]), finite(values[len(BLENDSHAPE_NAMES) :])
        gaze = -np.array([angles[3:5], angles[6:8]], np.float32)
        head = quaternion_of(angles[0], angles[1], -angles[2])
        return Sample(seconds, weights, head, gaze=gaze, timecode=timecode, device=device, subject=subject)


METAHUMAN = "the app sends in its MetaHuman mode: in Live Link Face, choose Live Link (ARKit) as capture mode"


def _timecode(frame: int, rate: int) -> str:
    """Returns the timecode of a frame since midnight at ``rate`` frames per second."""
    seconds, rest = divmod(frame, rate)
    return f"{seconds // 3600 % 24:02}:{seconds // 60 % 60:02}:{seconds % 60:02}:{rest:02}"


def _text(packet: bytes, place: int) -> tuple[str, int]:
    (length,) = struct.unpack_from(">i", packet, place)
    end = place + 4 + length
    if not 0 <= length <= LONGEST_NAME or end > len(packet):
        raise UnknownPacket
    return packet[place + 4 : end].decode("utf-8", "replace"), end


def _is_metahuman(packet: bytes) -> bool:
    """Returns whether a packet starts like MetaHuman mode's: u16 version, u16 length and a subject name, in either byte order."""
    for order in ("<", ">"):
        if len(packet) > 8:
            version, length = struct.unpack_from(f"{order}HH", packet)
            if 0 < version < 16 and 0 < length <= LONGEST_NAME and packet[4 : 4 + length].isascii() and len(packet) > 28 + length:
                return True
    return False
