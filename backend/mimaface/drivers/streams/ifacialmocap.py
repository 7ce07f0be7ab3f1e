"""iFacialMocap and Facemotion3d for iPhone, as text over UDP (data versions 1 and 2)."""

from __future__ import annotations

import re

import numpy as np

from .base import Sample, UnknownPacket, finite, from_arkit_degrees, weights_of

START = b"iFacialMocap_sahuasouryya9218sauhuiayeta91555dy3719|sendDataVersion=v2"
FEWEST_BLENDSHAPES = 10  # known blendshapes that a packet must contain to belong to this stream
BINARY = "the app sends version 3 of its data: enter the phone's address here, so that version 2 is requested, or choose it in the app"
WEIGHT = re.compile(r"([A-Za-z][A-Za-z_]*?)\s*[&-]\s*(-?[0-9.]+)")  # version 1 separates with "-" and has no negative weights


class IFacialMocap:
    """Packets ``name&int|…|=head#rx,ry,rz,px,py,pz|rightEye#rx,ry,rz|leftEye#rx,ry,rz|``: weights in percent, degrees about
    ARKit's axes, metres; no timestamp.
    """

    name, port, largest = "iFacialMocap", 49983, 8192

    def decode(self, packet: bytes, arrived: float) -> Sample | None:
        """See :meth:`Decoder.decode`."""
        if packet.startswith(b"FMV3"):
            raise UnknownPacket(BINARY)
        try:
            return self._decode(packet.decode("utf-8", "replace"), arrived)
        except ValueError as error:
            raise UnknownPacket from error

    def greeting(self, port: int) -> bytes:
        """Requests version 2, which has negative weights."""
        return START

    def _decode(self, text: str, arrived: float) -> Sample:
        weights, turns = [], {}
        tracked = True
        for part in text.split("|"):
            name, sign, rest = part.partition("#")
            if sign:
                turns[name.strip().lstrip("=")] = finite(float(value) for value in rest.split(","))
            elif (found := WEIGHT.fullmatch(part.strip())) is not None:
                if found[1] == "trackingStatus":
                    tracked = float(found[2]) > 0
                else:
                    weights.append((found[1], float(found[2]) / 100))
        blendshapes, known = weights_of(weights)
        if known < FEWEST_BLENDSHAPES:
            raise UnknownPacket
        if not tracked:
            return Sample(arrived)
        head, left, right = (turns.get(name) for name in ("head", "leftEye", "rightEye"))
        if head is None or len(head) < 3:
            return Sample(arrived, blendshapes)
        eyes_sent = left is not None and right is not None and min(len(left), len(right)) >= 2
        rotation, gaze = from_arkit_degrees(head[:3], *((left, right) if eyes_sent else ((0, 0), (0, 0))))
        place = np.array(head[3:6]) if len(head) >= 6 else None
        return Sample(arrived, blendshapes, rotation, place, gaze if eyes_sent else None)
