"""OpenSeeFace, a webcam tracker for desktop systems, over UDP."""

from __future__ import annotations

import math
import struct

import numpy as np

from mimaface.protocol.arkit import BLENDSHAPE_INDEX, BLENDSHAPE_NAMES
from mimaface.protocol.arrays import Array

from .base import Decoder, Sample, UnknownPacket, finite, plausible, quaternion_of

FACE_BYTES = 1785  # bytes of one face
LOST = 0.5  # seconds without the face that is read until another one is. Raised: a second person is read later
HEADER = struct.Struct("<diffffBf4f3f3f")  # time, id, size, openness right and left, found, error, quaternion, Euler, translation
POINTS_OFFSET = HEADER.size + 4 * (68 + 2 * 68)  # bytes before the 70 points (x, y, z)
FEATURES_OFFSET = FACE_BYTES - 4 * 14
# (feature, blendshape, gain): a feature is −1 to 1 relative to the person's usual face; its positive part times the gain is the
# weight. Tracker's order: eyes, brows (steepness, up, quirk) and mouth corners (up, outwards) of both sides, mouth open, wide.
FEATURE_GAINS = (
    (3, "browOuterUpLeft", 1.0), (3, "browDownLeft", -1.0), (6, "browOuterUpRight", 1.0), (6, "browDownRight", -1.0),
    (8, "mouthSmileLeft", 1.0), (8, "mouthFrownLeft", -1.0), (10, "mouthSmileRight", 1.0), (10, "mouthFrownRight", -1.0),
    (12, "jawOpen", 1.0), (13, "mouthStretchLeft", 0.5), (13, "mouthStretchRight", 0.5), (13, "mouthPucker", -1.0),
)  # fmt: skip


class OpenSeeFace(Decoder):
    """Packets, little-endian: 1785 bytes per face. Of several the first that was found is read, until it is lost for ``LOST``."""

    name, port, largest = "OpenSeeFace", 11573, 40 * FACE_BYTES

    def __init__(self) -> None:
        self._face, self._seen = -1, float("-inf")  # number of the face that is read, and monotonic seconds at which it was found last

    def decode(self, packet: bytes, arrived: float) -> Sample | None:
        """See :meth:`Decoder.decode`."""
        if not packet or len(packet) % FACE_BYTES:
            raise UnknownPacket
        faces = [packet[start : start + FACE_BYTES] for start in range(0, len(packet), FACE_BYTES)]
        seen = {HEADER.unpack_from(face)[1]: face for face in reversed(faces) if HEADER.unpack_from(face)[6]}
        if self._face not in seen and seen and arrived - self._seen > LOST:
            self._face = next(reversed(seen))
        if self._face not in seen:
            return Sample(finite(HEADER.unpack_from(packet))[0])
        packet = seen[self._face]
        seconds, _, _, _, right_open, left_open, _, _, *turn = finite(HEADER.unpack_from(packet))
        weights = np.zeros(len(BLENDSHAPE_NAMES), np.float32)
        weights[BLENDSHAPE_INDEX["eyeBlinkLeft"]] = min(max(1 - left_open, 0.0), 1.0)
        weights[BLENDSHAPE_INDEX["eyeBlinkRight"]] = min(max(1 - right_open, 0.0), 1.0)
        features = finite(struct.unpack_from("<14f", packet, FEATURES_OFFSET))
        for index, blendshape, gain in FEATURE_GAINS:
            weights[BLENDSHAPE_INDEX[blendshape]] = min(max(features[index] * gain, 0.0), 1.0)
        x, y, z = turn[4:7]
        yaw, pitch, roll = (math.radians(value) for value in (y, -_wrapped(x + 180), _wrapped(z - 90)))
        sample = Sample(seconds, plausible(weights), quaternion_of(yaw, pitch, roll), gaze=_gaze(packet))
        self._seen = arrived
        return sample


def _wrapped(degrees: float) -> float:
    return (degrees + 180) % 360 - 180


def _gaze(packet: bytes) -> Array | None:
    """Returns gaze (2, 2) from the directions of eyeball centres (points 68, right, and 69) to pupils (66 and 67), or None."""
    points = np.frombuffer(packet, "<f4", 3 * 70, POINTS_OFFSET).reshape(70, 3).astype(float)
    angles = []
    for pupil, middle in ((67, 69), (66, 68)):
        x, y, z = points[pupil] - points[middle]
        length = math.sqrt(x * x + y * y + z * z)
        if not 1e-6 < length < math.inf:
            return None
        angles.append([math.atan2(x, abs(z)), math.asin(y / length)])
    return np.array(angles, np.float32)
