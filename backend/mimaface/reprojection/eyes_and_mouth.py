"""What no pixel of the photograph shows, estimated from those it does: irises and whites, teeth and mouth, closed lids."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array, diags_array
from scipy.sparse.linalg import spsolve

from mimaface.face.fit import IRIS, FittedFace
from mimaface.face.head import Head, gaze_rotation
from mimaface.geometry.camera import Camera
from mimaface.geometry.interpolation import fill_holes, smoothstep
from mimaface.protocol.arkit import BLENDSHAPE_INDEX

from .kernels import EYE, EYE_REACH, LID_BINS, LID_SPAN, TEETH

Array = NDArray[Any]
EYE_SIDE = 128  # pixels of an eye picture
IRIS_RADIUS = 0.0059  # metres, the same in everyone within 4 %
LASH_TRAVEL, LASH_NEAR, LASH_FAR = 0.002, 0.0003, 0.0022  # metres: down in a blink, and off the eyeball, of a lid's edge
LID_REACH = 0.026  # metres around an eye's centre
LASHES, LASH_WIDTH = 0.42, 0.0016  # brightness of the line that a closed lid ends in, and how wide it is in metres
LIPS_TOUCH = 0.0014  # metres between the lips up to which the line that they close with is seen
LIPS_PARTED = 0.003, 0.006  # metres: up to the first a photograph shows closed lips, from the second on their line and colour are painted
LIPS_LINE = 0.45  # of the light is lost in it
UPPER_LIP, LOWER_LIP = -0.008, -0.020  # metres that the open jaw takes a lip down: less than the first, more than the second
WHITE = np.array([1.035, 1.0, 0.965])  # the hue of a white against its grey
WHITE_LOW, WHITE_HIGH = 0.62, 1.15  # brightness of the white of an eye against the skin: shadow and highlight are neither
PALE = 0.5  # saturation against the skin's: if half of what is at most so is brighter than WHITE_HIGH, it is white, the skin dark
SLIT = 0.25  # of an iris's radius: an eye that is open by less, up and down from its middle, shows lids and lashes
USUAL_LIGHT = 220.0  # 0–255: photographs are exposed so that a white surface in them is about so bright
TEETH_BRIGHT = 110  # 0–255: what is darker between the lips is not teeth
CAVITY = np.array([0.34, 0.115, 0.105])  # against white light: the inside of a mouth
TONGUE = np.array([0.56, 0.29, 0.28])
DARK = np.array([0.115, 0.042, 0.038])
IVORY = np.array([0.93, 0.87, 0.76])


def light_of(image: Array, head: Head, place: Array, sure: Array) -> Array:
    """RGB (3,), 0–255, that a white surface facing the camera would have: the skin's colour against the head's albedo.

    Dark skin and little light look alike, so what is darker than usual is taken for half the one, half the other.
    """
    face = sure & head.region("face")
    if not face.any():
        return np.array([230.0, 220.0, 210.0])
    height, width = image.shape[:2]
    column, row = np.clip(place[face, 0].astype(int), 0, width - 1), np.clip(place[face, 1].astype(int), 0, height - 1)
    seen = np.median(image[row, column].astype(np.float64), axis=0)
    gain = seen / np.median(head.albedo[head.region("face")], axis=0)
    strength = gain.mean()
    brighter = max(np.sqrt(USUAL_LIGHT / max(strength, 1.0)), 1.0)
    return np.asarray(np.clip(brighter * (0.65 * strength + 0.35 * gain), 40, 255))


def mouth_colours(image: Array, head: Head, kind: Array, margin: Array, light: Array) -> tuple[Array, Array]:
    """Vertices (P,) of teeth, tongue and lining, and their colours (P, 3) before any shadow."""
    bright = image[(kind == TEETH) & (margin > 0.7)].astype(np.float64)
    ivory = IVORY * light * 0.9
    if len(bright) >= 20:
        seen = np.median(bright[bright.sum(1) >= np.percentile(bright.sum(1), 60)], axis=0)
        if seen.mean() > TEETH_BRIGHT:
            ivory = seen
    skin = head.vertices_of("skin")
    vertices, colours = [], []
    for name, colour in (
        ("mouth_inside", CAVITY * light),
        ("tongue", TONGUE * light),
        ("teeth_upper", ivory),
        ("teeth_lower", ivory * 0.9),
    ):
        part = np.setdiff1d(head.vertices_of(name), skin)
        vertices.append(part)
        colours.append(np.tile(colour, (len(part), 1)))
    return np.concatenate(vertices), np.concatenate(colours)


def continue_mouth(image: Array, margin: Array) -> Array:
    """``image`` (H, W, 3) uint8 with what is between the lips spread over them; margin (H, W): pixels inside the opening."""
    inside = margin > 0.7
    if inside.sum() < 12:
        return image
    rows, columns = np.flatnonzero(inside.any(1)), np.flatnonzero(inside.any(0))
    reach = max(8, len(columns) // 4)
    part = np.s_[max(rows[0] - reach, 0) : rows[-1] + reach, max(columns[0] - reach, 0) : columns[-1] + reach]
    result = image.copy()
    result[part] = np.round(fill_holes(image[part], inside[part])).clip(0, 255).astype(np.uint8)
    return result


@functools.cache
def surface_coordinates() -> Array:
    """(V, 4) for painting. Eyeballs: direction from the centre and side (0 left, 1 right); teeth: metres along the arch from the
    middle, metres from the biting edge, 1 for lower ones; skin: metres to the edge of the upper lid."""
    head = Head.load()
    result = np.zeros((len(head.vertices), 4))
    result[:, 0] = 1.0
    edge = upper_lid_edge()
    for side in range(2):
        near = np.flatnonzero(head.region("lids") & ((head.vertices[:, 0] > 0) == (side == 0)))
        rim = head.vertices[edge[side]]
        result[near, 0] = np.linalg.norm(head.vertices[near, None] - rim[None], axis=2).min(1)
    for side, name in enumerate(("eye_left", "eye_right")):
        ball = head.vertices_of(name)
        away = head.vertices[ball] - head.eye_centres[side]
        result[ball] = np.concatenate([away / np.linalg.norm(away, axis=1, keepdims=True), np.full((len(ball), 1), side)], axis=1)
    for lower, name in enumerate(("teeth_upper", "teeth_lower")):
        part = head.vertices_of(name)
        x, y, z = head.vertices[part].T
        bend = 2 * (z.max() - z.min()) / np.abs(x).max() ** 2  # slope of the arch z = z0 − bend/2·x² per metre
        along = 0.5 * (x * np.sqrt(1 + (bend * x) ** 2) + np.arcsinh(bend * x) / bend)
        result[part] = np.stack([along, y.max() - y if lower else y - y.min(), np.full(len(part), lower), 0 * x], axis=1)
    return result


@functools.cache
def around_eyes() -> Array:
    """(V,) bool: skin near the eyes, which a blink unfolds."""
    head = Head.load()
    near = np.zeros(len(head.vertices), bool)
    for centre in head.eye_centres:
        near |= (np.linalg.norm(head.vertices[:, :2] - centre[:2], axis=1) < LID_REACH) & (head.vertices[:, 2] > centre[2])
    near[np.concatenate([head.vertices_of("eye_left"), head.vertices_of("eye_right")])] = False
    return near


@functools.cache
def upper_lid_edge() -> tuple[Array, Array]:
    """Vertices of the edge of the left and of the right upper lid, the front of its rim."""
    head = Head.load()
    edges = []
    for side, name in enumerate(("eyeBlinkLeft", "eyeBlinkRight")):
        down = -head.blendshapes[BLENDSHAPE_INDEX[name]][:, 1]
        off = np.linalg.norm(head.vertices - head.eye_centres[side], axis=1) - head.eye_radius
        edges.append(np.flatnonzero(head.region("lids") & (down > LASH_TRAVEL) & (off > LASH_NEAR) & (off < LASH_FAR)))
    return edges[0], edges[1]


@functools.cache
def lips() -> tuple[Array, Array]:
    """Vertices of the upper and of the lower lip, without the corners of the mouth."""
    head = Head.load()
    down, both = head.blendshapes[BLENDSHAPE_INDEX["jawOpen"]][:, 1], head.region("lips")
    return np.flatnonzero(both & (down > UPPER_LIP)), np.flatnonzero(both & (down < LOWER_LIP))


def lips_shadow(shape: Array, parted: float) -> Array:
    """(V,) how much light reaches the skin of ``shape`` (V, 3), head frame: less where upper and lower lip touch.

    parted: metres by which the photograph's lips are; closed ones bring their own line.
    """
    lost = LIPS_LINE * smoothstep(*LIPS_PARTED, np.array(parted))
    upper, lower = lips()
    away = np.linalg.norm(shape[upper][:, None] - shape[lower][None], axis=2)
    result = np.ones(len(shape))
    for lip, distance in ((upper, away.min(1)), (lower, away.min(0))):
        result[lip] -= lost * np.exp(-((distance / LIPS_TOUCH) ** 2))
    return result


def lid_tables(shape: Array, centres: Array) -> Array:
    """(2, 33): pitch in radians, seen from the eye's centre, of each upper lid's lowest edge by yaw; shape (V, 3), head frame."""
    yaws = np.linspace(-LID_SPAN, LID_SPAN, LID_BINS)
    tables = np.empty((2, LID_BINS), np.float32)
    for side, edge in enumerate(upper_lid_edge()):
        away = shape[edge] - centres[side]
        yaw = np.arctan2(away[:, 0], away[:, 2])
        pitch = np.arctan2(away[:, 1], np.hypot(away[:, 0], away[:, 2]))
        order = np.argsort(yaw)
        tables[side] = np.interp(yaws, yaw[order], pitch[order])
    return tables


def eye_pictures(image: Array, camera: Camera, fit: FittedFace, kind: Array, margin: Array, light: Array, skin: Array) -> Array:
    """Both eyes, unrolled around the pupil: (2, S, S, 3), angle from the pupil as distance from the middle, up is up.

    The iris keeps its seen pixels, the rest of it comes from its other half and from the ring it lies on; the white is one
    colour. skin (3,) is the face's colour, light (3,) that of a white surface.
    """
    head = Head.load()
    centres = head.eye_centres_for(fit.identity) @ fit.rotation.T + fit.translation
    half = EYE_SIDE / 2
    x, y = np.meshgrid(np.arange(EYE_SIDE) + 0.5 - half, half - 0.5 - np.arange(EYE_SIDE))
    angle = np.hypot(x, y) / half * EYE_REACH
    sine = np.sin(angle) / np.maximum(np.hypot(x, y), 1e-9)
    local = np.stack([x * sine, y * sine, np.cos(angle)], axis=-1)
    pictures = np.empty((2, EYE_SIDE, EYE_SIDE, 3), np.float32)
    for side in range(2):
        turn = fit.rotation @ gaze_rotation(fit.gaze[side])
        direction = local @ turn.T
        point = centres[side] + head.eye_radius * direction
        place = camera.project(point)
        facing = -(direction * point).sum(-1) / np.linalg.norm(point, axis=-1)
        column, row = np.floor(place[..., 0]).astype(int), np.floor(place[..., 1]).astype(int)
        inside = (column >= 0) & (row >= 0) & (column < camera.width) & (row < camera.height) & (facing > 0.25)
        column, row = np.clip(column, 0, camera.width - 1), np.clip(row, 0, camera.height - 1)
        seen = inside & (kind[row, column] == EYE) & (margin[row, column] > 0.7)
        slit = SLIT * IRIS_RADIUS * camera.focal / -centres[side][2]
        seen &= margin[row, column].max(where=seen, initial=0.0) > slit
        pictures[side] = complete_eye(
            image[row, column].astype(np.float64), np.where(seen, margin[row, column], 0.0),
            local, iris_direction(fit, camera, centres[side], side, turn), light, skin,
        )  # fmt: skip
    return pictures


def iris_direction(fit: FittedFace, camera: Camera, centre: Array, side: int, turn: Array) -> Array:
    """Direction (3,) of the iris in the eye's own frame: where the line of sight through its landmark meets the eyeball."""
    head = Head.load()
    u, v = fit.landmarks[IRIS[side], :2] * (camera.focal / fit.camera.focal)
    u += camera.centre[0] - fit.camera.centre[0] * camera.focal / fit.camera.focal
    v += camera.centre[1] - fit.camera.centre[1] * camera.focal / fit.camera.focal
    ray = np.array([u - camera.centre[0], camera.centre[1] - v, -camera.focal])
    ray /= np.linalg.norm(ray)
    along = float(ray @ centre)
    inside = head.eye_radius**2 - float(centre @ centre) + along**2
    hit = ray * (along - np.sqrt(max(inside, 0.0))) - centre
    direction = (hit / np.linalg.norm(hit)) @ turn
    return np.asarray(direction if direction[2] > np.cos(0.35) else np.array([0.0, 0.0, 1.0]))


