"""Several people of one photograph, each under their own motion, by the ``proxy`` engine."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing

import numpy as np

from mimaface.face.portrait import Portrait
from mimaface.face.pose import FacePose, poses_for
from mimaface.protocol.arrays import Array
from mimaface.protocol.errors import InvalidInput
from mimaface.protocol.motion import MotionClip
from mimaface.protocol.settings import RenderSettings
from mimaface.reprojection.reprojector import Reprojector

from .base import Frame
from .reprojected import made_ahead, threads


def check_people(pictures: Sequence[str], settings: RenderSettings) -> None:
    """Raise :class:`InvalidInput` unless ``pictures``, the SHA-256 of each person's, are one, and the settings can be had together."""
    if len(set(pictures)) != 1:
        raise InvalidInput("several people are animated in one picture", "open all portraits from the same file")
    if settings.engine != "proxy":
        raise InvalidInput(f"several people are animated by the engine proxy, not by {settings.engine}", "leave the engine out")
    if settings.framing != "photo" or settings.transparent:
        raise InvalidInput("several people share the picture's framing and background", "leave out the framing and transparency")


class PeopleSession:
    """Portraits of several faces in one picture. Raises :class:`InvalidInput` for different pictures or unsupported settings."""

    def __init__(self, portraits: Sequence[Portrait], settings: RenderSettings) -> None:
        check_people([portrait.sha256 for portrait in portraits], settings)
        self._portraits, self._settings = portraits, settings
        self._renderers = [Reprojector(each, settings.size, "photo", settings.body_follows, settings.only) for each in portraits]
        fit = portraits[0].fit
        self._rest = self._renderers[0].render(FacePose(fit.blendshapes, fit.rotation, fit.translation, fit.gaze))

    def shot(self, motions: Sequence[MotionClip], start: int) -> Iterator[Frame | None]:
        """Yields the frames of the longest motion from ``start`` on; a shorter motion holds its last pose.

        Raises :class:`InvalidInput` where the number of motions is not that of people."""
        if len(motions) != len(self._portraits):
            raise InvalidInput(f"{len(motions)} motions for {len(self._portraits)} people", "give one for each")
        absolute, only = self._settings.absolute, self._settings.only
        every = [poses_for(each.fit, motion, absolute, only) for each, motion in zip(self._portraits, motions)]
        count = max(len(poses) for poses in every)
        given = [[poses[min(index, len(poses) - 1)] for poses in every] for index in range(start, count)]
        height, width = self._renderers[0].image.shape[:2]
        with closing(made_ahead(self._drawn, given, threads(height * width))) as pictures:
            for index, frame in enumerate(pictures, start):
                yield Frame(index, *frame)

    def _drawn(self, poses: list[FacePose]) -> tuple[Array, bool]:
        """Returns the picture, and whether it equals the photograph. The nearest person is drawn last."""
        result = self._rest.astype(np.float32)
        order = sorted(range(len(poses)), key=lambda person: poses[person].translation[2])
        for person in order:
            drawn, share = self._renderers[person].retouched(poses[person])
            result += share[..., None] * (drawn - result)
        picture = np.rint(result).astype(np.uint8)
        return picture, np.array_equal(picture, self._rest)
