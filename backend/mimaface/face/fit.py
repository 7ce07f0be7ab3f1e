"""Fit the embedded head to 478 landmarks: pose, identity, the 52 blendshapes and gaze, by bounded Gauss–Newton.

Residuals are pixels over the landmark noise, plus the openings of lips and lids, plus Gaussian priors on the coefficients.
All derivatives are analytic. Blendshapes stay in [0, 1] through an active set in every step (Nocedal and Wright 2006, ch. 16).
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace

import numpy as np

from mimaface.geometry.camera import Camera
from mimaface.geometry.least_squares import bounded_solve, rotation_vector
from mimaface.geometry.similarity import Similarity
from mimaface.geometry.threads import one_thread
from mimaface.protocol.arkit import BLENDSHAPE_INDEX, BLENDSHAPE_NAMES, mirror_name
from mimaface.protocol.arrays import Array
from mimaface.protocol.errors import NoFaceFound

from . import tuning
from .head import ASSETS, Head
from .landmarks import FaceLandmarker, Landmarks
from .points import PLACES, Points, follow, lie_on

DEPTH_RANGE = 0.05, 50.0  # metres
OPENINGS = (
    (13, 14), (82, 87), (312, 317), (81, 178), (311, 402), (80, 88), (310, 318),
    (159, 145), (158, 153), (160, 144), (386, 374), (385, 380), (387, 373),
)  # fmt: skip
# landmark indices of [subject's left, right] iris centre
IRIS = (473, 468)
LID_PAIRS = ((386, 374), (159, 145))
EYE_CONTOURS = (
    (263, 466, 388, 387, 386, 385, 384, 398, 362, 382, 381, 380, 374, 373, 390, 249),
    (33, 246, 161, 160, 159, 158, 157, 173, 133, 155, 154, 153, 145, 144, 163, 7),
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class FittedFace:
    """One face in one picture.

    identity (80,) standard deviations; blendshapes (52,) in [0, 1]; rotation (3, 3) head → camera; translation (3,) metres, camera
    frame; gaze (2, 2) radians; landmarks (478, 3) pixels; error: mean landmark distance in pixels; confidence 0–1; placed: the landmarks
    that an artist placed by hand.
    """

    identity: Array
    blendshapes: Array
    rotation: Array
    translation: Array
    gaze: Array
    camera: Camera
    landmarks: Array
    error: float
    confidence: float
    placed: tuple[int, ...] = ()

    @property
    def scale(self) -> float:
        """Pixels per metre at the head."""
        return float(self.camera.focal / -self.translation[2])


@dataclass(frozen=True, eq=False)
class LandmarkModel:
    """The rows of the head under the K landmarks that have a place on it: mean (K, 3), bases (80, K, 3) and (52, K, 3).

    In x and y the blendshapes move landmarks as the network's predictions move on renders: they slide over the skin. A landmark that is
    missed by much more than ``doubted`` metres does not count (Geman and McClure 1985).
    """

    index: Array
    mean: Array
    identity: Array
    blendshapes: Array
    weight: Array
    pairs: Array
    doubted: float = np.inf

    @staticmethod
    @functools.cache
    def load() -> LandmarkModel:
        head = Head.load()
        with np.load(ASSETS / "landmarks.npz", allow_pickle=False) as file:
            index, triangle, weights = file["index"], file["triangle"], file["barycentric"].astype(np.float64)
            spread, response = file["spread"].astype(np.float64), file["response"].astype(np.float64)
        corners = head.triangles[triangle]

        def under(values: Array) -> Array:
            return np.ascontiguousarray(np.einsum("kc,...kcd->...kd", weights, values[..., corners, :].astype(np.float64)))

        row = {int(landmark): k for k, landmark in enumerate(index)}
        pairs = np.array([(row[a], row[b]) for a, b in OPENINGS if a in row and b in row])
        noise = np.sqrt(tuning.NOISE**2 + (tuning.NOISE_SHARE * spread) ** 2)
        blendshapes = under(head.blendshapes)
        blendshapes[..., :2] = response
        return LandmarkModel(index, under(head.vertices), under(head.identity_basis), blendshapes, 1 / noise, pairs)

    @staticmethod
    @functools.lru_cache(4)
    def trusting(placed: tuple[int, ...]) -> LandmarkModel:
        """Returns the model in which ``placed`` landmarks weigh more than those of the network and are robust one by one: what no head can
        fit is left to the correction and does not distort the rest."""
        model = LandmarkModel.load()
        by_hand = np.sqrt(tuning.CORRELATION) / tuning.PLACED_NOISE
        weight = np.where(np.isin(model.index, placed), by_hand, model.weight)
        return replace(model, weight=weight, doubted=tuning.DOUBTED) if placed else model

    def points(self, identity: Array, blendshapes: Array) -> Array:
        """Landmark places (K, 3) in the head frame."""
        return np.asarray(
            self.mean + np.tensordot(identity, self.identity, axes=1) + np.tensordot(blendshapes, self.blendshapes, axes=1)
        )


@dataclass(frozen=True, eq=False)
class Estimate:
    """The unknowns of a fit; see :class:`FittedFace` for shapes."""

    rotation: Array
    translation: Array
    identity: Array
    blendshapes: Array


def fit_portrait(image: Array, face: int = 0, points: Points | None = None) -> FittedFace:
    """Fit the ``face``-th largest face of an RGB picture (H, W, 3) uint8. ``points`` placed by hand replace its landmarks; where no face is
    found under them, the head is fitted to them alone. Raises :class:`NoFaceFound` or :class:`InvalidInput`."""
    found = FaceLandmarker.load().faces(image, least=face + 1)
    camera = Camera.for_image(image.shape[1], image.shape[0])
    if points:
        mine = found[face] if face < len(found) else None
        return _fit_by_hand(points, camera, mine)
    if not found:
        hint = "use a sharp one in which the whole face is visible, or place the points of the face by hand"
        raise NoFaceFound("no face found in the picture", hint)
    if face >= len(found):
        seen = "one face is" if len(found) == 1 else f"{len(found)} faces are"
        raise NoFaceFound(f"face {face} was asked for, but {seen} in the picture", "faces count from 0, largest first")
    return fit_landmarks(found[face].points, camera, found[face].presence)


def _fit_by_hand(points: Points, camera: Camera, found: Landmarks | None) -> FittedFace:
    """The fit of the face that was ``found`` at the points, moved to them; else of a generic one."""
    if found is not None and not lie_on(points, found.points):
        found = None
    before = None if found is None else found.points
    placed = tuple(sorted(PLACES[name] for name in points))
    return fit_landmarks(follow(points, before), camera, found.presence if found else 0.0, placed, before)


def fit_landmarks(
    points: Array, camera: Camera, confidence: float = 1.0, placed: tuple[int, ...] = (), before: Array | None = None
) -> FittedFace:
    """Fit all unknowns to landmarks (478, 3) in pixels, of which ``placed`` are where a hand placed them; ``before``: the landmarks before
    it did, from whose fit this one starts."""
    model = LandmarkModel.trusting(placed)
    start = points if before is None else before
    estimate = initial_estimate(start, camera, np.zeros(model.identity.shape[0]))
    with one_thread():
        if before is not None:
            estimate = _converge(before, camera, estimate, LandmarkModel.load())
        estimate = _converge(points, camera, estimate, model)
    return finish(points, camera, estimate, confidence, placed)


def _converge(points: Array, camera: Camera, estimate: Estimate, model: LandmarkModel) -> Estimate:
    for free in (False, False, True, True, True, True, True, True, True):
        estimate = gauss_newton_step(points, camera, estimate, free, model=model)
    return estimate


def finish(points: Array, camera: Camera, estimate: Estimate, confidence: float, placed: tuple[int, ...] = ()) -> FittedFace:
    """Add gaze and the mean error to an estimate."""
    model = LandmarkModel.load()
    seen = camera.project(model.points(estimate.identity, estimate.blendshapes) @ estimate.rotation.T + estimate.translation)
    error = float(np.linalg.norm(seen[:, :2] - points[model.index, :2], axis=1).mean())
    return FittedFace(
        estimate.identity, estimate.blendshapes, estimate.rotation, estimate.translation,
        gaze_from_irises(points, camera, estimate), camera, points, error, confidence, placed,
    )  # fmt: skip


def initial_estimate(points: Array, camera: Camera, identity: Array) -> Estimate:
    """Pose from a weak-perspective similarity between landmarks and the neutral head."""
    model = LandmarkModel.load()
    neutral = model.points(identity, np.zeros(len(BLENDSHAPE_NAMES)))
    observed = points[model.index] * [1, -1, -1]
    flat = Similarity.between(neutral, observed)
    depth = float(np.clip(camera.focal / flat.scale, *DEPTH_RANGE))
    place = camera.unproject(points[model.index, :2].mean(0), depth)
    return Estimate(flat.rotation, place - flat.rotation @ neutral.mean(0), identity, np.zeros(len(BLENDSHAPE_NAMES)))


def gauss_newton_step(
    points: Array,
    camera: Camera,
    estimate: Estimate,
    free_identity: bool,
    blendshapes_prior: tuple[Array, Array] | None = None,
    model: LandmarkModel | None = None,
) -> Estimate:
    """One bounded step. ``blendshapes_prior`` (values (52,), standard deviations (52,)) pulls toward an earlier frame."""
    model = model or LandmarkModel.load()
    residual, pose, by_blendshape, by_identity = linearise(points, camera, estimate, model, free_identity)
    jacobian = np.concatenate([pose, by_blendshape, by_identity], axis=1)
    hessian, gradient = jacobian.T @ jacobian, jacobian.T @ residual
    first, last = 6, 6 + len(BLENDSHAPE_NAMES)
    add_blendshape_prior(hessian, gradient, estimate.blendshapes, blendshapes_prior)
    if free_identity:
        diagonal = np.arange(last, len(hessian))
        hessian[diagonal, diagonal] += 1.0
        gradient[last:] += estimate.identity
    hessian[np.arange(6), np.arange(6)] *= 1 + 1e-6
    low = np.full(len(gradient), -np.inf)
    high = np.full(len(gradient), np.inf)
    low[first:last], high[first:last] = -estimate.blendshapes, 1 - estimate.blendshapes
    step = bounded_solve(hessian, -gradient, low, high)
    rotation = rotation_vector(step[:3]) @ estimate.rotation
    translation = estimate.translation + step[3:6]
    translation[2] = -np.clip(-translation[2], *DEPTH_RANGE)
    identity = estimate.identity
    if free_identity:
        identity = np.clip(identity + step[last:], -tuning.IDENTITY_MOST, tuning.IDENTITY_MOST)
    return Estimate(rotation, translation, identity, np.clip(estimate.blendshapes + step[first:last], 0, 1))


def linearise(
    points: Array, camera: Camera, estimate: Estimate, model: LandmarkModel, free_identity: bool = True
) -> tuple[Array, Array, Array, Array]:
    """Weighted residual (M,) and its derivatives by pose (M, 6), blendshapes (M, 52) and identity (M, 80; M, 0 where it is not free)."""
    turned = model.points(estimate.identity, estimate.blendshapes) @ estimate.rotation.T
    x, y, z = (turned + estimate.translation).T
    inverse = camera.focal / z
    seen = np.stack([camera.centre[0] - inverse * x, camera.centre[1] + inverse * y], axis=1)
    zero = np.zeros_like(x)
    # d(u, v) by camera-frame x, y, z: (K, 2, 3)
    screen = np.stack([np.stack([-inverse, zero, inverse * x / z], 1), np.stack([zero, inverse, -inverse * y / z], 1)], axis=1)
    tx, ty, tz = turned.T
    spin = np.stack(
        [np.stack([zero, tz, -ty], 1), np.stack([-tz, zero, tx], 1), np.stack([ty, -tx, zero], 1)], axis=1
    )  # d(turned) by a small rotation about the camera's axes: (K, 3 components, 3 axes)
    pose = np.concatenate([screen @ spin, screen], axis=2)
    by_head = screen @ estimate.rotation
    by_blendshape = np.einsum("kij,akj->kia", by_head, model.blendshapes, optimize=True)
    difference = seen - points[model.index, :2]

    pixels = camera.focal / -estimate.translation[2]
    upper, lower = model.pairs.T
    most = model.doubted * pixels
    weight = (model.weight / (pixels * np.sqrt(tuning.CORRELATION)))[:, None] * _believed(difference, most)
    weight_pairs = 1 / (tuning.OPENING_NOISE * pixels) * _believed(difference[upper] - difference[lower], most)

    def rows(values: Array) -> Array:
        spread = values.reshape(*values.shape[:2], -1)
        plain = (spread * weight[..., None]).reshape(-1, spread.shape[-1])
        opening = ((spread[upper] - spread[lower]) * weight_pairs[..., None]).reshape(-1, spread.shape[-1])
        return np.concatenate([plain, opening])

    residual = rows(difference)[:, 0]
    if not free_identity:
        return residual, rows(pose), rows(by_blendshape), np.empty((len(residual), 0))
    by_identity = np.einsum("kij,akj->kia", by_head, model.identity, optimize=True)
    return residual, rows(pose), rows(by_blendshape), rows(by_identity)


def _believed(missed: Array, most: float) -> Array:
    """Returns the weights (K, 1) of residuals ``missed`` (K, 2) in pixels: below 1 where they are longer than ``most``."""
    return np.asarray(1 / (1 + (missed**2).sum(1, keepdims=True) / most**2))


@functools.cache
def _mirror_pairs() -> list[tuple[int, int]]:
    return [(BLENDSHAPE_INDEX[n], BLENDSHAPE_INDEX[mirror_name(n)]) for n in BLENDSHAPE_NAMES if n.endswith("Left")]


def add_blendshape_prior(hessian: Array, gradient: Array, blendshapes: Array, prior: tuple[Array, Array] | None) -> None:
    """Add the prior in place: blendshapes are small, both sides alike, and, with ``prior``, near those of the frame before."""
    block = np.arange(6, 6 + len(blendshapes))
    hessian[block, block] += 1 / tuning.BLENDSHAPE_SPREAD**2
    gradient[6 : 6 + len(blendshapes)] += blendshapes / tuning.BLENDSHAPE_SPREAD**2
    for left, right in _mirror_pairs():
        difference = (blendshapes[left] - blendshapes[right]) / tuning.ASYMMETRY**2
        for a, b, sign in ((left, right, 1.0), (right, left, -1.0)):
            hessian[6 + a, 6 + a] += 1 / tuning.ASYMMETRY**2
            hessian[6 + a, 6 + b] -= 1 / tuning.ASYMMETRY**2
            gradient[6 + a] += sign * difference
    if prior is not None:
        hessian[block, block] += 1 / prior[1] ** 2
        gradient[6 : 6 + len(blendshapes)] += (blendshapes - prior[0]) / prior[1] ** 2


def gaze_from_irises(points: Array, camera: Camera, estimate: Estimate) -> Array:
    """Gaze (2, 2) radians: where the line of sight through each iris centre meets its eyeball; half-way to both eyes' mean."""
    centres = _eyes_between_lids(points, camera, estimate)
    gaze = np.zeros((2, 2))
    for side in range(2):
        direction = estimate.rotation.T @ iris_direction(points, camera, centres[side], side)
        gaze[side] = np.arctan2(direction[0], direction[2]), np.arcsin(np.clip(direction[1], -1, 1))
    gaze = (1 - tuning.GAZE_SHARED) * gaze + tuning.GAZE_SHARED * gaze.mean(0)
    return np.asarray(np.clip(gaze, -0.9, 0.9))


