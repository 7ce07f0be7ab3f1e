"""One person of a film: whose face is followed, and found again after it was gone or the camera has changed."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mimaface.face.landmarks import FaceLandmarker, Landmarks
from mimaface.face.recognition import face_code
from mimaface.face.references import SAME_PERSON

Array = NDArray[Any]
# share of the face's width by which a face that is found again may have moved since it was seen last, to be taken without being recognised.
# Raised: a passer-by takes over from a face that turned away; lowered: a recognition, 0.1 s, for every frame that was lost
SAME_PLACE = 0.5


class Person:
    """The ``number``-th largest face, from 0, of the first picture that shows so many; later the one that resembles it."""

    def __init__(self, number: int) -> None:
        self._number, self._landmarker = number, FaceLandmarker.load()
        self._code: Array | None = None
        self._last: Array | None = None
        self.most = 0  # faces that one picture showed
        self.strangers = False  # whether the last picture showed somebody else's face, and not theirs

    def seen(self, points: Array | None) -> None:
        """The person's landmarks (478, 3) in the frame that was followed last; None after a change of the camera."""
        self._last = points

    def find(self, image: Array) -> Landmarks | None:
        """The person's face in a picture (H, W, 3) uint8."""
        faces = self._landmarker.faces(image, least=self._number + 1 if self._code is None else 1)
        self.most, self.strangers = max(self.most, len(faces)), False
        if self._code is None:
            if self._number >= len(faces):
                return None
            self._code = face_code(image, faces[self._number].points)
            return faces[self._number]
        if self._last is not None:
            near = [found for found in faces if _moved(found.points, self._last) < SAME_PLACE]
            if near:
                return near[0]
        apart = [float(np.linalg.norm(self._code - face_code(image, found.points))) for found in faces]
        if apart and min(apart) < SAME_PERSON:
            return faces[int(np.argmin(apart))]
        self.strangers = bool(faces)
        return None


def _moved(points: Array, before: Array) -> float:
    """How far a face's middle is from where it was, in widths of it."""
    width = float(np.ptp(before[:468, 0]))
    return float(np.linalg.norm(points[:468, :2].mean(0) - before[:468, :2].mean(0))) / max(width, 1.0)
