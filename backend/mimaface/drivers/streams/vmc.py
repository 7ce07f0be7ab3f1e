"""Virtual Motion Capture protocol: OSC over UDP, sent by VSeeFace, Waidayo, TDPT and others."""

from __future__ import annotations

import contextlib
import math
from typing import Any

import numpy as np

from mimaface.optional import optional
from mimaface.protocol.arkit import BLENDSHAPE_NAMES
from mimaface.protocol.arrays import Array
from mimaface.protocol.rotation import quaternion_multiply

from .base import Decoder, Sample, UnknownPacket, finite, index_of, plausible

MOST_NAMES = 300  # blendshapes kept per sender at most; an avatar has about 60
# Seconds after which a value that is not sent again is forgotten, as of another avatar. Raised: a changed avatar is noticed later; lowered:
# lost packets are
KEPT = 2.0
# vowels and lids of plain VRM avatars, for senders without the 52: upper-case name → (blendshape, share)
PRESETS = {
    "A": (("jawOpen", 0.7),), "I": (("mouthStretchLeft", 0.5), ("mouthStretchRight", 0.5), ("jawOpen", 0.15)),
    "U": (("mouthPucker", 0.7), ("jawOpen", 0.15)), "E": (("mouthSmileLeft", 0.3), ("mouthSmileRight", 0.3), ("jawOpen", 0.3)),
    "O": (("mouthFunnel", 0.6), ("jawOpen", 0.4)), "BLINK": (("eyeBlinkLeft", 1.0), ("eyeBlinkRight", 1.0)),
    "BLINK_L": (("eyeBlinkLeft", 1.0),), "BLINK_R": (("eyeBlinkRight", 1.0),),
}  # fmt: skip


class Vmc(Decoder):
    """``/VMC/Ext/Blend/Val name weight`` … ``/VMC/Ext/Blend/Apply`` completes a sample; ``/VMC/Ext/Bone/Pos`` of Neck, Head and
    eyes rotates it. Unity's axes: left-handed, the avatar faces +z, its right is +x.
    """

    name, port, largest = "VMC", 39539, 65_507

    def __init__(self) -> None:
        """Raises :class:`NotInstalled` without python-osc."""
        osc = optional("pythonosc.osc_packet", "reading VMC needs python-osc", "streams")
        self._packet, self._error = osc.OscPacket, osc.ParseError
        self._weights: dict[str, tuple[float, float]] = {}  # value, and monotonic seconds of its arrival
        self._bones: dict[str, tuple[Array, float]] = {}
        self._seconds: float | None = None

    def decode(self, packet: bytes, arrived: float) -> Sample | None:
        """See :meth:`Decoder.decode`."""
        try:
            messages = self._packet(packet).messages
        except Exception as error:  # the parser raises undocumented errors on malformed bytes
            raise UnknownPacket from error
        sample = None
        known = False
        for timed in messages:
            address, values = timed.message.address, list(timed.message.params)
            # a message that is damaged leaves the others of its packet valid
            with contextlib.suppress(TypeError, ValueError, IndexError, OverflowError, UnknownPacket):
                sample = self._take(address, values, arrived) or sample
                known |= address.startswith("/VMC/")
        if not known:
            raise UnknownPacket
        return sample

    def _take(self, address: str, values: list[Any], arrived: float) -> Sample | None:
        if address == "/VMC/Ext/Blend/Val":
            name = str(values[0])[:60]
            if name in self._weights or len(self._weights) < MOST_NAMES:
                self._weights[name] = float(plausible(np.array([values[1]], float))[0]), arrived
        elif address == "/VMC/Ext/Bone/Pos" and str(values[0]) in ("Neck", "Head", "LeftEye", "RightEye"):
            x, y, z, w = finite(values[4:8])
            length = math.sqrt(w * w + x * x + y * y + z * z)
            if not 0.5 < length < 2.0:
                raise UnknownPacket
            self._bones[str(values[0])] = np.array([w, x, -y, -z]) / length, arrived  # mirrored in x: to the right-handed head frame
        elif address == "/VMC/Ext/T":
            self._seconds = finite([values[0]])[0]
        elif address == "/VMC/Ext/Blend/Apply":
            self._weights = {name: pair for name, pair in self._weights.items() if arrived - pair[1] < KEPT}
            self._bones = {name: pair for name, pair in self._bones.items() if arrived - pair[1] < KEPT}
            return self._sample(arrived if self._seconds is None else self._seconds)
        return None

    def _sample(self, seconds: float) -> Sample:
        """Returns the current state; values persist while they are sent again in time, so a lost packet loses only its own change."""
        blendshapes, has_arkit = np.zeros(len(BLENDSHAPE_NAMES), np.float32), False
        for name, (value, _) in self._weights.items():
            if (index := index_of(name)) >= 0:
                blendshapes[index], has_arkit = value, True
        if not has_arkit:
            for name, (value, _) in self._weights.items():
                for blendshape, share in PRESETS.get(name.upper(), ()):
                    blendshapes[index_of(blendshape)] += share * value
        head, neck = (self._bones.get(name, (None,))[0] for name in ("Head", "Neck"))
        if head is not None and neck is not None:
            head = quaternion_multiply(neck, head)
        return Sample(seconds, plausible(blendshapes), head, gaze=self._gaze())

    def _gaze(self) -> Array | None:
        """Returns gaze from the eye bones, or None if they are not rotated: senders use either them or ``eyeLook*``."""
        eyes = [self._bones.get(name, (None,))[0] for name in ("LeftEye", "RightEye")]
        if any(eye is None or abs(eye[0]) > 1 - 1e-9 for eye in eyes):
            return None
        angles = []
        for w, x, y, z in np.array(eyes):  # line of sight of each eye: (0, 0, 1) rotated
            sight = 2 * (x * z + w * y), 2 * (y * z - w * x), 1 - 2 * (x * x + y * y)
            angles.append([math.atan2(sight[0], sight[2]), math.asin(max(-1.0, min(1.0, sight[1])))])
        return np.array(angles, np.float32)