def _eyes_between_lids(points: Array, camera: Camera, estimate: Estimate) -> Array:
    """Centres (2, 3) of the eyeballs, camera frame, moved with the landmarks of the lids around them, ``tuning.GAZE_CENTRED``: an error of a
    millimetre in the head's pose turns an eye by five degrees."""
    model, rows = LandmarkModel.load(), _contours()
    at = model.mean[rows] + np.tensordot(estimate.identity, model.identity[:, rows], axes=1)
    at += np.tensordot(estimate.blendshapes, model.blendshapes[:, rows], axes=1)
    placed = at @ estimate.rotation.T + estimate.translation  # (2, 16, 3)
    missed = points[model.index[rows], :2] - camera.project(placed.reshape(-1, 3))[:, :2].reshape(2, -1, 2)
    away = np.zeros((2, 3))
    away[:, :2] = missed.mean(1) * [1, -1] * (-placed[..., 2].mean(1, keepdims=True) / camera.focal)
    away = (away @ estimate.rotation) * tuning.GAZE_CENTRED @ estimate.rotation.T
    centres = Head.load().eye_centres_for(estimate.identity) @ estimate.rotation.T + estimate.translation
    return np.asarray(centres + away)


@functools.cache
def _contours() -> Array:
    """Rows of :class:`LandmarkModel` around each eye (2, 16)."""
    row = {int(landmark): k for k, landmark in enumerate(LandmarkModel.load().index)}
    return np.array([[row[landmark] for landmark in contour] for contour in EYE_CONTOURS])


def iris_direction(points: Array, camera: Camera, centre: Array, side: int) -> Array:
    """Unit direction (3,), camera frame, from the ``centre`` (3,) of the left (0) or right (1) eyeball to where the line of sight through
    its iris's landmark, of ``points`` (478, 3), meets it, or passes it."""
    ray = camera.unproject(points[IRIS[side], :2], 1.0)
    ray /= np.linalg.norm(ray)
    along = float(ray @ centre)
    miss = float(centre @ centre) - along**2
    away = ray * (along - np.sqrt(max(Head.load().eye_radius**2 - miss, 0.0))) - centre
    return np.asarray(away / np.linalg.norm(away))


def lid_opening(points: Array) -> Array:
    """Opening of [left, right] eye as a share of its width (2,), from landmarks (478, 3)."""
    widths = np.linalg.norm(points[[263, 33], :2] - points[[362, 133], :2], axis=1)
    heights = np.array([np.linalg.norm(points[a, :2] - points[b, :2]) for a, b in LID_PAIRS])
    return np.asarray(heights / np.maximum(widths, 1e-6))
