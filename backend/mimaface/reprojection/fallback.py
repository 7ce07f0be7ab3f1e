"""Colours of vertices that the photograph hides: extended from visible neighbours, or painted in the photograph's light.

Closing lids also get grain: the pores, noise or brushstrokes of the cheek below them."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter
from scipy.spatial import cKDTree

from mimaface.face.correction import Correction
from mimaface.face.fit import FittedFace
from mimaface.face.head import Head
from mimaface.face.lids import ClosingLids
from mimaface.geometry.camera import Camera
from mimaface.geometry.interpolation import pixels_under, smoothstep
from mimaface.geometry.mesh import harmonic_extension
from mimaface.protocol.arkit import BLENDSHAPE_INDEX
from mimaface.protocol.arrays import Array

from . import tuning
from .eyes import around_eyes, lash_colour, upper_lid_edge
from .folded import like_hair, usual_colours
from .kernels import MARGIN_UNIT, SKIN, TEETH
from .lashes import darkened, darkest_around, lid_skin, spread
from .mouth import mouth_colours, teeth_seen, touching


def fallback_colours(
    image: Array, place: Array, trust: Array, skin_triangles: Array, source_kind: Array, margin: Array, flat: bool, parted: float
) -> tuple[Array, Array, tuple[Array, Array], tuple[Array, Array]]:
    """Colours (V, 3) of hidden vertices, the light on the face (3,), the colours of its skin (3,) and of its teeth (3,), which are (0,) if
    none are seen, and of its lashes the colour (3,) and
    how far they darken (V,) what the photograph shows, see ``lashes.Lashes``.

    flat: whether it is a drawing in flat colours, whose lids are of one; parted: metres between the lips: closed lips show all of their colours.
    """
    head = Head.load()
    row, column = pixels_under(place, *image.shape[:2])
    seen = image[row, column].astype(np.float64)
    inside = (source_kind[row, column] == SKIN) & (margin[row, column, SKIN] > tuning.SURE_MARGIN * MARGIN_UNIT)
    sure = (trust > tuning.SURE_TRUST) & ~head.region("lids") & inside
    result = harmonic_extension(seen, lid_skin(seen, sure), skin_triangles, tuning.NO_SKIN)
    on_skin = (trust > tuning.SURE_TRUST) & (source_kind[row, column] == SKIN)
    result = _hair_colours(head, result, skin_triangles, seen, on_skin)
    near = on_skin & (margin[row, column, SKIN] > tuning.LIP_MARGIN * MARGIN_UNIT)
    lips = _own_colours(head.region("lips"), result, skin_triangles, seen, _unshaded(seen, near & head.region("lips")))
    result = result + smoothstep(*tuning.LIPS_PARTED, np.array(parted)) * (lips - result)
    light = light_of(image, head, place, sure)
    face = sure & head.region("face")
    skin = np.median(seen[face], axis=0) if face.any() else tuning.NO_SKIN
    teeth = teeth_seen(image, source_kind, margin[..., TEETH], skin)
    inner, colours = mouth_colours(head, teeth, light, skin)
    result[inner] = colours
    if flat:
        result[around_eyes()] = skin
    lids = head.region("lids")
    edge = surface_coordinates()[lids, 0] / (tuning.LASH_WIDTH_DRAWN if flat else tuning.LASH_WIDTH)
    dark = np.zeros(len(seen)) if flat else darkened(darkest_around(image, place, row, column), result, skin_triangles) * on_skin
    colour = lash_colour(seen, trust, skin)
    lashes = np.minimum(colour, result[lids])
    result[lids] += np.exp(-(edge**2))[:, None] * (lashes - result[lids])
    return np.clip(result, 0, 255).astype(np.float32), light, (skin, teeth), (colour, dark)


def _hair_colours(head: Head, colours: Array, skin: Array, seen: Array, sure: Array) -> Array:
    """``colours`` (V, 3), in which hidden parts of the scalp have colours of visible parts of the scalp, of either side.

    seen (V, 3): the picture at each vertex, valid where ``sure`` (V,); skin (N, 3): triangles. Beside the ears their shadow is seen, and
    their rim, which would be taken for hair.
    """
    mirror, scalp = head.mirror, head.region("scalp")
    away = sure & scalp & ~_near_ears()
    hair = away & like_hair(seen, usual_colours(seen, away, sure & head.region("face")))
    return _own_colours(scalp, colours, skin, np.where(hair[:, None], seen, seen[mirror]), hair | hair[mirror])


def without_line(colours: Array, image: Array, place: Array, trust: Array, skin: Array, shape: Array) -> tuple[Array, Array]:
    """``colours`` (V, 3) without the dark line between the closed lips of a photograph, and how far that darkens each vertex (V,), 0 to 1.

    image (H, W, 3): the picture, in which vertices lie at ``place`` (V, 3) and are seen by a ``trust`` (V,); skin (N, 3): triangles; shape (V, 3):
    the mesh in it, head frame.
    """
    seen = image[pixels_under(place, *image.shape[:2])].astype(np.float64)
    lips = Head.load().region("lips") & (trust > tuning.SURE_TRUST)
    own = _own_colours(lips, seen, skin, seen, _unshaded(seen, lips))
    dark = lips * (1 - smoothstep(*tuning.LINE_DARKER, seen.sum(1) / np.maximum(own.sum(1), 1.0)))
    line = spread(dark * np.minimum(touching(shape) / 0.3, 1.0), skin)
    return (colours + line[:, None] * (own - colours)).astype(np.float32), line


@functools.cache
def _near_ears() -> Array:
    """(V,) bool: vertices of the mean head that lie in the shadow of an ear."""
    head = Head.load()
    away, _ = cKDTree(head.vertices[head.region("ears")]).query(head.vertices)
    return np.asarray(away < tuning.EAR_SHADOW)


def _unshaded(seen: Array, sure: Array) -> Array:
    """The brighter half of ``sure`` (V,), by colours (V, 3): lips are dark where they turn inwards."""
    bright = seen.sum(1)
    return np.asarray(sure & (bright >= np.median(bright[sure]))) if sure.any() else sure


def _own_colours(region: Array, colours: Array, skin: Array, seen: Array, sure: Array) -> Array:
    """``colours`` (V, 3), in which hidden vertices of ``region`` (V,) have colours of the region's visible vertices alone."""
    own = sure & region
    if not own.any():
        return colours
    return np.where(region[:, None], harmonic_extension(seen, own, skin[region[skin].all(1)]), colours)


