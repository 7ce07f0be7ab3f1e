"""Identifies one person's face in a film: tracks it, and finds it again after a loss or a cut."""

from __future__ import annotations

import numpy as np

from mimaface.face.landmarks import FaceLandmarker, Landmarks
from mimaface.face.recognition import face_code
from mimaface.face.references import SAME_PERSON
from mimaface.protocol.arrays import Array

# displacement since the last frame, in face widths, up to which a detected face is accepted without recognition. Higher: another person's
# face is accepted after a loss; lower: more frames need a recognition, which takes 0.1 s
SAME_PLACE = 0.5


class Person:
    """The ``number``-th largest face, from 0, of the first picture with that many faces; in later pictures the face of the same person."""

    def __init__(self, number: int) -> None:
        self._number, self._landmarker = number, FaceLandmarker.load()
        self._code: Array | None = None
        self._last: Array | None = None
        self.most = 0  # largest number of faces in a picture
        self.strangers = False  # whether the last picture contained only other people's faces

    def seen(self, points: Array | None) -> None:
        """Set the person's landmarks (478, 3) in the last tracked frame; None after a cut."""
        self._last = points

    def find(self, image: Array) -> Landmarks | None:
        """Returns the person's face in a picture (H, W, 3) uint8, or None."""
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
    """Returns the displacement of a face's centre, in face widths."""
    width = float(np.ptp(before[:468, 0]))
    return float(np.linalg.norm(points[:468, :2].mean(0) - before[:468, :2].mean(0))) / max(width, 1.0)
