"""An offset per vertex that corrects the fitted head of one face: its contours then lie on the landmarks.

A fit has 80 + 52 parameters and is off by a millimetre or two; at lips and lids that decides whether a pixel is tooth or lip. The
offset is the smoothest field on the skin (a thin plate on the mesh surface, so upper and lower lip are independent) that moves every
landmark of the model to its landmark in the picture, and the visible rims of mouth and eyes to theirs.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.sparse import csr_array, vstack

from mimaface.geometry.camera import Camera
from mimaface.geometry.interpolation import smoothstep
from mimaface.geometry.rasterise import rasterise, vertex_normals
from mimaface.protocol.arkit import BLENDSHAPE_INDEX, BLENDSHAPE_NAMES
from mimaface.protocol.arrays import Array
from mimaface.protocol.points import OUTLINE

from . import tuning
from .field import FieldSystem, solve_field
from .fit import FittedFace, LandmarkModel
from .head import ASSETS, Head
from .points import PLACES

Constraint = tuple[csr_array, Array, Array]  # rows (K, V), targets (K, 3) in metres, camera frame, weights (K,)
# the forehead ends at the hair, not at an outline
OUTLINE_LANDMARKS = tuple(PLACES[name] for name in OUTLINE if name != "forehead")


@dataclass(frozen=True)
class Opening:
    """An opening of the face: landmarks of its upper and its lower edge, both from one corner to the other."""

    part: tuple[str, ...]
    upper: tuple[int, ...]
    lower: tuple[int, ...]


MOUTH_RIM = Opening(
    ("teeth_upper", "teeth_lower", "tongue", "mouth_inside"),
    (78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308),
    (78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308),
)
EYE_RIMS = (
    Opening(("eye_left",), (362, 398, 384, 385, 386, 387, 388, 466, 263), (362, 382, 381, 380, 374, 373, 390, 249, 263)),
    Opening(("eye_right",), (33, 246, 161, 160, 159, 158, 157, 173, 133), (33, 7, 163, 144, 145, 153, 154, 155, 133)),
)


@dataclass(frozen=True, eq=False)
class Correction:
    """Offsets of vertices, head frame, metres: ``always`` (V, 3); ``lids`` (2, V, 3), added while the left and the right eye are open;
    ``lips`` (V, 3), subtracted as the lips close. Of the photograph: ``blink`` (2,), the ``fitted`` blendshapes (52,), and ``parted``,
    the metres between the lips.
    """

    always: Array
    lids: Array
    lips: Array
    blink: Array
    parted: float
    fitted: Array

    def at(self, blendshapes: Array) -> Array:
        """The offset (V, 3) under ``blendshapes`` (52,): closed lids and lips meet where the model lets them meet."""
        now = np.array([blendshapes[BLENDSHAPE_INDEX["eyeBlinkLeft"]], blendshapes[BLENDSHAPE_INDEX["eyeBlinkRight"]]])
        openness = np.clip((1 - now) / np.maximum(1 - self.blink, tuning.LEAST_OPEN), 0, 1)
        change = (np.asarray(blendshapes, np.float64) - self.fitted) @ lip_response()
        closed = np.clip(-change / max(self.parted, tuning.LEAST_PARTED), 0, 1)
        return np.asarray(self.always + openness[0] * self.lids[0] + openness[1] * self.lids[1] - closed * self.lips)


def correct(fit: FittedFace) -> Correction:
    """The offset of one fitted face; about 0.1 s the first time, then 40 ms."""
    head = Head.load()
    still = head.posed(fit.identity, fit.blendshapes, fit.gaze) @ fit.rotation.T + fit.translation
    rows, missed, weights = landmark_rows(fit)
    by_hand = np.isin(LandmarkModel.load().index, fit.placed)
    targets = np.where(by_hand[:, None], 1.0, tuning.LANDMARK_SHARE) * missed
    on_lids = _on_lids()
    weights = np.where(by_hand, tuning.PLACED_WEIGHT, weights)
    constraints = [(rows, targets, weights)]
    if fit.placed:
        constraints.append(outline_rows(fit, still))
        smooth = _solved([(rows[~on_lids], targets[~on_lids], weights[~on_lids]), constraints[1], _shut_lids()])
        whole = _solved(constraints)
    else:
        smooth_system, whole_system = _landmark_systems()
        smooth, whole = smooth_system.solve(targets[~on_lids]), whole_system.solve(targets)
    for step in range(tuning.CORRECTION_ROUNDS):
        rims = [MOUTH_RIM] if step else [*EYE_RIMS, MOUTH_RIM]
        # every round holds the last one's rims and finds what has come out from behind them: lips curl inwards
        for rim in rims:
            more_rows, away, more_weights = rim_rows(fit, still + whole, rim)
            constraints.append((more_rows, away + more_rows @ whole, more_weights))
        whole = _solved(constraints)
    smooth, whole = smooth @ fit.rotation, whole @ fit.rotation
    lids = np.stack([whole - smooth, whole - smooth])
    near = [np.abs(head.vertices - head.eye_centres[side]).max(1) < tuning.LIDS_REACH for side in range(2)]
    for side in range(2):
        lids[side, ~near[side]] = 0.0
    lids[0, head.vertices[:, 0] <= 0] = 0.0
    lids[1, head.vertices[:, 0] > 0] = 0.0
    parted = float(fit.blendshapes @ lip_response())
    closed_targets = _closed_lips(targets)
    closed_targets[_lip_pairs()[1]] = tuning.TOUCH * fit.rotation[:, 1]
    closed = _closed_lips_system().solve(closed_targets) @ fit.rotation
    lips = (_near_mouth() * smoothstep(0, tuning.LEAST_PARTED, np.array(parted)))[:, None] * (whole - closed)
    always = whole - lids.sum(0) + _teeth()
    always[np.setdiff1d(head.vertices_of("mouth_inside"), head.vertices_of("skin")), 2] -= tuning.LINING_BACK
    blink = np.array([fit.blendshapes[BLENDSHAPE_INDEX["eyeBlinkLeft"]], fit.blendshapes[BLENDSHAPE_INDEX["eyeBlinkRight"]]])
    return Correction(always, lids, lips, blink, parted, fit.blendshapes)


@functools.cache
def _teeth() -> Array:
    """Offset (V, 3) from the head model's teeth to the place of teeth in a usual mouth."""
    head = Head.load()
    result = np.zeros((len(head.vertices), 3))
    for name, place in (("teeth_upper", tuning.UPPER_TEETH_MOVED), ("teeth_lower", tuning.LOWER_TEETH_MOVED)):
        result[np.setdiff1d(head.vertices_of(name), head.vertices_of("skin"))] = place
    return result