def light_of(image: Array, head: Head, place: Array, sure: Array) -> Array:
    """RGB (3,), 0–255, of a white surface that faces the camera: the skin's colour over the head's albedo.

    Dark skin and dim light cannot be told apart: of a darkness beyond the usual, half is attributed to each.
    """
    face = sure & head.region("face")
    if not face.any():
        return tuning.NO_LIGHT
    seen = np.median(image[pixels_under(place[face], *image.shape[:2])].astype(np.float64), axis=0)
    gain = seen / np.median(head.albedo[head.region("face")], axis=0)
    strength = gain.mean()
    brighter = max(np.sqrt(tuning.USUAL_LIGHT / max(strength, 1.0)), 1.0)
    light = brighter * ((1 - tuning.LIGHT_HUE) * strength + tuning.LIGHT_HUE * gain)
    return np.asarray(np.clip(light, 40, 255))  # levels: black pictures have some light, too


@functools.cache
def surface_coordinates() -> Array:
    """(V, 4) for painting. Eyeballs: direction from the centre and side (0 left, 1 right); teeth: metres along the arch from the
    middle, metres from the biting edge, 1 for lower ones; upper lids: metres to their edge in a closed eye;
    skin around eyes: metres aside of their middle, the second."""
    head = Head.load()
    result = np.zeros((len(head.vertices), 4))
    result[:, 0] = 1.0
    edge, lids = upper_lid_edge(), ClosingLids.of(head.vertices, head.eye_centres)
    for side, blink in enumerate(("eyeBlinkLeft", "eyeBlinkRight")):
        closing = head.blendshapes[BLENDSHAPE_INDEX[blink]]
        near = np.flatnonzero(head.region("lids") & (-closing[:, 1] > tuning.LASH_TRAVEL))
        shut = head.vertices + closing
        shut = shut + lids.offset(shut)
        result[near, 0] = np.linalg.norm(shut[near, None] - shut[edge[side]][None], axis=2).min(1)
        around = around_eyes() & ((head.vertices[:, 0] > 0) == (side == 0))
        result[around, 1] = head.vertices[around, 0] - head.eye_centres[side, 0]
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


@dataclass(frozen=True, eq=False)
class Grain:
    """detail (h, w, 1) float32: the share by which pixels of the cheeks are lighter than what is around them; place (V, 3) float32: u and v in
    it that skin without a pixel of its own takes, and how much of it, 0 or 1."""

    detail: Array
    place: Array

    @staticmethod
    def of(image: Array, source_kind: Array, fit: FittedFace, camera: Camera, correction: Correction, head_width: float) -> Grain:
        """image (H, W, 3) uint8 of ``camera``, of which ``source_kind`` (H, W) shows what; head_width: pixels across the head in it."""
        near, below = _on_cheeks(fit, camera, correction)
        place = np.zeros((len(Head.load().vertices), 3), np.float32)
        row, column = pixels_under(below, *source_kind.shape)
        on_skin = source_kind[row, column] == SKIN
        if not on_skin.any():
            return Grain(np.zeros((1, 1, 1), np.float32), place)
        reach = round(4 * tuning.GRAIN_SIZE * head_width) + 1
        top, left = max(row.min() - reach, 0), max(column.min() - reach, 0)
        part = np.s_[top : row.max() + reach, left : column.max() + reach]
        place[near] = np.column_stack([below[:, 0] - left, below[:, 1] - top, on_skin])
        return Grain(_detail(image[part], source_kind[part] == SKIN, tuning.GRAIN_SIZE * head_width)[..., None], place)


def _on_cheeks(fit: FittedFace, camera: Camera, correction: Correction) -> tuple[Array, Array]:
    """Vertices (N,) around the eyes, and the pixels (N, 2) that lie as far apart on the cheek as they do on closed lids."""
    head = Head.load()
    closed = fit.blendshapes.copy()
    closed[[BLENDSHAPE_INDEX["eyeBlinkLeft"], BLENDSHAPE_INDEX["eyeBlinkRight"]]] = 1
    near = np.flatnonzero(around_eyes())
    shape = (head.posed(fit.identity, closed, fit.gaze) + correction.at(closed))[near]
    shape[:, 1] -= tuning.GRAIN_BELOW
    return near, camera.project(shape @ fit.rotation.T + fit.translation)[:, :2]


def _detail(image: Array, skin: Array, size: float) -> Array:
    """(h, w) float32: see :class:`Grain`; of ``image`` (h, w, 3), where it is ``skin`` (h, w), finer than ``size`` pixels."""
    bright = image.mean(2, dtype=np.float32)
    share = skin.astype(np.float32)
    around = gaussian_filter(bright * share, size) / np.maximum(gaussian_filter(share, size), 1e-3)
    detail = np.where(skin, bright / np.maximum(around, 1) - 1, 0)
    usual = tuning.GRAIN_MOST * np.median(np.abs(detail[skin]))  # excludes moles, rims of glasses and strands
    return np.asarray(tuning.GRAIN_GAIN * np.clip(detail, -usual, usual), np.float32)
