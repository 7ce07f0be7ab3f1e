"""Pictures of whole eyeballs, completed from the pixels that the photograph shows; the edges of closing lids; and limits of the gaze, so that no
iris is wholly behind a lid and the eye all white."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np

from mimaface.face.fit import FittedFace, iris_direction
from mimaface.face.head import Head, gaze_rotation
from mimaface.face.lids import lower_lids
from mimaface.geometry.camera import Camera
from mimaface.geometry.interpolation import smoothstep
from mimaface.protocol.arkit import BLENDSHAPE_INDEX
from mimaface.protocol.arrays import Array

from . import tuning
from .kernels import EYE, EYE_REACH, LID_BINS, LID_SPAN, MARGIN_UNIT

EYE_SIDE = 128  # pixels of an eye picture


@functools.cache
def around_eyes() -> Array:
    """(V,) bool: skin near the eyes, which a blink unfolds."""
    head = Head.load()
    near = np.zeros(len(head.vertices), bool)
    for centre in head.eye_centres:
        near |= (np.linalg.norm(head.vertices[:, :2] - centre[:2], axis=1) < tuning.LID_REACH) & (head.vertices[:, 2] > centre[2])
    near[head.vertices_of("eye_left", "eye_right")] = False
    return near


@functools.cache
def upper_lid_edge() -> tuple[Array, Array]:
    """Vertices of the edge of the left and of the right upper lid, the front of its rim."""
    head = Head.load()
    edges = []
    for side, name in enumerate(("eyeBlinkLeft", "eyeBlinkRight")):
        down = -head.blendshapes[BLENDSHAPE_INDEX[name]][:, 1]
        off = np.linalg.norm(head.vertices - head.eye_centres[side], axis=1) - head.eye_radius
        rim = (down > tuning.LASH_TRAVEL) & (off > tuning.LASH_NEAR) & (off < tuning.LASH_FAR)
        edges.append(np.flatnonzero(head.region("lids") & rim))
    return edges[0], edges[1]


def lid_tables(shape: Array, centres: Array) -> Array:
    """(2, 33): pitch in radians of each upper lid's lower edge, by yaw, about the eye's centre; shape (V, 3), head frame."""
    yaws = np.linspace(-LID_SPAN, LID_SPAN, LID_BINS)
    tables = np.empty((2, LID_BINS), np.float32)
    for side, edge in enumerate(upper_lid_edge()):
        away = shape[edge] - centres[side]
        yaw = np.arctan2(away[:, 0], away[:, 2])
        pitch = np.arctan2(away[:, 1], np.hypot(away[:, 0], away[:, 2]))
        low, high = yaw.min(), yaw.max()
        # the rim is thick: vertices that are neighbours lie apart. np.polynomial's own fit takes 0.7 ms, for a frame has four of them
        known, asked = (_powers((2 * x - low - high) / (high - low)) for x in (yaw, np.clip(yaws, low, high)))
        tables[side] = asked @ np.linalg.solve(known.T @ known, known.T @ pitch)
    return tables


def _powers(values: Array) -> Array:
    """(P, LID_DEGREE + 1) powers of ``values`` (P,), −1 to 1."""
    return np.vander(values, tuning.LID_DEGREE + 1, increasing=True)


def lash_colour(seen: Array, trust: Array, skin: Array) -> Array:
    """RGB (3,) of the lashes: the darkest of ``seen`` (V, 3) along the upper lids' edges, where that is trusted (V,)."""
    rims = np.concatenate(upper_lid_edge())
    rims = rims[trust[rims] > tuning.LASH_TRUST]
    low, high = tuning.LASHES
    dark = np.percentile(seen[rims], tuning.LASH_DARKEST, axis=0) if len(rims) else high * skin
    return np.asarray(np.clip(dark, low * skin, high * skin))


