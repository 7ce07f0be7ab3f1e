"""Dense correspondence from a Basel face to the head's skin.

1. A similarity from the 51 inner key points. 2. Gauss–Newton over the similarity and the head's 80 identity components jointly,
point to plane (Chen and Medioni 1992) with landmarks and a Gaussian prior, so that the head takes the shape of the BFM's mean
face. 3. A radial basis warp closes the remaining landmark error: lips on lips, lids on lids. 4. Each vertex is assigned the
nearest point of skin with a similar normal.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.interpolate import RBFInterpolator
from scipy.spatial import KDTree

from mimaface.face.fit import LandmarkModel
from mimaface.face.head import Head
from mimaface.geometry.least_squares import rotation_vector
from mimaface.geometry.similarity import Similarity
from mimaface.geometry.threads import one_thread
from mimaface.protocol.arrays import Array
from mimaface.protocol.errors import InvalidCheckpoint

from .bfm import BaselFace

# the inner 51 of the 68 key points (brows, nose, eyes, mouth, each from image left) as indices of the 478 landmarks
FIRST_INNER = 17
LANDMARKS_OF_INNER = (
    70, 63, 105, 66, 107, 336, 296, 334, 293, 300, 168, 197, 5, 4, 98, 97, 2, 326, 327,
    33, 160, 158, 133, 153, 144, 362, 385, 387, 263, 373, 380,
    61, 39, 37, 0, 267, 269, 291, 405, 314, 17, 84, 181, 78, 82, 13, 312, 308, 317, 14, 87,
)  # fmt: skip
HINT = "use BFM09_model_info.mat of Deep3DFaceRecon"
ROUNDS, MOST_VERTICES = 12, 3000  # Gauss–Newton iterations, and vertices sampled for them
# metres, standard deviation between the two models' landmarks and surfaces for one person
LANDMARK_NOISE, SURFACE_NOISE = 0.004, 0.0015
INDEPENDENT_ERRORS = 400  # effective number of independent vertex errors of a face
SMALLEST_TRACE = 2.0  # smallest trace of the rotation between the models' axes: 60 degrees
# metres, largest mean key point error after the similarity; worse models have another order or other axes
LARGEST_KEYPOINT_ERROR = 0.012
HALF_WEIGHT_DISTANCE = 0.006  # metres from the surface at which a vertex has half weight in the fit
LANDMARK_SLACK, WARP_REACH = 0.002, 0.03  # metres of landmark error left unwarped; metres over which the warp fades
NORMAL_WEIGHT = 0.004  # metres of distance added per unit of difference between unit normals in the nearest-point search
# trust falls from 1 to 0 between: metres along the surface (to its boundary), metres off it, cosine of the normals
TRUST_ALONG, TRUST_OFF, TRUST_COSINE = (0.001, 0.003), (0.008, 0.020), (0.7, 0.2)
CANDIDATES = 8  # triangles with exact distances per vertex. Raised: closer nearest points, slower
# barycentric positions of the sample points of a triangle for the candidate search
SAMPLES = np.array([[1, 1, 1], [4, 1, 1], [1, 4, 1], [1, 1, 4], [3, 3, 0], [0, 3, 3], [3, 0, 3]]) / [[3], *[[6]] * 6]


@dataclass(frozen=True, eq=False)
class Correspondence:
    """Alignment of two neutral faces, and the head's point under each BFM vertex.

      placed                similarity from the BFM's unit to metres of the head frame
      corners (V, 3)        head vertices around that point
      weights (V, 3)        barycentric weights of the corners
      trust (V,)            confidence in [0, 1]
      identity (80,)        the head's components that fit the BFM's mean face
      error                 metres, median distance of trusted vertices from that head
    """

    placed: Similarity
    corners: Array
    weights: Array
    trust: Array
    identity: Array
    error: float

    def carry(self, displacements: Array) -> Array:
        """Transfers displacements of head vertices (…, V_head, 3) in metres to BFM vertices (…, V, 3), in its unit and axes."""
        moved = np.einsum("vc,...vcd->...vd", self.weights, displacements[..., self.corners, :])
        return np.asarray(moved @ self.placed.rotation / self.placed.scale)


@dataclass(frozen=True, eq=False)
class Nearest:
    """Nearest surface points of P points: triangle (P,), barycentric weights (P, 3), point (P, 3) metres, unit normal (P, 3),
    cosine (P,) between both normals.
    """

    triangle: Array
    weights: Array
    point: Array
    normal: Array
    cosine: Array

    def trust(self, points: Array) -> Array:
        """Returns the confidence (P,) in [0, 1] that ``points`` (P, 3) correspond to the points found."""
        away = points - self.point
        off = np.abs((away * self.normal).sum(1))
        along = np.sqrt(np.maximum((away**2).sum(1) - off**2, 0))
        return _falloff(along, TRUST_ALONG) * _falloff(off, TRUST_OFF) * _falloff(-self.cosine, (-TRUST_COSINE[0], -TRUST_COSINE[1]))


def correspond(bfm: BaselFace, head: Head) -> Correspondence:
    """Aligns the neutral faces and finds the skin under each vertex. Raises :class:`InvalidCheckpoint` if the model is not a
    face.
    """
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
    """Returns triangles (N, 3) of the skin that is visible from outside."""
    triangles = head.triangles[head.part("skin")]
    return np.asarray(triangles[~head.region("inside")[triangles].all(1)])


def nearest(vertices: Array, triangles: Array, points: Array, normals: Array) -> Nearest:
    """Returns the surface point nearest to each of ``points`` (P, 3) with unit ``normals`` (P, 3).

    Distance is ‖x − y‖² + NORMAL_WEIGHT² · ‖n − m‖², exact over the CANDIDATES triangles with the nearest samples.
    """
    a, b, c = (vertices[triangles[:, corner]] for corner in range(3))
    flat = np.cross(b - a, c - a)
    flat /= np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-15)
    samples = np.einsum("sc,ncd->nsd", SAMPLES, vertices[triangles])
    repeated = np.repeat(flat[:, None], len(SAMPLES), axis=1)
    tree = KDTree(np.concatenate([samples, NORMAL_WEIGHT * repeated], axis=2).reshape(-1, 6))
    _, index = tree.query(np.concatenate([points, NORMAL_WEIGHT * normals], axis=1), k=CANDIDATES * 3)
    best = np.full(len(points), np.inf)
    triangle, weights = np.zeros(len(points), np.int64), np.zeros((len(points), 3))
    for candidate in (index // len(SAMPLES)).T:
        inside = closest_on_triangle(points, a[candidate], b[candidate], c[candidate])
        at = np.einsum("pc,pcd->pd", inside, vertices[triangles[candidate]])
        cost = ((points - at) ** 2).sum(1) + NORMAL_WEIGHT**2 * ((normals - flat[candidate]) ** 2).sum(1)
        nearer = cost < best
        best[nearer], triangle[nearer], weights[nearer] = cost[nearer], candidate[nearer], inside[nearer]
    at = np.einsum("pc,pcd->pd", weights, vertices[triangles[triangle]])
    return Nearest(triangle, weights, at, flat[triangle], (normals * flat[triangle]).sum(1))


def closest_on_triangle(points: Array, a: Array, b: Array, c: Array) -> Array:
    """Returns barycentric weights (P, 3) of corners a, b, c (P, 3) at the point of each triangle closest to ``points`` (P, 3)."""
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
    if not miss < LARGEST_KEYPOINT_ERROR or np.trace(placed.rotation) < SMALLEST_TRACE:
        raise InvalidCheckpoint(
            f"the face model's 68 key points do not lie on a face: {1000 * miss:.0f} mm off (x left, y up, z forward is needed)",
            HINT,
        )
    return placed


def _neutral(head: Head, identity: Array) -> Array:
    return np.asarray(head.vertices + np.tensordot(identity, head.identity_basis, axes=1), np.float64)


def _fit(bfm: BaselFace, head: Head, placed: Similarity, marks: Array, mean: Array, basis: Array) -> tuple[Similarity, Array]:
    """Fits similarity and identity jointly; unknowns are a rotation vector, the log of the scale, the offset and the identity."""
    chosen = np.unique(np.linspace(0, len(bfm.mean) - 1, MOST_VERTICES).astype(int))
    source, source_normals = bfm.mean[chosen], bfm.normals(bfm.mean)[chosen]
    triangles, identity = skin(head), np.zeros(head.identity_size)
    for turn in range(ROUNDS):
        points, normals = placed(source), source_normals @ placed.rotation.T
        target = placed(bfm.mean[marks])
        miss = target - mean - np.tensordot(identity, basis, axes=1)
        by_marks = _jacobian_rows(target, placed.offset, -basis)
        share = 1 / LANDMARK_NOISE
        systems = [(by_marks.reshape(-1, by_marks.shape[-1]) * share, miss.ravel() * share)]
        if turn >= 2:  # landmarks alone at first, until nearest points on the surface are meaningful
            found = nearest(_neutral(head, identity), triangles, points, normals)
            away = points - found.point
            under = np.einsum("vc,ivcd->ivd", found.weights, head.identity_basis[:, triangles[found.triangle]])
            every = np.einsum("vdu,vd->vu", _jacobian_rows(points, placed.offset, -under), found.normal)
            off = (away * found.normal).sum(1)
            weight = found.trust(points) / (1 + (off / HALF_WEIGHT_DISTANCE) ** 2)
            weight = np.sqrt(weight * min(INDEPENDENT_ERRORS / max(weight.sum(), 1.0), 1.0)) / SURFACE_NOISE
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


def _jacobian_rows(points: Array, origin: Array, by_identity: Array) -> Array:
    """Returns derivatives (P, 3, 7 + I) of placed points (P, 3) minus a surface that moves by −by_identity (I, P, 3)."""
    x, y, z = (points - origin).T
    zero, one = np.zeros_like(x), np.ones_like(x)
    spin = np.stack([np.stack([zero, z, -y], 1), np.stack([-z, zero, x], 1), np.stack([y, -x, zero], 1)], axis=1)
    size = (points - origin)[:, :, None]
    shift = np.stack([np.stack([one if i == j else zero for j in range(3)], 1) for i in range(3)], axis=1)
    return np.concatenate([spin, size, shift, by_identity.transpose(1, 2, 0)], axis=2)


def _warp(points: Array, marks: Array, wanted: Array) -> Array:
    """Returns displacements (P, 3) that move ``marks`` to ``wanted`` except for LANDMARK_SLACK and fade with distance."""
    miss = wanted - marks
    length = np.linalg.norm(miss, axis=1, keepdims=True)
    miss = miss * np.maximum(1 - LANDMARK_SLACK / np.maximum(length, 1e-12), 0)
    field = RBFInterpolator(marks, miss, kernel="linear", smoothing=1e-3, degree=0)
    distance, _ = KDTree(marks).query(points)
    return np.asarray(field(points) * np.exp(-((distance / WARP_REACH) ** 2))[:, None])


def _falloff(values: Array, ends: tuple[float, float]) -> Array:
    """Returns 1 up to the first end, 0 from the second, linear between."""
    return np.asarray(np.clip((ends[1] - values) / (ends[1] - ends[0]), 0, 1))