def complete_eye(seen: Array, margin: Array, local: Array, iris: Array, light: Array, skin: Array) -> Array:
    """One eye picture (S, S, 3) from pixels (S, S, 3) that are ``margin`` (S, S) pixels inside the opening, 0 where unseen."""
    head = Head.load()
    angle = np.arccos(np.clip(local @ iris, -1, 1))
    rim = float(np.arcsin(IRIS_RADIUS / head.eye_radius))
    white = white_of_eye(seen, (margin > 1.2) & (angle > rim + 0.08), light, skin)
    sure = smoothstep(0.7, 2.2, margin) * (margin > 0)
    rings = np.clip((angle / rim * 10).astype(int), 0, 11)
    low = local[..., 1] < iris[1] + 0.15  # the upper half lies in the shadow of the lid
    profile = np.empty((12, 3))
    known = np.zeros(12, bool)
    for ring in range(12):
        for where in ((rings == ring) & (sure > 0.3) & low, (rings == ring) & (sure > 0)):
            if where.sum() >= 6 and not known[ring]:
                profile[ring], known[ring] = np.median(seen[where], axis=0), True
    if not known.any():
        profile[:10], known[:10] = 0.3 * light * [0.55, 0.42, 0.32], True
    nearest = np.abs(np.arange(12)[:, None] - np.flatnonzero(known)[None]).argmin(1)
    profile = profile[known][nearest]
    place = np.clip(angle / rim * 10 - 0.5, 0, 10.999)
    left = place.astype(int)
    ringed = profile[left] + (place - left)[..., None] * (profile[np.minimum(left + 1, 11)] - profile[left])
    trusted = (sure * np.where(low, 1.0, 0.35))[..., None]
    other = trusted[:, ::-1] * 0.7
    disc = ringed + other * (seen[:, ::-1] - ringed) * (abs(iris[0]) < 0.1)
    disc = disc + trusted * (seen - disc)
    outside = smoothstep(rim - 0.03, rim + 0.05, angle)[..., None]
    ball = white * (1 - 0.12 * smoothstep(0.7, 1.2, angle))[..., None]
    keep = 0.35 * trusted * smoothstep(1.5, 3.0, margin)[..., None]
    ball = ball + keep * (np.clip(seen, 0.75 * white, 1.15 * white) - ball)
    return np.asarray(disc + outside * (ball - disc), np.float32)