def eye_pictures(image: Array, camera: Camera, fit: FittedFace, kind: Array, margins: Array, light: Array, skin: Array) -> Array:
    """Both eyes, unrolled around the pupil: (2, S, S, 3), angle from the pupil as distance from the middle, up is up.

    Visible pixels of the iris stay; a hidden pixel has the colour of its mirror pixel and of its ring. The white is one colour.
    margins (H, W) int8: of eyes, see ``projection.margins``; skin (3,): mean colour of the face; light (3,): colour of a white surface.
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
        inside = (column >= 0) & (row >= 0) & (column < camera.width) & (row < camera.height) & (facing > 0.25)  # cosine: not its sides
        column, row = np.clip(column, 0, camera.width - 1), np.clip(row, 0, camera.height - 1)
        margin = margins[row, column] / MARGIN_UNIT
        seen = inside & (kind[row, column] == EYE) & (margin > tuning.OPENING_MARGIN)
        slit = 0.25 * tuning.IRIS_RADIUS * camera.focal / -centres[side][2]  # pixels; a narrower opening shows lids and lashes
        seen &= margin.max(where=seen, initial=0.0) > slit
        pictures[side] = complete_eye(
            image[row, column].astype(np.float64), np.where(seen, margin, 0.0),
            local, _iris_in_eye(fit, centres[side], side, turn), light, skin,
        )  # fmt: skip
    return pictures


def _iris_in_eye(fit: FittedFace, centre: Array, side: int, turn: Array) -> Array:
    """Direction (3,) of the iris in the eye's own frame; straight ahead where its landmark is far from the fitted gaze."""
    direction = iris_direction(fit.landmarks, fit.camera, centre, side) @ turn
    return np.asarray(direction if direction[2] > np.cos(0.35) else np.array([0.0, 0.0, 1.0]))  # radians


def complete_eye(seen: Array, margin: Array, local: Array, iris: Array, light: Array, skin: Array) -> Array:
    """One eye picture (S, S, 3) from pixels (S, S, 3); margin (S, S): their distance to the lids in pixels, 0 where hidden."""
    head = Head.load()
    angle = np.arccos(np.clip(local @ iris, -1, 1))
    rim = float(np.arcsin(tuning.IRIS_RADIUS / head.eye_radius))
    white = white_of_eye(seen, (margin > tuning.WHITE_MARGIN) & (angle > rim + tuning.WHITE_BEYOND), light, skin)
    sure = smoothstep(*tuning.EYE_TRUST, margin) * (margin > 0)
    count = tuning.IRIS_RINGS + 2  # beyond the iris, too: its edge is soft
    rings = np.clip((angle / rim * tuning.IRIS_RINGS).astype(int), 0, count - 1)
    low = local[..., 1] < iris[1] + tuning.IRIS_SHADED  # the upper half lies in the shadow of the lid
    profile = np.empty((count, 3))
    known = np.zeros(count, bool)
    for ring in range(count):
        for where in ((rings == ring) & (sure > tuning.IRIS_SURE) & low, (rings == ring) & (sure > 0)):
            if where.sum() >= 6 and not known[ring]:  # pixels
                profile[ring], known[ring] = np.median(seen[where], axis=0), True
    if not known.any():
        profile[:tuning.IRIS_RINGS], known[:tuning.IRIS_RINGS] = light * tuning.IRIS_UNSEEN, True
    nearest = np.abs(np.arange(count)[:, None] - np.flatnonzero(known)[None]).argmin(1)
    profile = profile[known][nearest]
    place = np.clip(angle / rim * tuning.IRIS_RINGS - 0.5, 0, count - 1.001)
    left = place.astype(int)
    ringed = profile[left] + (place - left)[..., None] * (profile[np.minimum(left + 1, count - 1)] - profile[left])
    trusted = (sure * np.where(low, 1.0, tuning.SHADED_TRUST))[..., None]
    other = trusted[:, ::-1] * tuning.IRIS_MIRRORED
    disc = ringed + other * (seen[:, ::-1] - ringed) * (abs(iris[0]) < 0.1)  # of the radius: else the halves do not match
    disc = disc + trusted * (seen - disc)
    outside = smoothstep(rim + tuning.IRIS_EDGE[0], rim + tuning.IRIS_EDGE[1], angle)[..., None]
    ball = white * (1 - tuning.EYE_ROUND * smoothstep(*tuning.EYE_SIDES, angle))[..., None]
    keep = tuning.SHADED_TRUST * trusted * smoothstep(*tuning.WHITE_KEPT, margin)[..., None]
    ball = ball + keep * (np.clip(seen, tuning.WHITE_SHADES[0] * white, tuning.WHITE_SHADES[1] * white) - ball)
    return np.asarray(disc + outside * (ball - disc), np.float32)


