"""Where on the head a motion that is kept to some regions may move anything: what lies further off keeps the photograph's pixels."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mimaface.face.head import Head
from mimaface.geometry.interpolation import smoothstep
from mimaface.protocol.regions import regions_of

from . import tuning

Array = NDArray[Any]


def moving_share(only: str) -> Array | None:
    """(V,) how far each vertex takes part in an expression of the regions ``only``, 0 to 1; None where the whole head does."""
    if not only:
        return None
    regions, head = regions_of(only), Head.load()
    up = head.vertices[:, 1]
    around_eyes = np.linalg.norm(head.vertices[:, None] - head.eye_centres_for(np.zeros(head.identity_size)), axis=2).min(1)
    below = 1 - smoothstep(*tuning.LIPS_UP, up)
    near = 1 - smoothstep(*tuning.LIDS_AROUND, around_eyes)
    shares = {
        "lips": below, "cheeks": 1 - smoothstep(*tuning.CHEEKS_UP, up), "lids": near, "gaze": near, "brows": smoothstep(*tuning.BROWS_UP, up),
        "head": np.zeros(len(up)),
    }  # fmt: skip
    return np.asarray(np.max([shares[region] for region in regions], axis=0))
