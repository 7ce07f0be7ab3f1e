"""The photograph projected onto the fitted head: the pixel of each vertex, and how far it is trusted.

A visible vertex has its own pixel, a hidden one that of its mirror partner, or else a colour of its visible neighbours.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from mimaface.face.correction import Correction, correct
from mimaface.face.fit import FittedFace
from mimaface.face.head import Head
from mimaface.face.mouth import teeth_offset
from mimaface.face.open_lips import open_rims
from mimaface.face.portrait import is_flat
from mimaface.face.thin_lips import Seam, seam_of, thinning
from mimaface.geometry.camera import Camera
from mimaface.geometry.distances import squared_depth
from mimaface.geometry.interpolation import pixels_under, smoothstep
from mimaface.geometry.rasterise import covered_by, raster_strips, vertex_normals
from mimaface.geometry.strips import row_strips
from mimaface.protocol.arrays import Array

from . import tuning
from .cutout import within_alpha
from .drawn import drawn_matte, drawn_person
from .eyes import eye_pictures
from .fallback import Grain, fallback_colours, without_line
from .folded import partners
from .hair import ears_offset, hair_offset
from .kernels import EYE, MARGIN_UNIT, MOUTH, SKIN, TEETH, Source, Window
from .lashes import Lashes, lash_length, of_lashes
from .matte import person_colours, person_matte
from .mouth import continue_mouth
from .tone import Tone, tone_of

EYE_PARTS = ("eye_left", "eye_right")
MOUTH_PARTS = ("tongue", "mouth_inside")
TEETH_PARTS = ("teeth_upper", "teeth_lower")


@dataclass(frozen=True, eq=False)
class Projection:
    """The data of a portrait that are computed once; V vertices, N drawn triangles, source picture H × W.

    correction: of the head to the photograph; thinned (V, 3): what of it flattens the lips, see ``thin_lips``;
    image (H, W, 3) uint8: the photograph; matte (H, W) float32: how much of a pixel is the person, 0 to 1; person
    (H, W, 3) uint8: the person without the background; inner_person: its mouth, continued over the lips;
    kind (N,): SKIN, EYE, MOUTH or TEETH; part (N,): the head's own label;
    still (V, 3): the portrait's own pose, camera frame; place, mirror_place (V, 3): u, v, depth of a vertex and of its mirror
    partner in the photograph; trust, mirror_trust (V,): facing 0–1; fallback (V, 3): RGB 0–255 of hidden vertices;
    inner (V,): 1 where hidden vertices are opaque; above_chin (V,): 0 on the chin's underside;
    follow (V,): 1 moves with the head, 0 stays (base of the neck);
    flat: whether it is a drawing in flat colours; drawn: whether its background was found by its colours;
    eyes (2, S, S, 3): see ``eyes.eye_pictures``; dark (3,): RGB of the throat; gum (3,): RGB over that of teeth; teeth: their RGB, (3,) if they are
    seen, or (0,); line (V,): how far the line between closed lips darkens a vertex, 0 to 1; lashes: those of
    its eyes; grain: that of its skin; tone: the tone of the photograph;
    source: depth, and quarters of a pixel to the nearest other surface by kind, see ``tuning.SAMPLE_MARGINS``, at the photograph's pixels.
    """

    head: Head
    camera: Camera
    correction: Correction
    thinned: Array
    image: Array
    matte: Array
    person: Array
    inner_person: Window
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
    drawn: bool
    eyes: Array
    dark: Array
    gum: Array
    teeth: Array
    line: Array
    lashes: Lashes
    grain: Grain
    tone: Tone
    follow: Array
    source: Source

    @property
    def head_width(self) -> float:
        """Pixels across the head as it is in the source."""
        return float(np.ptp(self.place[self.follow > 0.9, 0]))

    @property
    def floats(self) -> bool:
        """Returns whether this is a drawn head without a neck, which moves as a whole."""
        return bool(self.follow.min() == 1)

    @property
    def kind_of_vertex(self) -> Array:
        """(V,) the kind of the triangles around each vertex; SKIN where kinds meet."""
        result = np.zeros(len(self.trust), np.uint8)
        for value in (MOUTH, TEETH, EYE, SKIN):
            result[self.triangles[self.kind == value]] = value
        return result


def project_portrait(image: Array, fit: FittedFace, camera: Camera, alpha: Array | None = None, relaxed: Array | None = None) -> Projection:
    """Prepare ``image`` (H, W, 3) uint8, whose camera is ``camera``, for rendering; about 0.2 s at 512².

    alpha (H, W) uint8: what of it is opaque, if not all; relaxed (52,): the portrait's blendshapes, from which teeth are moved, if this is a
    further photograph of the person.
    """
    head = Head.load()
    triangles, kind = head.drawn_triangles(), kinds_of_triangles(head)
    correction, thin, seam, bald = _corrected(image, fit, camera, relaxed)
    flat, drawn, matte, person = _person_in(image, bald, fit, camera, alpha)
    offset = hair_offset(fit, camera, bald, image, matte)
    offset = offset + ears_offset(fit, camera, bald + offset, matte)
    correction = replace(correction, always=correction.always + offset)
    still = (bald + offset) @ fit.rotation.T + fit.translation
    place = camera.project(still)
    source_kind, depth = np.empty(matte.shape, np.uint8), np.empty(matte.shape, np.float32)
    for rows, raster in raster_strips(place, triangles, camera.height, camera.width):
        source_kind[rows] = np.where(raster.covered, kind[raster.triangle], 0)
        depth[rows] = raster.depth
    margin = margins(source_kind, float(np.ptp(place[:, 0])))
    normals = vertex_normals(still, triangles)
    view = -still / np.linalg.norm(still, axis=1, keepdims=True)
    facing = (normals * view).sum(1)
    trust = smoothstep(*tuning.FACING, facing).astype(np.float32)
    eyes = head.vertices_of(*EYE_PARTS)
    trust[eyes] = smoothstep(*tuning.EYE_FACING, facing[eyes])
    mouth = np.unique(triangles[(kind == MOUTH) | (kind == TEETH)])
    trust[mouth] = np.where(head.region("lips")[mouth], trust[mouth], 1.0 - seam.sure)  # closed lips show nothing of it
    seen = trust * _visibility(place, depth)
    neutral = head.vertices
    follow = np.ones(len(neutral)) if drawn and not _has_neck(matte, fit, camera) else turning(neutral)
    fallback, light, (skin, teeth), (lash, dark) = fallback_colours(
        person, place, seen, triangles[kind == SKIN], source_kind, margin, flat, correction.parted
    )
    line = np.zeros(len(place))
    if correction.parted < tuning.LIPS_PARTED[0] and not flat:  # a drawing's line is its lips
        fallback, line = without_line(fallback, person, place, seen, triangles[kind == SKIN], bald)
    pictures = eye_pictures(image, camera, fit, source_kind, margin[..., EYE], light, skin)
    tone = tone_of(image, matte)
    length = 0.0 if flat else lash_length(person, camera, still, fit.rotation[:, 1])
    lashes = Lashes(tone.painted(lash), length, dark * of_lashes(length))
    grain = Grain.of(person, source_kind, fit, camera, correction, float(np.ptp(place[:, 0])))
    ivory = tuning.IVORY * light
    gum = tone.painted(tuning.GUM * ivory) / tone.painted(ivory)
    rest = vertex_normals(neutral, triangles)
    above_chin = np.where(neutral[:, 1] < tuning.CHIN, smoothstep(*tuning.CHIN_FACING, rest[:, 1]), 1.0)
    front = smoothstep(*tuning.INNER_FRONT, neutral[:, 2]) * above_chin
    inner = np.where(head.region("lips", "lids", "inside"), 1.0, front)
    inner[np.unique(triangles[kind != SKIN])] = 1.0
    mirror_trust = trust[head.mirror]
    mirror_trust[np.concatenate([eyes, mouth])] = 0
    mirror_place, mirror_trust = partners(person, still, place, normals, seen, mirror_trust, camera)
    return Projection(
        head, camera, correction, thin, image, matte, person, continue_mouth(person, margin[..., MOUTH]),
        triangles, kind, head.triangle_part[head.drawn()], still, place, mirror_place, trust, mirror_trust,
        tone.painted(fallback).astype(np.float32), inner, above_chin, flat, drawn, tone.painted(pictures).astype(np.float32),
        tone.painted(tuning.THROAT * light), gum, teeth, line, lashes, grain, tone, follow,
        _around_head(depth, margin, float(np.ptp(place[:, 0]))),
    )  # fmt: skip


def _corrected(image: Array, fit: FittedFace, camera: Camera, relaxed: Array | None) -> tuple[Correction, Array, Seam, Array]:
    """Of the arguments of :func:`project_portrait`: the correction, what of it flattens the lips (V, 3), the line they meet in, and the bald
    head in the photograph's expression (V, 3), head frame."""
    head, correction = Head.load(), correct(fit)
    posed = head.posed(fit.identity, fit.blendshapes, fit.gaze)
    shape = posed + correction.at(fit.blendshapes)
    seam = seam_of(shape, fit, camera, image)
    thin, opened = thinning(shape, seam), open_rims(shape, fit, camera, image)
    correction = replace(correction, always=correction.always + thin + opened, lips=correction.lips + opened)
    bald = posed + correction.at(fit.blendshapes)
    if relaxed is not None:
        bald = bald + teeth_offset(bald, fit.blendshapes, relaxed)
    return correction, thin, seam, bald