def landmark_rows(fit: FittedFace) -> tuple[csr_array, Array, Array]:
    """Returns the rows (K, V) of the model's landmarks on the mesh, the metres (K, 3) that each has to move, camera frame, and weights (K,)."""
    model = LandmarkModel.load()
    seen = fit.camera.project(model.points(fit.identity, fit.blendshapes) @ fit.rotation.T + fit.translation)
    away = fit.landmarks[model.index, :2] - seen[:, :2]
    targets = _in_camera(away, seen[:, 2], fit.camera, tuning.PLACED_LARGEST if fit.placed else tuning.LARGEST)
    rows, weights = landmarks_on_mesh()
    return rows, targets, weights


def outline_rows(fit: FittedFace, still: Array) -> Constraint:
    """Returns the constraint for points of the outline that were placed by hand. Each moves the nearest place on the outline of the posed
    mesh ``still`` (V, 3), camera frame; that place depends on the pose."""
    outline, edge = [landmark for landmark in fit.placed if landmark in OUTLINE_LANDMARKS], _edge_of_face(still)
    if not outline or not len(edge):
        return csr_array((0, len(still))), np.zeros((0, 3)), np.zeros(0)
    place, wanted = fit.camera.project(still[edge]), fit.landmarks[outline, :2]
    nearest = np.linalg.norm(place[None, :, :2] - wanted[:, None], axis=2).argmin(1)
    targets = _in_camera(wanted - place[nearest, :2], place[nearest, 2], fit.camera, tuning.PLACED_LARGEST)
    chosen = csr_array((np.ones(len(outline)), (np.arange(len(outline)), edge[nearest])), shape=(len(outline), len(still)))
    return chosen, targets, np.full(len(outline), tuning.LANDMARK_WEIGHT)


@functools.cache
def _shut_lids() -> Constraint:
    """Returns the constraint that opposite landmarks of the lids keep the model's distance, so that lids still close where a hand enlarged an eye."""
    rows, row = landmarks_on_mesh()[0], {int(landmark): k for k, landmark in enumerate(LandmarkModel.load().index)}
    upper, lower = np.array([
        (row[a], row[b]) for rim in EYE_RIMS for a, b in zip(rim.upper[1:-1], rim.lower[1:-1]) if a in row and b in row
    ]).T  # fmt: skip
    return csr_array(rows[upper] - rows[lower]), np.zeros((len(upper), 3)), np.full(len(upper), tuning.BETWEEN_WEIGHT)


