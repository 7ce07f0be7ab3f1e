# SPDX-License-Identifier: GPL-3.0-or-later
"""Live capture: the kinds of input, and the newest sample of the open stream, which the backend receives. No bpy here."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..protocol.arkit import BLENDSHAPE_INDEX
from ..protocol.captures import captures_folder, keep
from ..protocol.client import Client, Request
from ..protocol.errors import InvalidInput, MimaFaceError
from ..protocol.motion import MotionClip
from .words import n_, rpt_

TIMEOUT = 5.0  # seconds without a reply after which the stream is closed; replies take milliseconds. Higher: a dead backend shows later
# bars of the panel: a label, and the blendshapes whose mean it shows
LEVELS = (
    (n_("Jaw"), ("jawOpen",)), (n_("Smile"), ("mouthSmileLeft", "mouthSmileRight")), (n_("Brows"), ("browInnerUp",)),
    (n_("Right Lid"), ("eyeBlinkRight",)), (n_("Left Lid"), ("eyeBlinkLeft",)),
)  # fmt: skip
VALUES = ("blendshapes", "head_quat", "head_pos", "gaze", "valid", "confidence")  # arrays of a recorded frame


@dataclass(frozen=True)
class Source:
    """One kind of input. port: of this computer, by default; −1 for a device: a camera, which has a number or a name instead, or a microphone,
    which may have a name. phone: whether the phone's address "must" or "may" be entered, "" if only the sender needs an address. setting:
    instruction for the artist."""

    kind: str
    label: str
    port: int
    phone: str
    setting: str

    @property
    def is_camera(self) -> bool:
        return self.port < 0 and not self.is_microphone

    @property
    def is_microphone(self) -> bool:
        """It moves the mouth alone."""
        return self.kind == "microphone"

    def address(self, host: str, port: int) -> str:
        """Returns the address as in ``mimaface record --input``; port 0: the default port, or the first camera. Raises :class:`InvalidInput`."""
        if self.port < 0:
            return f"{self.kind}:{host.strip() or ('' if self.is_microphone else port)}"
        if self.phone == "must" and not host.strip():
            raise InvalidInput(rpt_("the address of the smartphone is missing"), rpt_("enter the address that its app shows"))
        host = host.strip()
        return f"{self.kind}://" + (f"[{host}]" if ":" in host and "[" not in host else host) + (f":{port}" if port else "")


SOURCES = (
    Source("livelink", "Live Link Face", 11111, "", n_("iPhone: in its ARKit mode, enter this computer's address and port 11111")),
    Source("ifacialmocap", "iFacialMocap", 49983, "may", n_("iPhone, or Facemotion3d: enter the phone's address, or let the app send to port 49983")),
    Source("vts", "VTube Studio", 21412, "must", n_("iPhone: switch on its 3rd party PC clients, and enter the phone's address")),
    Source("meowface", "MeowFace", 12345, "must", n_("Android: enter the phone's address")),
    Source("vmc", "VMC", 39539, "", n_("VSeeFace, Waidayo and others: let it send to this computer, port 39539")),
    Source("openseeface", "OpenSeeFace", 11573, "", n_("A webcam, on any system: let it send to this computer, port 11573")),
    Source("webcam", "Webcam", -1, "", n_("A camera of this computer: 0 is the first; needs PyAV in the backend")),
    Source("microphone", "Microphone", -1, "", n_("A voice in any language moves the mouth, and nothing else; needs PyAV in the backend")),
)


@dataclass
class Take:
    """Target of a recording: rig, scene, first frame, and whether keys outside the recorded range stay (punch_in)."""

    rig: tuple[str, str]
    scene: tuple[int, str]
    start: int
    punch_in: bool


@dataclass(frozen=True)
class Answer:
    """A reply of the backend: ``came`` in monotonic seconds of this process, its fields ``told``, and the sample ``clip`` or a problem."""

    request: Request
    came: float
    told: dict[str, Any] = field(default_factory=dict)
    clip: MotionClip | None = None
    problem: str = ""


@dataclass
class Capture:
    """The stream that the backend receives; requests one sample at a time. For the main thread; samples are decoded on the client's."""

    name: str = ""
    where: str = ""  # the address as text
    mouth_only: bool = False  # whether its samples have a mouth and nothing else
    problem: str = ""
    told: dict[str, Any] = field(default_factory=dict)  # fields of the last reply
    clip: MotionClip | None = None  # newest sample, relative to the neutral
    take: Take | None = None  # target of the current recording
    _client: Client | None = None
    _request: Request | None = None
    _heard: float = 0.0  # monotonic seconds of the newest sample
    _taken: list[np.ndarray] = field(default_factory=list)  # rows (row_of) of the take, until the backend has returned it
    _answers: deque[Answer] = field(default_factory=deque)

    @property
    def on(self) -> bool:
        return self._client is not None

    def begin(self, client: Client, name: str, where: str, mouth_only: bool = False) -> None:
        """Start requesting samples of a stream that the backend has opened."""
        self.end()
        self._taken.clear()
        self._client, self.name, self.where, self.mouth_only, self.problem = client, name, where, mouth_only, ""

    def end(self, problem: str = "") -> None:
        """Close the stream. A take being recorded is saved by the backend, or here if the backend is lost."""
        client, self._client, self._request = self._client, None, None
        ready = client is not None and client.state == "ready"
        kept = self._keep(ready)
        self.told, self.clip, self.take, self.problem = {}, None, None, "; ".join(filter(None, (problem, kept)))
        if ready and client is not None:
            client.request("stream.close", {}, [], timeout=TIMEOUT)

    def record(self, take: Take) -> None:
        """Note that the backend has started recording ``take``."""
        self.take = take
        self._taken.clear()

    def taken(self) -> None:
        """Discard the copy of the take, which the backend has returned."""
        self._taken.clear()

    def _keep(self, ready: bool) -> str:
        """Save an unfinished take unless the backend is ``ready`` and saves it; return a sentence about it, "" without a take."""
        recorded, self._taken = self._taken, []
        if not recorded:
            return ""
        try:
            if not ready:
                keep(joined(recorded, self.name), captures_folder(), self.name)
        except MimaFaceError as error:
            return rpt_("the take that was being recorded could not be saved: {error}").format(error=error)
        return rpt_("the take that was being recorded is kept: press Kept Takes to import it")

    def look(self, client: Client | None) -> MotionClip | None:
        """Returns the newest sample once, else None, and request the next one; ``client``: of the current backend."""
        if self._client is None:
            return None
        if client is not self._client:
            self.end(rpt_("the backend that listened has ended: press Listen again"))
            return None
        fresh = None
        while self._answers:
            answer = self._answers.popleft()
            if answer.request is not self._request:  # of an earlier stream
                continue
            if answer.problem:
                self.end(answer.problem)
                return None
            self._request, self.told = None, answer.told
            if answer.clip is not None:
                self.clip = fresh = answer.clip
                self._heard = answer.came - answer.told["age"]
                if self.take is not None:
                    self._taken.append(row_of(self._heard, answer.clip))
        if self._request is None:
            self._request = client.request("stream.latest", {"known": self.told.get("number", 0)}, [], timeout=TIMEOUT)
            self._request.add_done_callback(self._answered)
        return fresh

    def _answered(self, request: Any) -> None:
        """Decode a sample, on the client's thread, because that takes longer than showing it."""
        came = time.monotonic()
        try:
            message = request.result()
            clip = MotionClip.from_bytes(message.parts[0], self.name) if message.parts[0] else None
            self._answers.append(Answer(request, came, message.fields, clip))
        except MimaFaceError as error:
            self._answers.append(Answer(request, came, problem=str(error)))

    @property
    def light(self) -> str:
        """"waiting" before the first packet, "silent" after the last, "lost" without a face, else "tracking"."""
        if self.told.get("tracking"):
            return "tracking"
        if not self.told.get("packets"):
            return "waiting"
        return "lost" if self.told.get("rate", 0) else "silent"

    @property
    def delay(self) -> float:
        """Seconds since the newest sample was received."""
        return time.monotonic() - self._heard

    def levels(self) -> list[tuple[str, float]]:
        """Returns (label, value from 0 to 1) of each bar."""
        shapes = None if self.clip is None else self.clip.blendshapes[0]
        return [
            (name, 0.0 if shapes is None else min(max(sum(float(shapes[BLENDSHAPE_INDEX[item]]) for item in items) / len(items), 0.0), 1.0))
            for name, items in LEVELS
        ]


def row_of(when: float, clip: MotionClip) -> np.ndarray:
    """Returns time and VALUES of a clip of one frame as a vector."""
    return np.concatenate([[when], *(np.ravel(getattr(clip, name)[0]) for name in VALUES)])


def joined(rows: list[np.ndarray], name: str) -> MotionClip:
    """Returns one motion of rows by :func:`row_of`."""
    table = np.stack(rows)
    table[:, 0] = np.maximum.accumulate(table[:, 0])
    table = table[np.diff(table[:, 0], prepend=-np.inf) > 0]  # a motion's time is strictly increasing
    still = MotionClip.at_rest(table[:, 0] - table[0, 0], source=name)
    sizes = [getattr(still, value)[0].size for value in VALUES]
    columns = np.split(table[:, 1:], np.cumsum(sizes)[:-1], axis=1)
    return still.but(**{value: column.reshape(getattr(still, value).shape) for value, column in zip(VALUES, columns)})
