"""Colours that the photograph does not show: of the inside of a mouth, the line between closed lips, and a tongue that is out, with its shadow."""

from __future__ import annotations

import numpy as np
from scipy.spatial.distance import cdist

from mimaface.face.head import Head
from mimaface.face.lip_rims import lips
from mimaface.face.mouth import OVER_LIP, TongueSurface
from mimaface.geometry.interpolation import fill_holes, smoothstep
from mimaface.geometry.rasterise import vertex_normals
from mimaface.protocol.arrays import Array

from . import tuning
from .kernels import MARGIN_UNIT, TEETH, Window
from .tone import Tone


def mouth_colours(head: Head, teeth: Array, light: Array, skin_colour: Array) -> tuple[Array, Array]:
    """Vertices (P,) of teeth, tongue and lining, and their colours (P, 3) before any shadow; teeth: the colour that is seen, (3,) or (0,)."""
    ivory = tuning.IVORY * light
    ivory = teeth if len(teeth) else ivory + tuning.TEETH_WARM * (skin_colour - ivory)
    skin = head.vertices_of("skin")
    vertices, colours = [], []
    for name, colour in (
        ("mouth_inside", tuning.CAVITY * light),
        ("tongue", tuning.TONGUE * light),
    ):
        part = np.setdiff1d(head.vertices_of(name), skin)
        vertices.append(part)
        colours.append(np.tile(colour, (len(part), 1)))
    part, shaded = teeth_coloured(ivory)
    return np.concatenate([*vertices, part]), np.concatenate([*colours, shaded])


def teeth_coloured(ivory: Array) -> tuple[Array, Array]:
    """Vertices (P,) of teeth, and their colours (P, 3) before any shadow: ``ivory`` (3,), the lower ones' darker."""
    head = Head.load()
    upper, lower = (np.setdiff1d(head.vertices_of(name), head.vertices_of("skin")) for name in ("teeth_upper", "teeth_lower"))
    return np.concatenate([upper, lower]), np.repeat([ivory, ivory * tuning.LOWER_TEETH_SHADED], [len(upper), len(lower)], axis=0)


def teeth_seen(image: Array, kind: Array, margin: Array, skin_colour: Array) -> Array:
    """The colour (3,) of the teeth that ``image`` (H, W, 3) uint8 shows, (0,) if it shows none: gums, tongues and lips are redder than the skin
    (``skin_colour`` (3,)). kind (H, W): what each pixel shows; margin (H, W) int8: that of teeth, see ``projection.margins``."""
    pixels = image[(kind == TEETH) & (margin > tuning.OPENING_MARGIN * MARGIN_UNIT)].astype(np.float64)
    if len(pixels) < 20:
        return np.zeros(0)
    bright = np.median(pixels[pixels.sum(1) >= np.percentile(pixels.sum(1), tuning.BRIGHTER_PERCENTILE)], axis=0)
    red, red_of_skin = ((each[0] - each[1]) / max(each.mean(), 1.0) for each in (bright, skin_colour))
    return bright if bright.mean() > 110 and red <= red_of_skin else np.zeros(0)  # levels; what is darker is not teeth