def _person_in(image: Array, shape: Array, fit: FittedFace, camera: Camera, alpha: Array | None) -> tuple[bool, bool, Array, Array]:
    """Of ``image`` (H, W, 3) uint8, whose opacity is ``alpha`` (H, W) uint8, if it has one, and whose head is ``shape`` (V, 3): whether it
    is a drawing, whether its background is found by its colours, the matte (H, W) and the colours (H, W, 3) uint8 of the person."""
    face = _face_in(shape, fit, camera)
    flat = is_flat(image, camera.project(shape @ fit.rotation.T + fit.translation)[Head.load().region("face"), :2])
    drawn = drawn_matte(image, face) if flat else None
    matte = person_matte(image, face) if drawn is None else drawn
    matte = matte if alpha is None else within_alpha(matte, alpha)
    if drawn is not None:
        return flat, True, matte, drawn_person(image, matte)
    return flat, False, matte, person_colours(image, matte)


def turning(points: Array) -> Array:
    """(…) 1 where ``points`` (…, 3) metres, head frame, turn with the head, falling to 0 at the base of the neck."""
    return smoothstep(tuning.NECK_LOW, tuning.NECK_HIGH, points[..., 1] + tuning.NECK_SLOPE * np.maximum(points[..., 2], 0))


def _has_neck(matte: Array, fit: FittedFace, camera: Camera) -> bool:
    """Returns whether the person of ``matte`` (H, W) continues below the neck, or the picture ends above that."""
    across = np.linspace(-0.5, 0.5, 9)[:, None] * tuning.NECK_SEEN
    points = tuning.NECK_BASE + across * [1.0, 0.0, 0.0] - [0.0, tuning.NECK_SEEN, 0.0]
    place = camera.project(points @ fit.rotation.T + fit.translation)
    return bool((matte[pixels_under(place, *matte.shape)] > 0.5).any())