def white_of_eye(seen: Array, where: Array, light: Array, skin: Array) -> Array:
    """RGB (3,) of the white: the brighter half of what is seen of it, within what the light on the face allows."""
    default = 0.72 * light.mean() * WHITE
    if where.sum() < 12:
        return np.asarray(default)
    pixels = seen[where]
    bright = np.median(pixels[pixels.sum(1) >= np.percentile(pixels.sum(1), 60)], axis=0)
    grey = bright.mean()
    bright = 0.35 * bright + 0.65 * grey * WHITE
    pale = pixels[saturation(pixels) <= PALE * saturation(skin)].mean(1)
    high = max(WHITE_HIGH * skin.mean(), float(np.median(pale)) if len(pale) >= 12 else 0.0)
    allowed = np.clip(grey, WHITE_LOW * skin.mean(), min(high, 245.0))
    return np.asarray(bright * allowed / max(grey, 1.0))


def saturation(colours: Array) -> Array:
    """RGB (…, 3) → (…): how far the strongest and the weakest of the three are apart, against their mean."""
    return np.asarray(np.ptp(colours, axis=-1) / np.maximum(colours.mean(-1), 1.0))


def spread(count: int, triangles: Array, seen: Array, sure: Array) -> Array:
    """Harmonic extension over the mesh: sure vertices keep their colour, the others average their neighbours (V, 3)."""
    used = np.unique(triangles)
    pairs = np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]])
    pairs = np.concatenate([pairs, pairs[:, ::-1]])
    weights = coo_array((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(count, count)).tocsr()
    weights.data[:] = 1.0
    result = np.tile(np.median(seen[sure], axis=0) if sure.any() else [170.0, 130.0, 115.0], (count, 1))
    free = np.zeros(count, bool)
    free[used] = True
    fixed = free & sure
    free &= ~sure
    if not fixed.any() or not free.any():
        return result
    result[fixed] = seen[fixed]
    degree = weights[free].sum(1)
    matrix = diags_array(degree + 1e-4) - weights[free][:, free]
    right = weights[free][:, fixed] @ result[fixed] + 1e-4 * result[free]
    result[free] = spsolve(matrix.tocsc(), right)
    return result