def continue_mouth(image: Array, margin: Array) -> Window:
    """The part of ``image`` (H, W, 3) uint8 in which the inside of the mouth continues over the lips, and a pixel around it, so that what is
    looked up between pixels is within it or is the image's own; margin (H, W) int8: that of the mouth, see ``projection.margins``."""
    inside = margin > tuning.OPENING_MARGIN * MARGIN_UNIT
    if inside.sum() < 12:  # pixels
        return Window(image[:0, :0], 0, 0)
    rows, columns = np.flatnonzero(inside.any(1)), np.flatnonzero(inside.any(0))
    reach = max(tuning.MOUTH_CONTINUED_LEAST, len(columns) // tuning.MOUTH_CONTINUED)
    part = np.s_[max(rows[0] - reach, 0) : rows[-1] + reach, max(columns[0] - reach, 0) : columns[-1] + reach]
    left, top = max(part[1].start - 1, 0), max(part[0].start - 1, 0)
    picture = image[top : part[0].stop + 1, left : part[1].stop + 1].copy()
    filled = np.round(fill_holes(image[part], inside[part])).clip(0, 255).astype(np.uint8)
    picture[part[0].start - top :, part[1].start - left :][: filled.shape[0], : filled.shape[1]] = filled
    return Window(picture, left, top)


def touching(shape: Array) -> Array:
    """(V,) how near each point of one lip of ``shape`` (V, 3), head frame, is to the other lip: 1 where they touch, 0 off the lips."""
    upper, lower = (np.flatnonzero(lip) for lip in lips())
    away = cdist(shape[upper], shape[lower])
    result = np.zeros(len(shape))
    for lip, distance in ((upper, away.min(1)), (lower, away.min(0))):
        result[lip] = np.exp(-((distance / tuning.LIPS_TOUCH) ** 2))
    return result


def lips_shadow(touch: Array, parted: float) -> Array:
    """(V,) share of the light that reaches the skin: less where lips ``touch`` (V,), see :func:`touching`.

    parted: metres between the photograph's lips; closed ones show their own line.
    """
    return np.asarray(1 - tuning.LIPS_LINE * smoothstep(*tuning.LIPS_PARTED, np.array(parted)) * touch)


def tongue_pink(fallback: Array, tone: Tone) -> Array:
    """RGB (3,) of a tongue in full light, between that of the person's lips and a usual one's; ``fallback`` (V, 3), ``tone``: see
    ``Projection``."""
    head = Head.load()
    own = np.median(fallback[head.region("lips")], axis=0)
    lighter = tone.painted(255 * tuning.TONGUE_PINK) / tone.painted(255 * tuning.TONGUE)
    usual = fallback[head.vertices_of("tongue")[0]] * lighter
    return np.asarray(usual + tuning.TONGUE_OF_LIPS * (own - usual))


def light_tongue(fallback: Array, shade: Array, pink: Array, shape: Array, out: float) -> None:
    """``fallback`` (V, 3) gets the colours of the tongue of ``shape`` (V, 3), head frame, that is ``out``, 0 to 1, and ``shade`` (V,), the light
    that reaches it in the mouth, counts half for it, in place."""
    if out == 0:
        return
    surface = TongueSurface.of_head()
    place = shape[surface.vertices]
    towards = vertex_normals(place, surface.triangles) @ tuning.TONGUE_LIGHT
    light = tuning.TONGUE_AMBIENT + (1 - tuning.TONGUE_AMBIENT) * 0.5 * (1 + towards)
    on_top = np.clip(surface.up, 0, 1) * (1 - surface.ahead**2)
    light *= 1 - tuning.TONGUE_GROOVE * on_top * np.exp(-((surface.across / tuning.TONGUE_GROOVE_WIDTH) ** 2))
    wet = tuning.TONGUE_WET * np.clip(towards, 0, 1) ** tuning.TONGUE_WET_POWER
    colour = pink * light[:, None] + wet[:, None] * (pink.max() - pink)
    seen = smoothstep(0, OVER_LIP, np.array(out))
    shade[surface.vertices] **= 1 - 0.5 * seen
    fallback[surface.vertices] += seen * (np.clip(colour, 0, 255) - fallback[surface.vertices])


def tongue_shadow(shape: Array, out: float) -> Array:
    """(V,) share of the light that a tongue that is ``out``, 0 to 1, takes from the skin of ``shape`` (V, 3), head frame; without elements
    where it takes none."""
    if out <= OVER_LIP:
        return np.zeros(0)
    surface = TongueSurface.of_head()
    skin = Head.load().vertices_of("skin")
    front = surface.vertices[surface.follows > 0.9]
    near = skin[(np.abs(shape[skin] - shape[front].mean(0)) < 0.05).all(1)]
    below = shape[front] + tuning.TONGUE_CASTS
    away = np.linalg.norm(shape[near][:, None] - below[None], axis=2).min(1)
    beyond = shape[front, 2].max() - np.median(shape[Head.load().region("lips"), 2])  # closed lips keep it in
    strength = tuning.TONGUE_SHADOW * smoothstep(OVER_LIP, 1, np.array(out)) * smoothstep(0, tuning.TONGUE_STANDS_OFF, beyond)
    result = np.zeros(len(shape))
    result[near] = strength * np.exp(-((away / tuning.TONGUE_SHADOW_REACH) ** 2))
    return result
