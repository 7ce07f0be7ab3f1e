"""Which point of our head's skin lies under each vertex of a user's Basel face.

1. A similarity from the 51 inner key points. 2. Gauss–Newton on similarity and the head's own 80 identity components together,
point to plane (Chen and Medioni 1992) with landmarks and a Gaussian prior, so that the head gets the BFM's mean face and little
is left between the two. 3. What landmarks still miss by is closed with a radial basis warp: lips on lips, lids on lids. 4. Every
vertex takes the nearest point of skin that faces the same way.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import RBFInterpolator
from scipy.spatial import KDTree

from mimaface.face.fit import LandmarkModel, rotation_vector
from mimaface.face.head import Head
from mimaface.geometry.similarity import Similarity
from mimaface.geometry.threads import one_thread
from mimaface.protocol.errors import InvalidCheckpoint

from .bfm import BaselFace

Array = NDArray[Any]
# the inner 51 of the 68 key points – brows, nose, eyes, mouth, each from image left – as landmarks of the 478
FIRST_INNER = 17
LANDMARKS_OF_INNER = (
    70, 63, 105, 66, 107, 336, 296, 334, 293, 300, 168, 197, 5, 4, 98, 97, 2, 326, 327,
    33, 160, 158, 133, 153, 144, 362, 385, 387, 263, 373, 380,
    61, 39, 37, 0, 267, 269, 291, 405, 314, 17, 84, 181, 78, 82, 13, 312, 308, 317, 14, 87,
)  # fmt: skip
HINT = "use BFM09_model_info.mat of Deep3DFaceRecon"
ROUNDS, MOST_VERTICES = 12, 3000  # of Gauss–Newton, and the vertices it looks at
LANDMARK_NOISE, SURFACE_NOISE = 0.004, 0.0015  # metres: how far two models' landmarks and surfaces lie apart on one person
INDEPENDENT = 400  # so many vertices of a face err independently of each other
MOST_TURNED = 2.0  # trace of the rotation between the two models' axes: 60 degrees
WORST_FIT = 0.012  # metres, mean over the key points after the similarity: beyond it they are no face in our order and axes
REACH = 0.006  # metres from the surface at which a vertex counts half in the fit
LANDMARK_SLACK, WARP_REACH = 0.002, 0.03  # metres that a landmark may be off without a warp; and how far a warp reaches
FACING = 0.004  # metres that opposite unit normals count for, each, when the nearest point is sought
# trust falls from 1 to 0 between these: metres along the surface (its rim is nearest), metres off it, cosine of the normals
ALONG, OFF, COSINE = (0.001, 0.003), (0.008, 0.020), (0.7, 0.2)
CANDIDATES = 8
SAMPLES = np.array([[1, 1, 1], [4, 1, 1], [1, 4, 1], [1, 1, 4], [3, 3, 0], [0, 3, 3], [3, 0, 3]]) / [[3], *[[6]] * 6]


@dataclass(frozen=True, eq=False)
class Correspondence:
    """The two neutral faces aligned, from the BFM's unit to metres of the head frame, and under each vertex of the BFM a point of our head.

    corners (V, 3): the head's vertices around that point, and weights (V, 3) of each; trust (V,) in [0, 1]; identity (80,): our
    head as the BFM's mean face; error: metres, median distance of the trusted vertices from that head.
    """

    placed: Similarity
    corners: Array
    weights: Array
    trust: Array
    identity: Array
    error: float

    def carry(self, displacements: Array) -> Array:
        """Displacements of the head's vertices (…, V_head, 3) metres → of the BFM's (…, V, 3), in its unit and axes."""
        moved = np.einsum("vc,...vcd->...vd", self.weights, displacements[..., self.corners, :])
        return np.asarray(moved @ self.placed.rotation / self.placed.scale)


@dataclass(frozen=True, eq=False)
class Nearest:
    """Under P points: triangle (P,), weights (P, 3), point (P, 3) metres, normal (P, 3) unit, cosine (P,) of both normals."""

    triangle: Array
    weights: Array
    point: Array
    normal: Array
    cosine: Array

    def trust(self, points: Array) -> Array:
        """How sure it is (P,) that ``points`` (P, 3) lie on what was found."""
        away = points - self.point
        off = np.abs((away * self.normal).sum(1))
        along = np.sqrt(np.maximum((away**2).sum(1) - off**2, 0))
        return _falling(along, ALONG) * _falling(off, OFF) * _falling(-self.cosine, (-COSINE[0], -COSINE[1]))


def correspond(bfm: BaselFace, head: Head) -> Correspondence:
    """Align the neutral faces and find the skin under every vertex. Raises :class:`InvalidCheckpoint` for what is no face."""
    with one_thread():
        landmarks = LandmarkModel.load()
        rows = np.array([int(np.flatnonzero(landmarks.index == name)[0]) for name in LANDMARKS_OF_INNER])
        marks = _inner_key_points(bfm)
        mean, basis = landmarks.mean[rows], landmarks.identity[:, rows]
        placed = _checked_similarity(bfm.mean[marks], mean)
        placed, identity = _fit(bfm, head, placed, marks, mean, basis)

        surface = _neutral(head, identity)
        wanted = mean + np.tensordot(identity, basis, axes=1)
        points, normals = placed(bfm.mean), bfm.normals(bfm.mean) @ placed.rotation.T
        distance = np.linalg.norm(nearest(surface, skin(head), points, normals).point - points, axis=1)
        points = points + _warp(points, points[marks], wanted)
        found = nearest(surface, skin(head), points, normals)
        trust = found.trust(points)
    if not (trust > 0.5).mean() > 0.25:
        raise InvalidCheckpoint("the face model's surface does not lie on a face: it is damaged or of another kind", HINT)
    return Correspondence(
        placed, skin(head)[found.triangle], found.weights, trust, identity, float(np.median(distance[trust > 0.5]))
    )


def skin(head: Head) -> Array:
    """Triangles (N, 3) of the skin that is seen from outside."""
    triangles = head.triangles[head.part("skin")]
    return np.asarray(triangles[~head.region("inside")[triangles].all(1)])


def nearest(vertices: Array, triangles: Array, points: Array, normals: Array) -> Nearest:
    """The point of the surface nearest to each of ``points`` (P, 3) whose unit ``normals`` (P, 3) face the same way.

    Distance is ‖x − y‖² + FACING² · ‖n − m‖², exact over the CANDIDATES triangles with the nearest samples.
    """
    a, b, c = (vertices[triangles[:, corner]] for corner in range(3))
    flat = np.cross(b - a, c - a)
    flat /= np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-15)
    samples = np.einsum("sc,ncd->nsd", SAMPLES, vertices[triangles])
    repeated = np.repeat(flat[:, None], len(SAMPLES), axis=1)
    tree = KDTree(np.concatenate([samples, FACING * repeated], axis=2).reshape(-1, 6))
    _, index = tree.query(np.concatenate([points, FACING * normals], axis=1), k=CANDIDATES * 3)
    best = np.full(len(points), np.inf)
    triangle, weights = np.zeros(len(points), np.int64), np.zeros((len(points), 3))
    for candidate in (index // len(SAMPLES)).T:
        inside = closest_on_triangle(points, a[candidate], b[candidate], c[candidate])
        at = np.einsum("pc,pcd->pd", inside, vertices[triangles[candidate]])
        cost = ((points - at) ** 2).sum(1) + FACING**2 * ((normals - flat[candidate]) ** 2).sum(1)
        nearer = cost < best
        best[nearer], triangle[nearer], weights[nearer] = cost[nearer], candidate[nearer], inside[nearer]
    at = np.einsum("pc,pcd->pd", weights, vertices[triangles[triangle]])
    return Nearest(triangle, weights, at, flat[triangle], (normals * flat[triangle]).sum(1))


def closest_on_triangle(points: Array, a: Array, b: Array, c: Array) -> Array:
    """Weights (P, 3) of the corners a, b, c (P, 3) at the point of each triangle closest to ``points`` (P, 3)."""
    weights = np.zeros((len(points), 3))
    u, v, w = b - a, c - a, points - a
    uu, uv, vv, wu, wv = ((x * y).sum(1) for x, y in ((u, u), (u, v), (v, v), (w, u), (w, v)))
    area = np.maximum(uu * vv - uv * uv, 1e-30)
    s, t = (vv * wu - uv * wv) / area, (uu * wv - uv * wu) / area
    inside = (s >= 0) & (t >= 0) & (s + t <= 1)
    weights[inside] = np.stack([1 - s - t, s, t], axis=1)[inside]
    best = np.where(inside, -1.0, np.inf)
    for (p, q), (i, j) in (((a, b), (0, 1)), ((b, c), (1, 2)), ((c, a), (2, 0))):
        edge = q - p
        share = np.clip(((points - p) * edge).sum(1) / np.maximum((edge**2).sum(1), 1e-30), 0, 1)
        distance = ((points - p - share[:, None] * edge) ** 2).sum(1)
        nearer = distance < best
        best[nearer] = distance[nearer]
        weights[nearer] = 0
        weights[nearer, i], weights[nearer, j] = 1 - share[nearer], share[nearer]
    return weights


def _inner_key_points(bfm: BaselFace) -> Array:
    points = bfm.keypoints
    if len(points) != FIRST_INNER + len(LANDMARKS_OF_INNER) or points.min() < 0 or points.max() >= len(bfm.mean):
        raise InvalidCheckpoint(f"the face model has {len(points)} key points; 68 of its vertices are needed", HINT)
    return np.asarray(points[FIRST_INNER:])


def _checked_similarity(marks: Array, wanted: Array) -> Similarity:
    placed = Similarity.between(marks, wanted)
    miss = float(np.linalg.norm(placed(marks) - wanted, axis=1).mean())
    if not miss < WORST_FIT or np.trace(placed.rotation) < MOST_TURNED:
        raise InvalidCheckpoint(
            f"the face model's 68 key points do not lie on a face: {1000 * miss:.0f} mm off (x left, y up, z forward is needed)",
            HINT,
        )
    return placed


def _neutral(head: Head, identity: Array) -> Array:
    return np.asarray(head.vertices + np.tensordot(identity, head.identity_basis, axes=1), np.float64)


def _fit(bfm: BaselFace, head: Head, placed: Similarity, marks: Array, mean: Array, basis: Array) -> tuple[Similarity, Array]:
    """Similarity and identity together; unknowns are a rotation vector, the log of the scale, the offset and the identity."""
    chosen = np.unique(np.linspace(0, len(bfm.mean) - 1, MOST_VERTICES).astype(int))
    source, source_normals = bfm.mean[chosen], bfm.normals(bfm.mean)[chosen]
    triangles, identity = skin(head), np.zeros(head.identity_size)
    for turn in range(ROUNDS):
        points, normals = placed(source), source_normals @ placed.rotation.T
        target = placed(bfm.mean[marks])
        miss = target - mean - np.tensordot(identity, basis, axes=1)
        by_marks = _rows(target, placed.offset, -basis)
        share = 1 / LANDMARK_NOISE
        systems = [(by_marks.reshape(-1, by_marks.shape[-1]) * share, miss.ravel() * share)]
        if turn >= 2:  # landmarks first; then the surface is near enough for its nearest points to mean something
            found = nearest(_neutral(head, identity), triangles, points, normals)
            away = points - found.point
            under = np.einsum("vc,ivcd->ivd", found.weights, head.identity_basis[:, triangles[found.triangle]])
            every = np.einsum("vdu,vd->vu", _rows(points, placed.offset, -under), found.normal)
            off = (away * found.normal).sum(1)
            weight = found.trust(points) / (1 + (off / REACH) ** 2)
            weight = np.sqrt(weight * min(INDEPENDENT / max(weight.sum(), 1.0), 1.0)) / SURFACE_NOISE
            systems.append((every * weight[:, None], off * weight))
        jacobian, residual = (np.concatenate(part) for part in zip(*systems))
        hessian, gradient = jacobian.T @ jacobian, jacobian.T @ residual
        hessian[np.arange(7, len(hessian)), np.arange(7, len(hessian))] += 1.0
        gradient[7:] += identity
        step = -np.linalg.solve(hessian, gradient)
        placed = Similarity(
            placed.scale * float(np.exp(step[3])), rotation_vector(step[:3]) @ placed.rotation, placed.offset + step[4:7]
        )
        identity = np.clip(identity + step[7:], -3.0, 3.0)
    return placed, identity


def _rows(points: Array, origin: Array, by_identity: Array) -> Array:
    """Derivatives (P, 3, 7 + I) of placed points (P, 3) less a surface that moves by −by_identity (I, P, 3)."""
    x, y, z = (points - origin).T
    zero, one = np.zeros_like(x), np.ones_like(x)
    spin = np.stack([np.stack([zero, z, -y], 1), np.stack([-z, zero, x], 1), np.stack([y, -x, zero], 1)], axis=1)
    size = (points - origin)[:, :, None]
    shift = np.stack([np.stack([one if i == j else zero for j in range(3)], 1) for i in range(3)], axis=1)
    return np.concatenate([spin, size, shift, by_identity.transpose(1, 2, 0)], axis=2)


def _warp(points: Array, marks: Array, wanted: Array) -> Array:
    """Displacements (P, 3) that bring ``marks`` to ``wanted`` but for LANDMARK_SLACK, fading away from them."""
    miss = wanted - marks
    length = np.linalg.norm(miss, axis=1, keepdims=True)
    miss = miss * np.maximum(1 - LANDMARK_SLACK / np.maximum(length, 1e-12), 0)
    field = RBFInterpolator(marks, miss, kernel="linear", smoothing=1e-3, degree=0)
    distance, _ = KDTree(marks).query(points)
    return np.asarray(field(points) * np.exp(-((distance / WARP_REACH) ** 2))[:, None])


def _falling(values: Array, ends: tuple[float, float]) -> Array:
    """1 up to the first end, 0 from the second on, linear between."""
    return np.asarray(np.clip((ends[1] - values) / (ends[1] - ends[0]), 0, 1))
