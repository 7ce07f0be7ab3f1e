# SPDX-License-Identifier: GPL-3.0-or-later
"""Pictures of the pose under the artist's hand: the newest pose wins, and nobody waits for a picture. No bpy here.

One projected picture is asked for at a time; poses that come meanwhile replace each other, and the last one is asked for by the client's
thread as soon as the answer is there. When no new pose has come for ``REST`` seconds the same pose is asked for once more, by the engine that
takes are made with and at the size that is seen.
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
from ..protocol.settings import BODY_FOLLOWS

PROJECTED = "proxy"
REST = 0.2  # seconds without a new pose after which the hand rests; less asks for pictures that the next movement throws away
SLOT = "live"  # on the server a newer request takes the place of an older one, of either engine
TIMEOUT = 10.0  # seconds without a word from the backend until a picture is asked for once more
LINEAR = np.where(np.arange(256) <= 10, np.arange(256) / (255 * 12.92), ((np.arange(256) / 255 + 0.055) / 1.055) ** 2.4).astype(np.float32)  # of sRGB
UNANSWERED = 1.0  # seconds after which it is said that a picture does not come


@dataclass(frozen=True, eq=False)
class Pose:
    """What is to be seen.

    motion: one frame. size: pixels of the longer side while the hand moves; engine, fine: the engine and the size once it rests. moved:
    when it moved, seconds on the monotonic clock. body_follows: as in ``RenderSettings``.
    """

    portrait: str
    motion: MotionClip
    size: int
    engine: str
    fine: int
    moved: float
    generation: int = 0
    body_follows: float = BODY_FOLLOWS

    @property
    def rests(self) -> bool:
        """Whether the hand's rest shows more than its movement."""
        return (self.engine, self.fine) != (PROJECTED, self.size)


@dataclass(frozen=True, eq=False)
class Picture:
    """pixels (height, width, 4) float32, 0 to 1, linear, lower row first, as Blender's
    textures have them; delay: seconds since ``moved``; fine: made when the hand rested."""

    pixels: np.ndarray
    engine: str
    portrait: str
    generation: int
    delay: float
    fine: bool = False


class Previews:
    """Safe from any thread. Answers come on the client's own."""

    def __init__(self) -> None:
        self.problem = self.code = ""
        self.rendered = 0  # pictures received
        self._lock = threading.Lock()
        self._client: Client | None = None
        self._wanted: Pose | None = None  # newest pose that no picture was asked for
        self._last: Pose | None = None  # newest pose of all
        self._projecting: Request | None = None
        self._refining: Request | None = None
        self._asked = 0.0  # when the picture that is awaited was asked for
        self._picture: Picture | None = None  # newest that nobody has taken
        self._shown = 0, False  # generation of the newest picture, and whether it was generated
        self._generation = 0

    def show(self, client: Client, pose: Pose) -> None:
        """Ask for pictures of this pose; those of earlier ones are not wanted any more."""
        with self._lock:
            if client is not self._client:  # what another backend was asked for is answered by nobody
                self._client, self._projecting, self._refining = client, None, None
            self._generation += 1
            self._last = self._wanted = replace(pose, generation=self._generation)
            refining, self._refining = self._refining, None
        if refining is not None:
            refining.cancel()
        self._go_on()

    def rest(self) -> None:
        """To be called now and then: when the hand rests, its pose is asked for once more."""
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
        """The newest picture, once."""
        with self._lock:
            picture, self._picture = self._picture, None
            return picture

    @property
    def busy(self) -> bool:
        """Whether a picture is awaited, or will be asked for when the hand has rested."""
        with self._lock:
            resting = self._last is not None and self._last.rests and self._shown == (self._last.generation, False)
            return self._picture is not None or self._projecting is not None or self._refining is not None or (resting and not self.problem)

    @property
    def waited(self) -> float:
        """Seconds that the projected picture has been awaited; 0 when none is."""
        with self._lock:
            return time.monotonic() - self._asked if self._projecting is not None else 0.0

    def forget(self) -> None:
        """Nothing is wanted any more."""
        with self._lock:
            requests = [request for request in (self._projecting, self._refining) if request is not None]
            self._client = self._wanted = self._last = self._projecting = self._refining = self._picture = None
            self.problem, self.code, self._shown = "", "", (0, False)
        for request in requests:
            request.cancel()

    def _go_on(self) -> None:
        """Ask for the newest pose unless a picture is under way."""
        with self._lock:
            pose, client = self._wanted, self._client
            if pose is None or client is None or self._projecting is not None:
                return
            self._wanted, self._asked = None, time.monotonic()
            self._projecting = request = _request(client, pose, False)
        request.add_done_callback(partial(self._answered, pose, False))

    def _answered(self, pose: Pose, fine: bool, request: Any) -> None:
        """On the client's thread, or on the caller's for a client that is lost."""
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
                if code == "not_reachable" and client is not None and client.state == "ready":  # too slow, and still there: asked again
                    self._wanted = self._wanted or (pose if pose is self._last and not fine else None)
                else:
                    self._shown = max(self._shown, now)  # this pose is not tried again
        if code != "not_reachable" or (client is not None and client.state == "ready"):
            self._go_on()


def _request(client: Client, pose: Pose, fine: bool) -> Request:
    engine, size = (pose.engine, pose.fine) if fine else (PROJECTED, pose.size)
    settings = {"engine": engine, "size": size, "body_follows": pose.body_follows}
    fields = {"portrait": pose.portrait, "slot": SLOT, "generation": pose.generation, "settings": settings}
    return client.request("preview", fields, [pose.motion.to_bytes()], timeout=TIMEOUT)


def _picture(pose: Pose, fine: bool, message: Any) -> Picture:
    height, width = message.fields["height"], message.fields["width"]
    pixels = np.ones((height, width, 4), np.float32)
    rows = np.frombuffer(message.parts[0], np.uint8).reshape(height, width, 3)
    pixels[..., :3] = LINEAR[rows[::-1]]
    engine = pose.engine if fine else PROJECTED
    return Picture(pixels, engine, pose.portrait, pose.generation, time.monotonic() - pose.moved, fine)
