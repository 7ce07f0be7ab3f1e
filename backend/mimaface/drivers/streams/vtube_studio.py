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
            return self._decode(json.loads(packet))
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError, OverflowError) as error:
            raise UnknownPacket from error

    def greeting(self, port: int) -> bytes:
        """Requests packets to ``port`` for ``REQUESTED_SECONDS``."""
        request = {"messageType": "iOSTrackingDataRequest", "time": REQUESTED_SECONDS, "sentBy": "MIMAFace", "ports": [port]}
        return json.dumps(request).encode()

    def _decode(self, content: dict[str, Any]) -> Sample:
        blendshapes, known = weights_of((str(item["k"]), float(item["v"])) for item in content["BlendShapes"])
        seconds = finite([float(content["Timestamp"]) / 1000])[0]
        if content.get("FaceFound") is False:
            return Sample(seconds)
        if known < FEWEST_BLENDSHAPES:
            raise UnknownPacket

        def vector(name: str) -> list[float]:
            return finite(float(content[name][axis]) for axis in ("x", "y", "z"))

        rotation, gaze = from_arkit_degrees(vector("Rotation"), vector("EyeLeft"), vector("EyeRight"))
        if not self._eyes:
            return Sample(seconds, blendshapes, rotation)
        return Sample(seconds, blendshapes, rotation, np.array(vector("Position")) * CENTIMETRE, gaze)