def _edge_of_face(still: Array) -> Array:
    """Vertices of the face where the posed mesh ``still`` (V, 3), camera frame, turns away from the viewer."""
    head = Head.load()
    facing = -(vertex_normals(still, head.triangles) * still).sum(1) / np.linalg.norm(still, axis=1)
    used = head.region("face")
    skin = head.triangles[head.part("skin")]
    turns = (facing[skin].min(1) < 0) & (facing[skin].max(1) >= 0) & used[skin].all(1)
    return np.unique(skin[turns])


def _solved(constraints: list[Constraint]) -> Array:
    """Returns the smooth field (V, 3) that fits all ``constraints``."""
    rows, targets, weights = zip(*constraints)
    return solve_field(vstack(rows).tocsr(), np.concatenate(targets), np.concatenate(weights))


@functools.cache
def landmarks_on_mesh() -> tuple[csr_array, Array]:
    """Rows (K, V) and weights (K,) of the landmarks: the same for every face."""
    model, head = LandmarkModel.load(), Head.load()
    with np.load(ASSETS / "landmarks.npz", allow_pickle=False) as file:
        triangle, inside = file["triangle"], file["barycentric"].astype(np.float64)
    return _rows(head.triangles[triangle], inside, len(head.vertices)), tuning.LANDMARK_WEIGHT * model.weight / np.median(model.weight)


@functools.cache
def _on_lids() -> Array:
    """(K,) bool: landmarks on the rims of the eyes."""
    return np.isin(LandmarkModel.load().index, [k for rim in EYE_RIMS for k in rim.upper + rim.lower])


@functools.cache
def _landmark_systems() -> tuple[FieldSystem, FieldSystem]:
    """Returns the systems for all landmarks but those of the lids, and for all landmarks; factorised once for all faces."""
    (rows, weights), off_lids = landmarks_on_mesh(), ~_on_lids()
    return FieldSystem.of(rows[off_lids], weights[off_lids]), FieldSystem.of(rows, weights)


@functools.cache
def lip_response() -> Array:
    """Returns the metres (52,) by which each blendshape parts the lips of the landmark model, mean along the mouth."""
    model = LandmarkModel.load()
    upper, lower = _lip_pairs()
    parting = (model.blendshapes[:, upper, 1] - model.blendshapes[:, lower, 1]).mean(1)
    return np.asarray(np.where([name.startswith(("jaw", "mouth")) for name in BLENDSHAPE_NAMES], parting, 0.0))


@functools.cache
def _lip_pairs() -> tuple[Array, Array]:
    """(P,) rows of the landmarks of the upper lip's inner edge without the corners, and of those opposite on the lower lip's."""
    row = {int(landmark): k for k, landmark in enumerate(LandmarkModel.load().index)}
    pairs = [(row[a], row[b]) for a, b in zip(MOUTH_RIM.upper[1:-1], MOUTH_RIM.lower[1:-1]) if a in row and b in row]
    upper, lower = np.array(pairs).T
    return upper, lower


def _closed_lips(values: Any) -> Any:
    """Returns landmarks (K, …) in which opposite ones on the lips' inner edges are replaced by their mean and their difference."""
    upper, lower = _lip_pairs()
    turn = np.eye(values.shape[0])
    turn[upper, lower] = turn[upper, upper] = 0.5
    turn[lower, upper], turn[lower, lower] = 1.0, -1.0
    return csr_array(turn) @ values


@functools.cache
def _closed_lips_system() -> FieldSystem:
    """Returns the system whose field keeps the model's distance between the lips; factorised once for all faces."""
    rows, weights = landmarks_on_mesh()
    weights = weights.copy()
    weights[_lip_pairs()[1]] = tuning.BETWEEN_WEIGHT
    return FieldSystem.of(csr_array(_closed_lips(rows)), weights)


@functools.cache
def _near_mouth() -> Array:
    """(V,) 1 at the lips, falling to 0 before nose and chin end."""
    head = Head.load()
    middle = head.vertices[head.region("lips")].mean(0)
    return np.asarray(1 - smoothstep(*tuning.MOUTH_REACH, np.linalg.norm(head.vertices - middle, axis=1)))


