"""Places teeth for open mouths: on the mesh the lower teeth stay behind the lower lip however far the jaw opens; on people they show."""

from __future__ import annotations

import functools

import numpy as np

from mimaface.geometry.interpolation import smoothstep
from mimaface.protocol.arkit import BLENDSHAPE_INDEX
from mimaface.protocol.arrays import Array

from .head import Head
from .lip_curves import rims

WIDE = 0.5, 0.9  # of jawOpen more than in the photograph, between which a jaw bares lower teeth. Higher: later
SMILES = 0.25, 0.70  # of mouthSmile, mean of both sides, more than in the photograph, between which a smile does. Higher: later
# metres of them above the lower lip: lips of a wide mouth cover most. A tracker takes lips that a smile parts for an open jaw; on six
# films 7.5 mm in a smile gave 0.4 dB in open mouths. Higher: longer lower teeth, in smiles up to the upper ones
BARED_WIDE, BARED_SMILE = 0.0035, 0.0075
BELOW_UPPER = 0.003, 0.006  # metres from the lower lip to the upper teeth, between which lower ones are between them. Higher: they come later
# metres of the upper teeth that the lower lip of a smile covers at most, for which they are raised by as much as RAISED: the head's smile lifts both
# lips 6 mm over them, before the gums. Higher: more gum, and less of the teeth's edges
COVERED, RAISED = 0.002, 0.006
SMILE_OPEN = 0.001, 0.003  # metres between the lips, between which that is so. Higher: later
OVERBITE = 0.002  # metres that lower teeth may rise above the edge of the upper ones, behind them. Lower: closed teeth have a gap


def teeth_offset(shape: Array, blendshapes: Array, fitted: Array) -> Array:
    """What to add to ``shape`` (V, 3), the mesh under ``blendshapes`` (52,), whose photograph has those ``fitted`` (52,)."""
    result = np.zeros_like(shape)
    moved = np.asarray(blendshapes, np.float64) - fitted
    smiles = 0.5 * (moved[BLENDSHAPE_INDEX["mouthSmileLeft"]] + moved[BLENDSHAPE_INDEX["mouthSmileRight"]])
    opened = moved[BLENDSHAPE_INDEX["jawOpen"]]
    bared = max(BARED_SMILE * smoothstep(*SMILES, smiles), BARED_WIDE * smoothstep(*WIDE, opened))
    if bared == 0:
        return result
    found = rims(shape, np.zeros(1))
    rim, lip = found.upper[0], found.lower[0]
    if not np.isfinite(rim - lip):  # of a mesh that is folded across
        return result
    upper, lower = incisors()
    top, edge = shape[lower, 1].max(), shape[upper, 1].min()
    covered = smoothstep(*SMILES, smiles) * smoothstep(*SMILE_OPEN, rim - lip)
    raised = covered * np.clip(lip - COVERED - edge, 0, RAISED)
    bared *= smoothstep(*BELOW_UPPER, edge + raised - lip)
    head = Head.load()
    result[head.vertices_of("teeth_upper"), 1] = raised
    result[head.vertices_of("teeth_lower"), 1] = np.clip(lip + bared - top, 0, max(edge + raised + OVERBITE - top, 0))
    return result


@functools.cache
def incisors() -> tuple[Array, Array]:
    """Vertices of the upper and of the lower incisors."""
    head = Head.load()
    front = np.flatnonzero((np.abs(head.vertices[:, 0]) < 0.006) & (head.vertices[:, 2] > 0.09))
    above, below = (np.intersect1d(head.vertices_of(name), front) for name in ("teeth_upper", "teeth_lower"))
    return above, below
