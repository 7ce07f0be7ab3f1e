# SPDX-License-Identifier: GPL-3.0-or-later
"""Preview pictures of the current pose, requested without blocking. No bpy here.

One projected picture is requested at a time. Poses that come meanwhile replace each other; the client's thread requests the last one when
the reply arrives. After ``REST`` seconds without a new pose, the same pose is requested again, by the engine of takes and at the visible
size.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from ..protocol.client import Client, Request
from ..protocol.errors import MimaFaceError
from ..protocol.motion import MotionClip
from ..protocol.people import pack_motions
from ..protocol.settings import BODY_FOLLOWS

PROJECTED = "proxy"
REST = 0.2  # seconds without a new pose after which the hand rests. Higher: the fine picture comes later; lower: many are discarded
SLOT = "live"  # the server replaces an older request of the same slot by a newer one, of either engine
TIMEOUT = 10.0  # seconds without a message of the backend until a picture is requested again. Higher: a lost one is noticed later
LINEAR = np.where(np.arange(256) <= 10, np.arange(256) / (255 * 12.92), ((np.arange(256) / 255 + 0.055) / 1.055) ** 2.4).astype(np.float32)  # of sRGB
UNANSWERED = 1.0  # seconds after which a missing picture is reported. Higher: later


@dataclass(frozen=True, eq=False)
class Pose:
    """A pose to show.

    motions: one frame of each person in the portrait's id; size: pixels of the longer side while the hand moves; engine, fine: engine and
    size once it rests; moved: monotonic seconds of the last movement; body_follows, only, absolute: as in ``RenderSettings``; frame: of a film.
    """

    portrait: str
    motions: list[MotionClip]
    size: int
    engine: str
    fine: int
    moved: float
    generation: int = 0
    body_follows: float = BODY_FOLLOWS
    only: str = ""
    absolute: bool = False
    frame: int = 0

    @property
    def rests(self) -> bool:
        """Whether a picture at rest differs from the one in movement, in engine or size."""
        return (self.engine, self.fine) != (PROJECTED, self.size)


@dataclass(frozen=True, eq=False)
class Picture:
    """pixels (height, width, 4) float32, 0 to 1, linear, bottom row first, as in Blender's textures; delay: seconds since ``moved``; fine:
    whether it is the picture at rest."""

    pixels: np.ndarray
    engine: str
    portrait: str
    generation: int
    delay: float
    fine: bool = False


class Previews:
    """The requests and the newest picture. Safe from any thread; replies are handled on the client's thread."""

    def __init__(self) -> None:
        self.problem = self.code = ""
        self.rendered = 0  # pictures received
        self._lock = threading.Lock()
        self._client: Client | None = None
        self._wanted: Pose | None = None  # newest pose whose picture was not requested yet
        self._last: Pose | None = None  # newest pose
        self._projecting: Request | None = None
        self._refining: Request | None = None
        self._asked = 0.0  # monotonic seconds of the open request of a projected picture
        self._picture: Picture | None = None  # newest picture, until it is taken
        self._shown = 0, False  # generation of the newest picture, and whether it was generated
        self._generation = 0

    def show(self, client: Client, pose: Pose) -> None:
        """Request pictures of this pose, in place of earlier ones."""
        with self._lock:
            if client is not self._client:  # requests to another backend get no reply
                self._client, self._projecting, self._refining = client, None, None
            self._generation += 1
            self._last = self._wanted = replace(pose, generation=self._generation)
            refining, self._refining = self._refining, None
        if refining is not None:
            refining.cancel()
        self._go_on()

    def rest(self) -> None:
        """Request the fine picture of a pose that has rested; the caller repeats this regularly."""
        with self._lock:
            pose, client = self._last, self._client
            due = (
                pose is not None and client is not None and pose.rests and self._projecting is None and self._refining is None
                and self._shown == (pose.generation, False) and time.monotonic() - pose.moved >= REST
            )  # fmt: skip
            if not due or pose is None or client is None:
                return
            self._refining = request = _request(client, pose, True)
        request.add_done_callback(partial(self._answered, pose, True))

    def take(self) -> Picture | None:
        """Returns the newest picture once; None if it was taken before."""
        with self._lock:
            picture, self._picture = self._picture, None
            return picture

    @property
    def busy(self) -> bool:
        """Whether a picture is requested or available, or will be requested when the hand rests."""
        with self._lock:
            resting = self._last is not None and self._last.rests and self._shown == (self._last.generation, False)
            return self._picture is not None or self._projecting is not None or self._refining is not None or (resting and not self.problem)

    @property
    def waited(self) -> float:
        """Seconds since the open request of a projected picture; 0 without one."""
        with self._lock:
            return time.monotonic() - self._asked if self._projecting is not None else 0.0

    def forget(self) -> None:
        """Cancel all requests and drop all pictures."""
        with self._lock:
            requests = [request for request in (self._projecting, self._refining) if request is not None]
            self._client = self._wanted = self._last = self._projecting = self._refining = self._picture = None
            self.problem, self.code, self._shown = "", "", (0, False)
        for request in requests:
            request.cancel()

    def _go_on(self) -> None:
        """Request the newest pose, unless a request is open."""
        with self._lock:
            pose, client = self._wanted, self._client
            if pose is None or client is None or self._projecting is not None:
                return
            self._wanted, self._asked = None, time.monotonic()
            self._projecting = request = _request(client, pose, False)
        request.add_done_callback(partial(self._answered, pose, False))

    def _answered(self, pose: Pose, fine: bool, request: Any) -> None:
        """Handle a reply; on the client's thread, or on the caller's if the client is lost."""
        picture, problem, code = None, "", ""
        try:
            if not request.cancelled():
                picture = _picture(pose, fine, request.result())
        except MimaFaceError as error:
            problem, code = str(error), error.code
        with self._lock:
            client = self._client
            ours = request in (self._projecting, self._refining)
            if request is self._projecting:
                self._projecting = None
            elif request is self._refining:
                self._refining = None
            if not ours:
                return
            now = pose.generation, fine
            if picture is not None and now > self._shown:
                self._picture, self._shown, self.problem, self.code = picture, now, "", ""
                self.rendered += 1
            elif problem and code not in ("replaced", "cancelled"):
                self.problem, self.code = problem, code
                if code == "not_reachable" and client is not None and client.state == "ready":  # slow, but connected: request again
                    self._wanted = self._wanted or (pose if pose is self._last and not fine else None)
                else:
                    self._shown = max(self._shown, now)  # do not request this pose again
        if code != "not_reachable" or (client is not None and client.state == "ready"):
            self._go_on()


def _request(client: Client, pose: Pose, fine: bool) -> Request:
    engine, size = (pose.engine, pose.fine) if fine else (PROJECTED, pose.size)
    settings = {"engine": engine, "size": size, "body_follows": pose.body_follows, "only": pose.only, "absolute": pose.absolute}
    fields = {"portrait": pose.portrait, "slot": SLOT, "generation": pose.generation, "settings": settings, "frame": pose.frame}
    return client.request("preview", fields, [pack_motions([motion.to_bytes() for motion in pose.motions])], timeout=TIMEOUT)


def _picture(pose: Pose, fine: bool, message: Any) -> Picture:
    height, width = message.fields["height"], message.fields["width"]
    pixels = np.ones((height, width, 4), np.float32)
    rows = np.frombuffer(message.parts[0], np.uint8).reshape(height, width, 3)
    pixels[..., :3] = LINEAR[rows[::-1]]
    engine = pose.engine if fine else PROJECTED
    return Picture(pixels, engine, pose.portrait, pose.generation, time.monotonic() - pose.moved, fine)