def white_of_eye(seen: Array, where: Array, light: Array, skin: Array) -> Array:
    """RGB (3,) of the white: the median of the brighter of its visible pixels, within the limits that light and skin set."""
    hue = tuning.WHITE_HUE * np.sqrt(light / light.mean())
    default = tuning.WHITE_OF_LIGHT * light.mean() * hue
    if where.sum() < tuning.WHITE_PIXELS:
        return np.asarray(default)
    pixels = seen[where]
    bright = np.median(pixels[pixels.sum(1) >= np.percentile(pixels.sum(1), tuning.WHITE_PERCENTILE)], axis=0)
    grey = bright.mean()
    bright = tuning.WHITE_OWN_HUE * bright + (1 - tuning.WHITE_OWN_HUE) * grey * hue
    pale = pixels[saturation(pixels) <= 0.5 * saturation(skin)].mean(1)  # dark skin has whites brighter than WHITE_HIGH
    high = max(tuning.WHITE_HIGH * skin.mean(), float(np.median(pale)) if len(pale) >= tuning.WHITE_PIXELS else 0.0)
    allowed = np.clip(grey, tuning.WHITE_LOW * skin.mean(), min(high, tuning.WHITE_MOST))
    return np.asarray(bright * allowed / max(grey, 1.0))


def saturation(colours: Array) -> Array:
    """RGB (…, 3) → (…): the range of the three channels over their mean."""
    return np.asarray(np.ptp(colours, axis=-1) / np.maximum(colours.mean(-1), 1.0))


@dataclass(frozen=True, eq=False)
class GazeLimits:
    """Of one photograph: centres (2, 3) of its eyeballs, head frame, metres, and how far beyond its lids, in radians of pitch, the middle of
    each iris may lie, below and above (2, 2): at least as far as it does there."""

    centres: Array
    beyond: Array

    @staticmethod
    def of(shape: Array, centres: Array, gaze: Array) -> GazeLimits:
        """shape (V, 3): the mesh of the photograph, head frame, metres; gaze (2, 2) in it."""
        low, high = _lids(shape, centres, gaze)
        radius = float(np.arcsin(tuning.IRIS_RADIUS / Head.load().eye_radius))
        beyond = np.stack([low - gaze[:, 1], gaze[:, 1] - high], axis=1)
        return GazeLimits(centres, np.maximum(beyond, tuning.IRIS_HIDDEN * radius))

    def within(self, shape: Array, gaze: Array) -> Array:
        """Gaze (2, 2) whose irises the lids of the posed mesh ``shape`` (V, 3) leave in view; both eyes turn up or down by the
        same angle, which the wider eye needs."""
        low, high = _lids(shape, self.centres, gaze)
        more = np.clip(gaze[:, 1], low - self.beyond[:, 0], np.maximum(high, low) + self.beyond[:, 1]) - gaze[:, 1]
        wider = int(np.argmax(high - low))
        return np.stack([gaze[:, 0], gaze[:, 1] + more[wider]], axis=1) if more[wider] else gaze


def _lids(shape: Array, centres: Array, gaze: Array) -> tuple[Array, Array]:
    """Returns the pitch (2,) of the lower and (2,) of the upper lid of each eye, in radians about its centre, at the yaw of its gaze."""
    tables = lid_tables(shape, centres)
    yaws = np.linspace(-LID_SPAN, LID_SPAN, LID_BINS)
    return lower_lids(shape, centres), np.array([np.interp(gaze[side, 0], yaws, tables[side]) for side in range(2)])


def turn_eyes(shape: Array, centres: Array, before: Array, after: Array) -> None:
    """Turn the eyeballs of ``shape`` (V, 3), in place, from the gaze ``before`` (2, 2) to the gaze ``after`` (2, 2)."""
    turns = gaze_rotation(after) @ np.swapaxes(gaze_rotation(before), -1, -2)
    for side, name in enumerate(("eye_left", "eye_right")):
        ball = Head.load().vertices_of(name)
        shape[ball] = (shape[ball] - centres[side]) @ turns[side].T + centres[side]
