"""The portrait as a puppet: its projected picture under the newest sample of a stream."""

from __future__ import annotations

import numpy as np

from mimaface.drivers.streams import Recording, Sample, moves_from
from mimaface.face.portrait import Portrait
from mimaface.face.pose import poses_for
from mimaface.protocol.arkit import BLENDSHAPE_NAMES
from mimaface.protocol.arrays import Array
from mimaface.protocol.settings import BODY_FOLLOWS
from mimaface.reprojection.reprojector import Reprojector


class Puppet:
    """Shows samples as moves away from a neutral one: the first that shows a face, until another is set."""

    def __init__(self, portrait: Portrait, size: int = 0, framing: str = "photo", body_follows: float = BODY_FOLLOWS) -> None:
        """size: pixels of the longer side, 0 for the photograph's; framing: "photo" or "face"; body_follows: as in :class:`RenderSettings`."""
        self._portrait, self._reprojector = portrait, Reprojector(portrait, size, framing, body_follows)
        self._neutral: Sample | None = None

    def set_neutral(self, sample: Sample | None) -> None:
        """The sample that is no motion; None takes the next one that shows a face."""
        self._neutral = sample

    def picture(self, sample: Sample | None = None) -> Array:
        """RGB or RGBA (H, W, 3 or 4) uint8 under a sample; the portrait at rest without one, or when it shows no face."""
        if sample is None or sample.blendshapes is None:
            sample = neutral = Sample(0.0, np.zeros(len(BLENDSHAPE_NAMES), np.float32))
        else:
            neutral = self._neutral = self._neutral or sample
        frame = Recording()
        frame.add(sample)
        pose = poses_for(self._portrait.fit, moves_from(neutral, frame.finish("live")))[0]
        return self._reprojector.render(pose)
