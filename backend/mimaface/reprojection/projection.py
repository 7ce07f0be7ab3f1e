"""The photograph projected onto the fitted head: where each point of the head is in the picture, and how far to trust it.

A point takes its own pixel where it is seen, else the pixel of its mirror partner, else colours spread from seen neighbours.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

from mimaface.face.correction import Correction, correct
from mimaface.face.drawing import is_flat
from mimaface.face.fit import FittedFace
from mimaface.face.head import Head
from mimaface.geometry.camera import Camera
from mimaface.geometry.interpolation import smoothstep
from mimaface.geometry.rasterise import rasterise, vertex_normals

from . import eyes_and_mouth
from .cutout import within_alpha
from .hair import hair_offset
from .kernels import DEPTH_BIAS, EYE, GUM, MARGIN_UNIT, MOUTH, RIM_HEAD, SKIN, TEETH
from .matte import person_colours, person_matte
from .tone import Tone, tone_of

Array = NDArray[Any]
NOT_DRAWN = ("lashes", "hair")
MOUTH_PARTS = ("tongue", "mouth_inside")
TEETH_PARTS = ("teeth_upper", "teeth_lower")
FACING_LOW, FACING_HIGH = 0.02, 0.16  # cosine between surface and line of sight
SURE_MARGIN = 4.5  # pixels as in RIM: skin this far from eyes and mouth has its own colour
LIP_MARGIN = 1.5  # pixels as in RIM: a lip this far from the opening has its own colour; it has few pixels
LID_SKIN = 0.4  # share of the face's mean colour in the skin of closed lids
CHIN = -0.088  # metres below the eyes; skin that faces down below this is the underside of the chin
NECK_LOW, NECK_HIGH = -0.150, -0.075  # metres below the eyes: the neck rests below, turns with the head above


@dataclass(frozen=True, eq=False)
class Projection:
    """What a portrait brings to every frame; V vertices, N drawn triangles, source picture H × W.

    image (H, W, 3) uint8: the photograph; matte (H, W) float32: how much of a pixel is the person, 0 to 1; person, inner_person
    (H, W, 3) uint8: the person without the background, and its mouth continued over the lips;
    kind (N,): SKIN, EYE, MOUTH or TEETH; part (N,): the head's own label;
    still (V, 3): the portrait's own pose, camera frame; place, mirror_place (V, 3): u, v, depth of a vertex and of its mirror
    partner in the photograph; trust, mirror_trust (V,): facing 0–1; fallback (V, 3): RGB 0–255 where no pixel is known;
    inner (V,): 1 where the head is drawn even so; above_chin (V,): 0 on the chin's underside;
    follow (V,): 1 moves with the head, 0 stays (base of the neck);
    flat: whether it is a drawing in flat colours;
    eyes (2, S, S, 3): see ``eyes_and_mouth.eye_pictures``; dark (3,): RGB where no light comes; gum (3,): RGB against that of teeth; tone:
    the photograph's, which all that is painted has;
    at the source pixels: depth and source_kind (H, W), margin (H, W, 5) int8: quarters of a pixel to the nearest other surface,
    by kind; see ``shading.RIM``.
    """

    head: Head
    camera: Camera
    correction: Correction
    image: Array
    matte: Array
    person: Array
    inner_person: Array
    triangles: Array
    kind: Array
    part: Array
    still: Array
    place: Array
    mirror_place: Array
    trust: Array
    mirror_trust: Array
    fallback: Array
    inner: Array
    above_chin: Array
    flat: bool
    eyes: Array
    dark: Array
    gum: Array
    tone: Tone
    follow: Array
    depth: Array
    source_kind: Array
    margin: Array

    @property
    def head_width(self) -> float:
        """Pixels across the head as it is in the source."""
        return float(np.ptp(self.place[self.follow > 0.9, 0]))

    @property
    def kind_of_vertex(self) -> Array:
        """(V,) the kind of the triangles around each vertex; SKIN where kinds meet."""
        result = np.zeros(len(self.trust), np.uint8)
        for value in (MOUTH, TEETH, EYE, SKIN):
            result[self.triangles[self.kind == value]] = value
        return result


def project_portrait(image: Array, fit: FittedFace, camera: Camera, alpha: Array | None = None) -> Projection:
    """Prepare ``image`` (H, W, 3) uint8, whose camera is ``camera``, for rendering; about 0.2 s at 512².

    alpha (H, W) uint8: what of it is opaque, if not all.
    """
    head = Head.load()
    drawn, triangles, kind = drawn_triangles(head)
    correction = correct(fit)
    bald = head.posed(fit.identity, fit.blendshapes, fit.gaze) + correction.at(fit.blendshapes)
    matte = person_matte(image, _face_in(bald, fit, camera))
    matte = matte if alpha is None else within_alpha(matte, alpha)
    offset = hair_offset(fit, camera, bald, image, matte)
    correction = replace(correction, always=correction.always + offset)
    person = np.clip(person_colours(image, matte), 0, 255).astype(np.uint8)
    still = (bald + offset) @ fit.rotation.T + fit.translation
    place = camera.project(still)
    raster = rasterise(place, triangles, camera.height, camera.width)
    source_kind = np.where(raster.covered, kind[raster.triangle], 0).astype(np.uint8)
    margin = margins(source_kind, float(np.ptp(place[:, 0])))
    normals = vertex_normals(still, triangles)
    view = -still / np.linalg.norm(still, axis=1, keepdims=True)
    facing = (normals * view).sum(1)
    trust = smoothstep(FACING_LOW, FACING_HIGH, facing).astype(np.float32)
    eyes = np.concatenate([head.vertices_of("eye_left"), head.vertices_of("eye_right")])
    trust[eyes] = smoothstep(0.2, 0.4, facing[eyes])
    mouth = np.unique(triangles[(kind == MOUTH) | (kind == TEETH)])
    trust[mouth] = np.where(head.region("lips")[mouth], trust[mouth], 1.0)
    seen = trust * _seen(place, raster.depth)
    neutral = head.vertices
    low = neutral[:, 1] + 0.6 * np.maximum(neutral[:, 2], 0)
    flat = is_flat(image, place[head.region("face"), :2])
    fallback, light, skin = _fallback_colours(
        person, place, seen, triangles[kind == SKIN], source_kind, margin, 1.0 if flat else LID_SKIN, correction.parted
    )
    pictures = eyes_and_mouth.eye_pictures(image, camera, fit, source_kind, margin[..., EYE] / MARGIN_UNIT, light, skin)
    tone = tone_of(image, matte)
    ivory = eyes_and_mouth.IVORY * light
    gum = tone.painted(GUM * ivory) / tone.painted(ivory)
    rest = vertex_normals(neutral, triangles)
    above_chin = np.where(neutral[:, 1] < CHIN, smoothstep(-0.75, -0.35, rest[:, 1]), 1.0)
    front = smoothstep(0.06, 0.08, neutral[:, 2]) * above_chin
    inner = np.where(head.region("lips", "lids", "inside"), 1.0, front)
    inner[np.unique(triangles[kind != SKIN])] = 1.0
    mirror = head.mirror
    mirror_trust = trust[mirror].copy()
    mirror_trust[eyes] = 0
    mirror_trust[mouth] = 0
    return Projection(
        head, camera, correction, image, matte, person, eyes_and_mouth.continue_mouth(person, margin[..., MOUTH] / MARGIN_UNIT),
        triangles, kind, head.triangle_part[drawn], still, place, place[mirror], trust, mirror_trust,
        tone.painted(fallback).astype(np.float32), inner, above_chin, flat, tone.painted(pictures).astype(np.float32),
        tone.painted(eyes_and_mouth.DARK * light), gum, tone, smoothstep(NECK_LOW, NECK_HIGH, low), raster.depth, source_kind, margin,
    )  # fmt: skip


def _face_in(shape: Array, fit: FittedFace, camera: Camera) -> Array:
    """(H, W) bool: where the face of ``shape`` (V, 3), head frame, is: surely the person."""
    head = Head.load()
    inner = head.region("face", "lips", "lids")
    triangles = np.ascontiguousarray(head.triangles[inner[head.triangles].all(1)])
    place = camera.project(shape @ fit.rotation.T + fit.translation)
    return np.asarray(rasterise(place, triangles, camera.height, camera.width).covered)


def _seen(place: Array, depth: Array) -> Array:
    """(V,) 1 where the vertex is the nearest thing at its pixel of the source, 0 where it is hidden or outside."""
    height, width = depth.shape
    column = np.clip(place[:, 0].astype(int), 0, width - 1)
    row = np.clip(place[:, 1].astype(int), 0, height - 1)
    inside = (place[:, 0] >= 0) & (place[:, 0] < width) & (place[:, 1] >= 0) & (place[:, 1] < height)
    behind = place[:, 2] - depth[row, column]
    return np.asarray(np.where(np.isfinite(behind), 1 - smoothstep(DEPTH_BIAS, 2 * DEPTH_BIAS, behind), 1.0) * inside)


def _fallback_colours(
    image: Array, place: Array, trust: Array, skin_triangles: Array, source_kind: Array, margin: Array, lid_skin: float, parted: float
) -> tuple[Array, Array, Array]:
    """Colours (V, 3) for points that no pixel shows, the light on the face (3,) and the colour of its skin (3,).

    lid_skin: share of that in closed lids; parted: metres by which the lips are: closed ones show all of their colours.
    """
    head = Head.load()
    height, width = image.shape[:2]
    column = np.clip(place[:, 0].astype(int), 0, width - 1)
    row = np.clip(place[:, 1].astype(int), 0, height - 1)
    seen = image[row, column].astype(np.float64)
    inside = (source_kind[row, column] == SKIN) & (margin[row, column, SKIN] > SURE_MARGIN * MARGIN_UNIT)
    sure = (trust > 0.6) & ~head.region("lids") & inside
    result = eyes_and_mouth.spread(len(trust), skin_triangles, seen, sure)
    on_skin = (trust > 0.6) & (source_kind[row, column] == SKIN)
    result = _hair_colours(head, result, skin_triangles, seen, on_skin)
    near = on_skin & (margin[row, column, SKIN] > LIP_MARGIN * MARGIN_UNIT)
    lips = _own_colours(head.region("lips"), result, skin_triangles, seen, _unshaded(seen, near & head.region("lips")))
    result = result + smoothstep(*eyes_and_mouth.LIPS_PARTED, np.array(parted)) * (lips - result)
    light = eyes_and_mouth.light_of(image, head, place, sure)
    inner, colours = eyes_and_mouth.mouth_colours(image, head, source_kind, margin[..., TEETH] / MARGIN_UNIT, light)
    result[inner] = colours
    face = sure & head.region("face")
    skin = np.median(seen[face], axis=0) if face.any() else 0.6 * light
    near = eyes_and_mouth.around_eyes()
    result[near] += lid_skin * (skin - result[near])  # sockets are darker than the lids that close over them
    lids = head.region("lids")
    edge = eyes_and_mouth.surface_coordinates()[lids, 0] / eyes_and_mouth.LASH_WIDTH
    result[lids] *= (1 - (1 - eyes_and_mouth.LASHES) * np.exp(-(edge**2)))[:, None]
    return np.clip(result, 0, 255).astype(np.float32), light, skin


def _hair_colours(head: Head, colours: Array, skin: Array, seen: Array, sure: Array) -> Array:
    """``colours`` (V, 3) with those of the scalp spread over the scalp alone, from both sides: hair is not skin.

    seen (V, 3): the picture at each vertex, right where ``sure`` (V,); skin (N, 3): triangles.
    """
    mirror = head.mirror
    return _own_colours(
        head.region("scalp"), colours, skin, np.where(sure[:, None], seen, seen[mirror]), sure | (sure & head.region("scalp"))[mirror]
    )


def _unshaded(seen: Array, sure: Array) -> Array:
    """The brighter half of ``sure`` (V,), by colours (V, 3): lips are dark where they turn inwards."""
    bright = seen.sum(1)
    return np.asarray(sure & (bright >= np.median(bright[sure]))) if sure.any() else sure


def _own_colours(region: Array, colours: Array, skin: Array, seen: Array, sure: Array) -> Array:
    """``colours`` (V, 3) with those of ``region`` (V,) spread from where it is seen for sure over it alone."""
    own = sure & region
    if not own.any():
        return colours
    spread = eyes_and_mouth.spread(len(colours), skin[region[skin].all(1)], seen, own)
    return np.asarray(np.where(region[:, None], spread, colours))


def drawn_triangles(head: Head) -> tuple[Array, Array, Array]:
    """Numbers (N,) of the head's triangles that are drawn, their corners (N, 3), and what each shows (N,): skin, eye, mouth or teeth."""
    drawn = np.flatnonzero(~np.isin(head.triangle_part, [head.parts.index(name) for name in NOT_DRAWN]))
    kind = np.full(len(drawn), SKIN, np.uint8)
    for names, value in ((("eye_left", "eye_right"), EYE), (MOUTH_PARTS, MOUTH), (TEETH_PARTS, TEETH)):
        kind[np.isin(head.triangle_part[drawn], [head.parts.index(name) for name in names])] = value
    return drawn, np.ascontiguousarray(head.triangles[drawn]), kind


def margins(source_kind: Array, head_width: float) -> Array:
    """(H, W, 5) int8: for each kind of surface, how far inside its region of the photograph a pixel lies, in units of 1 / MARGIN_UNIT of
    a pixel, coarser for heads wider than RIM_HEAD; source_kind (H, W) is what each pixel shows, 0 where that is not the head."""
    margin = np.zeros((*source_kind.shape, 5), np.float32)
    for value, alike in ((SKIN, (SKIN,)), (EYE, (EYE,)), (MOUTH, (MOUTH, TEETH))):
        inside = np.isin(source_kind, alike)
        margin[..., value] = distance_transform_edt(inside)
        if value == MOUTH and inside.any():
            margin[..., MOUTH] -= distance_transform_edt(~inside)
    margin[..., TEETH] = np.where(source_kind == MOUTH, -np.inf, margin[..., MOUTH])
    unit = MARGIN_UNIT * min(RIM_HEAD / max(head_width, 1.0), 1.0)
    return np.asarray(np.clip(np.round(margin * unit), -128, 127).astype(np.int8))
