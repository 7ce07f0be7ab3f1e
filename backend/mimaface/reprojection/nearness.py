"""Distances between photographs of a person and a pose, by region of the head, and the share that each photograph has of a frame.

A photograph is near where its expression is within a millimetre or two and its view within a few degrees. Shares are smooth functions of
the pose, so motion never makes them jump, and 0 for distant photographs, which then change nothing.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np

from mimaface.face.fit import FittedFace
from mimaface.face.head import Head
from mimaface.face.pose import FacePose
from mimaface.geometry.interpolation import smoothstep
from mimaface.protocol.arrays import Array

from . import tuning
from .kernels import MOUTH
from .projection import kinds_of_triangles

REGIONS = ("inside", "lips", "lid_left", "lid_right", "iris_left", "iris_right", "front", "left", "right")


@dataclass(frozen=True, eq=False)
class Nearness:
    """What of one photograph is compared: blendshapes (52,), the direction of the camera from the head (3,), gaze (2, 2); quality (R,):
    how sharp each region is against the portrait's, and how much of it is seen, 0 to 1."""

    blendshapes: Array
    view: Array
    gaze: Array
    quality: Array

    @classmethod
    def of(cls, pose: FacePose | FittedFace, quality: Array | float = 1.0) -> Nearness:
        direction = -pose.rotation.T @ pose.translation
        return cls(np.asarray(pose.blendshapes), direction / np.linalg.norm(direction), np.asarray(pose.gaze), np.broadcast_to(quality, len(REGIONS)))

    def away(self, other: Nearness) -> Array:
        """(R,) squared distances between two, one a region."""
        change = self.blendshapes - other.blendshapes
        moved = np.einsum("rab,a,b->r", stirred(), change, change) / tuning.NEAR_MOVED**2
        turned = np.arccos(np.clip(self.view @ other.view, -1, 1))
        looked = ((self.gaze - other.gaze) ** 2).sum(1)
        gaze = np.array([0, 0, *looked, *looked, 0, 0, 0])
        return np.asarray(moved + (turned / tuning.NEAR_TURNED) ** 2 + gaze / tuning.NEAR_LOOKED**2)


def shares(now: Nearness, portrait: Nearness, others: list[Nearness]) -> Array:
    """(K, V): the share of each of the K other photographs at every vertex of a frame; the portrait has the rest."""
    known = [portrait, *others]
    away = np.stack([now.away(each) for each in known])
    # heavy tails (Student's t): between two that are far from one another the change takes its share of the way, and is no jump
    cost = tuning.NEAR_POWER * np.log1p(away / (2 * tuning.NEAR_POWER)) - np.log(np.maximum([each.quality for each in known], tuning.QUALITY_LEAST))
    cost[0] -= tuning.PORTRAIT_FIRST
    cost[1:] += tuning.IN_ORDER * np.arange(len(others))[:, None]
    score = np.exp(cost.min(0) - cost)
    score = np.maximum(score - tuning.SHARE_LEAST, 0) / (1 - tuning.SHARE_LEAST)
    score[1:] *= smoothstep(0.0, tuning.SHARE_FROM_REST, np.sqrt(away[0]))
    return np.asarray((score / score.sum(0))[1:] @ regions(), np.float32)


@functools.cache
def regions() -> Array:
    """(R, V): how far each vertex belongs to each of REGIONS; they add up to 1."""
    head = Head.load()
    place = head.vertices
    result = np.zeros((len(REGIONS), len(place)))
    lips = place[head.region("lips")].mean(0)
    front = smoothstep(0.0, 0.03, place[:, 2])
    result[1] = front * (1 - smoothstep(*tuning.NEAR_LIPS, np.linalg.norm((place - lips)[:, :2], axis=1)))
    for side in range(2):
        away = np.linalg.norm((place - head.eye_centres[side])[:, :2] * [0.8, 1.0], axis=1)
        result[2 + side] = front * (1 - smoothstep(*tuning.NEAR_EYE, away))
    rest = np.clip(1 - result.sum(0), 0, 1)
    beside = np.maximum(smoothstep(*tuning.NEAR_SIDE, np.abs(place[:, 0])), 1 - smoothstep(0.02, 0.05, place[:, 2]))
    left = smoothstep(-0.03, 0.03, place[:, 0])
    result[6], result[7], result[8] = rest * (1 - beside), rest * beside * left, rest * beside * (1 - left)
    result /= result.sum(0)
    inner = _inside()
    result[:, inner] = 0.0
    result[0, inner] = 1.0
    for side, name in enumerate(("eye_left", "eye_right")):
        ball = head.vertices_of(name)
        result[:, ball] = 0.0
        result[4 + side, ball] = 1.0
    return result


@functools.cache
def stirred() -> Array:
    """(R, 52, 52): mean over a region of the products of what two blendshapes move it, m²."""
    head = Head.load()
    skin = np.stack([_felt(head, index) for index in range(len(REGIONS))])
    skin /= skin.sum(1, keepdims=True)
    moves = np.asarray(head.blendshapes, np.float64)
    return np.stack([np.einsum("avd,v,bvd->ab", moves, share, moves, optimize=True) for share in skin])


def _felt(head: Head, region: int) -> Array:
    """(V,) where the expression of a region is felt: what is in the mouth by the lips, an iris by its lids."""
    if region <= 1:
        return np.asarray(head.region("lips") * 1.0)
    if region <= 5:
        side = head.vertices[:, 0] > 0
        return np.asarray((head.region("lids") & (side if region % 2 == 0 else ~side)) * 1.0)
    return np.asarray(regions()[region])


def _inside() -> Array:
    """(V,) bool: teeth, tongue and lining."""
    head = Head.load()
    triangles, kind = head.drawn_triangles(), kinds_of_triangles(head)
    result = np.zeros(len(head.vertices), bool)
    result[triangles[kind >= MOUTH]] = True
    result[triangles[kind < MOUTH]] = False
    return result