def rim_rows(fit: FittedFace, still: Array, rim: Opening) -> tuple[csr_array, Array, Array]:
    """Returns the constraint for the visible rim of one opening of the posed mesh ``still`` (V, 3), camera frame.

    The picture is turned so that the corners are level; in every column the first and last pixel of the opening has skin beside it.
    """
    head = Head.load()
    upper, lower = fit.landmarks[list(rim.upper), :2], fit.landmarks[list(rim.lower), :2]
    corner, across = upper[0], upper[-1] - upper[0]
    length = max(float(np.linalg.norm(across)), 1e-6)
    axis = across / length
    turn = np.array([axis, [-axis[1], axis[0]]]) * (0.8 * tuning.RIM_SIDE / length)
    offset = np.array([0.1 * tuning.RIM_SIDE, 0.5 * tuning.RIM_SIDE])
    place = fit.camera.project(still)
    flat = np.concatenate([(place[:, :2] - corner) @ turn.T + offset, place[:, 2:]], axis=1)
    raster = rasterise(flat, head.drawn_triangles(), tuning.RIM_SIDE, tuning.RIM_SIDE)
    shown = head.drawn()[raster.triangle]
    opening = raster.covered & np.isin(shown, head.part(*rim.part))
    skin = raster.covered & np.isin(shown, _skin_of_rims())
    columns = np.flatnonzero(opening[1:-1].any(0))
    vertices, inside, away, depth = [], [], [], []
    for points, first in ((upper, True), (lower, False)):
        edge = (points - corner) @ turn.T + offset
        last = tuning.RIM_SIDE - 1 - np.argmax(opening[::-1], axis=0)
        row = (np.argmax(opening, axis=0) - 1 if first else last + 1)[columns]
        good = (row >= 0) & (row < tuning.RIM_SIDE) & (columns > edge[0, 0] + 4) & (columns < edge[-1, 0] - 4)
        row, column = row[good], columns[good]
        row, column = row[skin[row, column]], column[skin[row, column]]
        wanted = np.interp(column + 0.5, edge[:, 0], edge[:, 1])
        vertices.append(head.triangles[shown[row, column]])
        inside.append(raster.barycentric[row, column].astype(np.float64))
        away.append(np.stack([np.zeros(len(row)), wanted - (row + (1.0 if first else 0.0))], axis=1))
        depth.append(raster.depth[row, column].astype(np.float64))
    pixels = np.concatenate(away) @ np.linalg.inv(turn).T
    targets = _in_camera(pixels, np.concatenate(depth), fit.camera)
    rows = _rows(np.concatenate(vertices), np.concatenate(inside), len(head.vertices))
    return rows, targets, np.full(len(targets), tuning.RIM_WEIGHT * np.sqrt(20 / max(len(columns), 20)))


@functools.cache
def _skin_of_rims() -> Array:
    """Triangles of the skin that can be a rim: beside any other, what opens is a fold of a mesh that was moved far."""
    head = Head.load()
    skin = head.part("skin")
    return np.asarray(skin[head.region("lips", "inside", "lids")[head.triangles[skin]].any(1)])


def _in_camera(pixels: Array, depth: Array, camera: Camera, largest: float = tuning.LARGEST) -> Array:
    """Moves (K, 2) in pixels at ``depth`` (K,) → (K, 3) metres in the camera frame, parallel to the picture, at most ``largest`` long."""
    moves = pixels * [1, -1] * (depth / camera.focal)[:, None]
    size = np.linalg.norm(moves, axis=1, keepdims=True)
    return np.concatenate([moves * np.minimum(1, largest / np.maximum(size, 1e-9)), np.zeros((len(moves), 1))], axis=1)


def _rows(corners: Array, inside: Array, count: int) -> csr_array:
    index = np.repeat(np.arange(len(corners)), 3)
    return csr_array((inside.ravel(), (index, corners.ravel())), shape=(len(corners), count))


def field_answers(chosen: tuple[int, ...], middle: Array, reach: tuple[float, float]) -> tuple[Array, Array]:
    """Vertices (N,) that move when the ``chosen`` landmarks (C rows of the model) do, and by how much (N, C) for one metre of each.

    What is within the first of ``reach``, in metres from ``middle`` (3,), moves wholly; from the second on nothing does, nor do the
    other landmarks there.
    """
    head = Head.load()
    rows, weights = landmarks_on_mesh()
    away = np.linalg.norm(rows @ head.vertices - middle, axis=1)
    kept = np.concatenate([chosen, np.setdiff1d(np.flatnonzero(away > reach[0]), chosen)])
    system = FieldSystem.of(rows[kept], weights[kept])
    targets = np.zeros((len(kept), len(chosen)))
    targets[: len(chosen)] = np.eye(len(chosen))
    field = np.zeros((len(head.vertices), len(chosen)))
    field[system.used] = system.factors.solve(system.weighted.T @ targets)
    field *= (1 - smoothstep(*reach, np.linalg.norm(head.vertices - middle, axis=1)))[:, None]
    near = np.flatnonzero(np.abs(field).max(1) > 1e-3)
    return near, field[near]
