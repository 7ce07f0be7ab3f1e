"""VTube Studio for iPhone, and MeowFace for Android with the same JSON, over UDP."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from .base import Sample, UnknownPacket, finite, from_arkit_degrees, weights_of

REQUESTED_SECONDS = 5  # seconds of packets per request, which is repeated earlier
FEWEST_BLENDSHAPES = 10  # known blendshapes that a packet must contain to belong to this stream
CENTIMETRE = 0.01


class VTubeStudio:
    """Packets ``{"Timestamp": ms, "FaceFound": …, "Rotation": {x, y, z}, "Position": …, "EyeLeft": …, "EyeRight": …,
    "BlendShapes": [{"k", "v"}]}``: degrees about ARKit's axes, centimetres.
    """

    name, port, largest = "VTube Studio", 21412, 16384

    def __init__(self, eyes: bool = True) -> None:
        """eyes: False for MeowFace, whose eye angles and positions are not meaningful."""
        self._eyes = eyes
        if not eyes:
            self.name, self.port = "MeowFace", 12345

    def decode(self, packet: bytes, arrived: float) -> Sample | None:
        """See :meth:`Decoder.decode`."""
        try:
            return self._decode(json.loads(packet), arrived)
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError, OverflowError) as error:
            raise UnknownPacket from error

    def greeting(self, port: int) -> bytes:
        """Requests packets to ``port`` for ``REQUESTED_SECONDS``."""
        request = {"messageType": "iOSTrackingDataRequest", "time": REQUESTED_SECONDS, "sentBy": "MIMAFace", "ports": [port]}
        return json.dumps(request).encode()

    def _decode(self, content: dict[str, Any], arrived: float) -> Sample:
        blendshapes, known = weights_of((str(item["k"]), float(item["v"])) for item in content["BlendShapes"])
        seconds = finite([float(content["Timestamp"]) / 1000])[0] if "Timestamp" in content else arrived
        if not content.get("FaceFound", True):
            return Sample(seconds)
        if known < FEWEST_BLENDSHAPES:
            raise UnknownPacket

        def vector(name: str) -> list[float] | None:
            value = content.get(name)
            return None if value is None else finite(float(value[axis]) for axis in ("x", "y", "z"))

        left, right, place = (vector(name) if self._eyes else None for name in ("EyeLeft", "EyeRight", "Position"))
        rotation, gaze = from_arkit_degrees(vector("Rotation") or (0, 0, 0), left or (0, 0, 0), right or (0, 0, 0))
        head_pos = None if place is None else np.array(place) * CENTIMETRE
        both = left is not None and right is not None
        return Sample(seconds, blendshapes, rotation if content.get("Rotation") else None, head_pos, gaze if both else None)