def _face_in(shape: Array, fit: FittedFace, camera: Camera) -> Array:
    """(H, W) bool: the pixels of the face of ``shape`` (V, 3), head frame."""
    head = Head.load()
    inner = head.region("face", "lips", "lids")
    triangles = np.ascontiguousarray(head.triangles[inner[head.triangles].all(1)])
    place = camera.project(shape @ fit.rotation.T + fit.translation)
    return covered_by(place, triangles, camera.height, camera.width)


def _visibility(place: Array, depth: Array) -> Array:
    """(V,) 1 where a vertex is visible in the photograph, 0 where it is hidden or outside of it."""
    height, width = depth.shape
    inside = (place[:, 0] >= 0) & (place[:, 0] < width) & (place[:, 1] >= 0) & (place[:, 1] < height)
    behind = place[:, 2] - depth[pixels_under(place, height, width)]
    low = tuning.KERNELS.hidden_from
    return np.asarray(np.where(np.isfinite(behind), 1 - smoothstep(low, low + tuning.KERNELS.hidden_over, behind), 1.0) * inside)


def _around_head(depth: Array, margin: Array, head_width: float) -> Source:
    """``depth`` (H, W) and ``margin`` (H, W, 5) of a photograph, as far from the head as either may change."""
    (height, width), reach = depth.shape, int(np.ceil(128 / _unit_of(head_width))) + 2
    covered = np.isfinite(depth)
    (top, bottom), (left, right) = ((np.flatnonzero(covered.any(axis))[[0, -1]] if covered.any() else (0, 0)) for axis in (1, 0))
    left, top = max(int(left) - reach, 0), max(int(top) - reach, 0)
    part = np.s_[top : bottom + reach, left : right + reach]
    return Source(depth[part].copy(), margin[part].copy(), left, top, width, height)


def kinds_of_triangles(head: Head) -> Array:
    """(N,) what each drawn triangle of the head shows: SKIN, EYE, MOUTH or TEETH."""
    kind = np.full(len(head.triangles), SKIN, np.uint8)
    for names, value in ((EYE_PARTS, EYE), (MOUTH_PARTS, MOUTH), (TEETH_PARTS, TEETH)):
        kind[head.part(*names)] = value
    return kind[head.drawn()]


def _unit_of(head_width: float) -> float:
    """Returns the margin units per pixel for a head of this width in pixels."""
    return float(MARGIN_UNIT * min(tuning.MARGIN_HEAD / max(head_width, 1.0), 1.0))


def margins(source_kind: Array, head_width: float) -> Array:
    """(H, W, 5) int8: for each kind of surface, how far inside its region of the photograph a pixel lies, in units of 1 / MARGIN_UNIT of
    a pixel, coarser for heads wider than MARGIN_HEAD; source_kind (H, W) is what each pixel shows, 0 where that is not the head."""
    unit = _unit_of(head_width)
    result = np.zeros((*source_kind.shape, 5), np.int8)
    for value, alike in ((SKIN, (SKIN,)), (EYE, (EYE,)), (MOUTH, (MOUTH, TEETH))):  # one at a time, for memory
        inside = np.logical_or.reduce([source_kind == kind for kind in alike])
        within, without = squared_depth(inside), squared_depth(~inside) if value == MOUTH and inside.any() else None
        for rows in row_strips(len(result)):
            margin = np.sqrt(within[rows]).astype(np.float32)
            if value == MOUTH:  # of closed lips, which show no opening, nothing is near one
                margin -= np.inf if without is None else np.sqrt(without[rows])
            result[rows, :, value] = np.clip(np.round(margin * unit), -128, 127)
    result[..., TEETH] = np.where(source_kind == MOUTH, np.int8(-128), result[..., MOUTH])
    return result
