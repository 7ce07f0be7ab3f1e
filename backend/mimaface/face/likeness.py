"""Selection of a take's neutral by the portrait that it will move: the frame that shows the face as the portrait does.

Motion relative to that frame gives the portrait back there, so a film that moves one of its own frames gives itself back. It is the idea of
``find_best_frame`` in the demonstration of Siarohin et al., First Order Motion Model for Image Animation, NeurIPS 2019, with a limit: landmarks
also tell people apart, and the pose and expression of another person's frame is never equal enough. There the calmest frame stays neutral, so
a portrait that smiles goes on smiling under a calm take, and one that looks aside goes on looking aside.
"""

from __future__ import annotations

import numpy as np

from mimaface.protocol.arrays import Array
from mimaface.protocol.motion import MotionClip

FACE = 468  # landmarks of the surface; the others are irises
# Root mean square distance of landmarks, in root mean square radii of the face, up to which a frame shows the portrait. The same person in the
# same pose has up to 0.03, and 3.5° of turning change 0.05; of 48 portraits and takes of different people one had 0.036, the others 0.048
# and more. Raised: other people's smiles become neutral; lowered: frames that were compressed are not found.
ALIKE = 0.04
EQUALLY = 0.01  # the same, by which a frame may be less alike than the likest one. Raised: a calmer frame, whose expression differs more


def neutral_for(face: Array, motion: MotionClip) -> int | None:
    """Returns the frame of a motion that shows the landmarks ``face`` (478, 3) of a portrait; None where none does, or only numbers are known.

    First the frame that shows them where they are, as in the film that the portrait was taken of; else, of those that show them equally well
    at any place and size, the calmest.
    """
    if motion.landmarks is None:
        return None
    seen = motion.valid[:, 0]
    shown, wanted = _flat(motion.landmarks), _flat(face)
    there = np.where(seen, _distance(shown / _radius(wanted), wanted / _radius(wanted)), np.inf)
    if there.min() <= ALIKE:
        return int(there.argmin())
    anywhere = np.where(seen, _distance(_placed(shown), _placed(wanted)), np.inf)
    if anywhere.min() > ALIKE:
        return None
    return int(np.where(anywhere <= min(anywhere.min() + EQUALLY, ALIKE), motion.unrest(), np.inf).argmin())


def _flat(points: Array) -> Array:
    return np.asarray(points[..., :2], np.float64)


def _radius(flat: Array) -> Array:
    """(..., 1, 1) root mean square distance of the surface's landmarks (..., 478, 2) from their middle."""
    surface = flat[..., :FACE, :]
    away = np.square(surface - surface.mean(-2, keepdims=True)).sum((-2, -1), keepdims=True)
    return np.asarray(np.maximum(np.sqrt(away / FACE), 1e-9))


def _distance(first: Array, second: Array) -> Array:
    return np.asarray(np.sqrt(np.square(first - second).sum(-1).mean(-1)))


def _placed(flat: Array) -> Array:
    """Landmarks (..., 478, 2) about the middle of the face, with a radius of 1."""
    return np.asarray((flat - flat[..., :FACE, :].mean(-2, keepdims=True)) / _radius(flat))
