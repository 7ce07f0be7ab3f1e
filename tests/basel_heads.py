"""Basel faces made up from our own head: in another unit and place, of another person, with bases whose truth is known."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mimaface.basel.bfm import BaselFace
from mimaface.basel.correspondence import LANDMARKS_OF_INNER, skin
from mimaface.face.fit import LandmarkModel
from mimaface.face.head import Head

FRONT, BELOW = -0.005, -0.125  # metres: the BFM has the face and the ears, but neither the back of the head nor the neck


@dataclass(frozen=True, eq=False)
class MadeUp:
    """A model with the head's vertex behind each of its own (−1 in the middle of an edge), and its unit and place."""

    bfm: BaselFace
    vertex: np.ndarray
    blendshapes: np.ndarray  # (52, V, 3), the head's, in this model's unit and axes
    mixture: np.ndarray | None  # (51, 51) of the blendshapes but tongueOut, where expression_basis[:51] is made of them


def made_up(seed: int, *, known: bool, person: float = 0.0, finer: bool = False, unit: float = 0.1, turn: float = 0.0) -> MadeUp:
    """``known``: the expression basis mixes the blendshapes; else it is random and smooth. ``unit``: metres per unit.

    ``person`` scales a random identity; ``finer`` splits every triangle in four; ``turn`` is a random rotation in radians.
    """
    random = np.random.default_rng(seed)
    head = Head.load()
    shape = head.shape(person * random.normal(size=head.identity_size), np.zeros(52)).astype(float)
    triangles = skin(head)
    kept = (head.vertices[triangles][..., 2].min(1) > FRONT) & (head.vertices[triangles][..., 1].min(1) > BELOW)
    used = random.permutation(np.unique(triangles[kept]))
    place = np.full(len(shape), -1)
    place[used] = np.arange(len(used))
    triangles, points, moves, vertex = place[triangles[kept]], shape[used], head.blendshapes[:, used].astype(float), used
    if finer:
        triangles, points, moves, vertex = _split(triangles, points, moves, vertex)
    marks = LandmarkModel.load()
    rows = {int(name): k for k, name in enumerate(marks.index)}
    whole = np.where(vertex >= 0, vertex, used[0])
    keypoints = [int(index) for index in random.integers(len(used), size=17)]  # the face's outline, which nothing here uses
    for name in LANDMARKS_OF_INNER:
        distance = np.linalg.norm(head.vertices[whole] - marks.mean[rows[name]], axis=1)
        keypoints.append(int(np.argmin(np.where(vertex >= 0, distance, np.inf))))

    axis = random.normal(size=3)
    rotation = _about(axis / np.linalg.norm(axis), turn)
    points, moves = (points + random.normal(size=3)) @ rotation / unit, moves @ rotation / unit
    mixture = None
    if known:
        mixture = 0.5 * np.linalg.qr(random.normal(size=(51, 51)))[0]  # so β of a blendshape at 1 has length 2
        smooth = _smooth_fields(random, points, 13, 0.001 / unit, (0.02 / unit, 0.05 / unit))
        expression = np.concatenate([np.tensordot(mixture, moves[:51], axes=1), smooth])
    else:
        expression = _smooth_fields(random, points, 64, 0.003 / unit, (0.008 / unit, 0.03 / unit), points[keypoints[17:]])
    faces = np.full((len(points), 8), len(triangles))
    order = np.argsort(triangles.ravel(), kind="stable")
    owner = triangles.ravel()[order]
    rank = np.arange(len(owner)) - np.searchsorted(owner, owner)  # the how-manieth triangle of its vertex
    faces[owner[rank < 8], rank[rank < 8]] = order[rank < 8] // 3
    arrays = {
        "meanshape": points.reshape(1, -1),
        "idBase": _smooth_fields(random, points, 80, 0.001 / unit, (0.02 / unit, 0.05 / unit)).reshape(80, -1).T,
        "exBase": expression.reshape(64, -1).T,
        "meantex": np.tile([180.0, 140.0, 120.0], (len(points), 1)).reshape(1, -1),
        "texBase": random.normal(size=(80, 3 * len(points))).T,
        "tri": triangles + 1,
        "point_buf": faces + 1,
        "keypoints": np.array(keypoints)[None] + 1,
    }
    return MadeUp(BaselFace.from_arrays(arrays), vertex, moves, mixture)


def _about(axis: np.ndarray, angle: float) -> np.ndarray:
    x, y, z = axis
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross


def _smooth_fields(random, points, count, size, reach, middles=None) -> np.ndarray:
    """``count`` random displacement fields (count, V, 3), each one bump as wide as ``reach``; the first ones at ``middles``."""
    fields = []
    for index in range(count):
        middle = points[random.integers(len(points))] if middles is None or index >= len(middles) else middles[index]
        distance = np.linalg.norm(points - middle, axis=1)
        bump = np.exp(-((distance / random.uniform(*reach)) ** 2))
        fields.append(size * bump[:, None] * random.normal(size=3))
    return np.array(fields)


def _split(triangles, points, moves, vertex):
    """Every triangle in four, by the middles of its edges."""
    edges = np.sort(np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]]), axis=1)
    edges, index = np.unique(edges, axis=0, return_inverse=True)
    ab, bc, ca = (len(points) + part for part in index.reshape(3, -1))
    a, b, c = triangles.T
    triangles = np.concatenate([np.stack(t, 1) for t in ((a, ab, ca), (ab, b, bc), (ca, bc, c), (ab, bc, ca))])
    points = np.concatenate([points, points[edges].mean(1)])
    moves = np.concatenate([moves, moves[:, edges].mean(2)], axis=1)
    return triangles, points, moves, np.concatenate([vertex, np.full(len(edges), -1)])
