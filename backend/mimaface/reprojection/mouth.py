"""Colours of the inside of a mouth, and of the line between closed lips, that the photograph does not show."""

from __future__ import annotations

import functools

import numpy as np
from scipy.spatial.distance import cdist

from mimaface.face.head import Head
from mimaface.geometry.interpolation import fill_holes, smoothstep
from mimaface.protocol.arkit import BLENDSHAPE_INDEX
from mimaface.protocol.arrays import Array

from . import tuning
from .kernels import MARGIN_UNIT, TEETH, Window


def mouth_colours(image: Array, head: Head, kind: Array, margin: Array, light: Array, skin_colour: Array) -> tuple[Array, Array]:
    """Vertices (P,) of teeth, tongue and lining, and their colours (P, 3) before any shadow; margin (H, W) int8: that of teeth, see
    ``projection.margins``."""
    bright = image[(kind == TEETH) & (margin > tuning.OPENING_MARGIN * MARGIN_UNIT)].astype(np.float64)
    ivory = tuning.IVORY * light
    ivory += tuning.TEETH_WARM * (skin_colour - ivory)
    if len(bright) >= 20:  # pixels
        seen = np.median(bright[bright.sum(1) >= np.percentile(bright.sum(1), tuning.BRIGHTER_PERCENTILE)], axis=0)
        if seen.mean() > 110:  # levels; what is darker is not teeth
            ivory = seen
    skin = head.vertices_of("skin")
    vertices, colours = [], []
    for name, colour in (
        ("mouth_inside", tuning.CAVITY * light),
        ("tongue", tuning.TONGUE * light),
        ("teeth_upper", ivory),
        ("teeth_lower", ivory * tuning.LOWER_TEETH_SHADED),
    ):
        part = np.setdiff1d(head.vertices_of(name), skin)
        vertices.append(part)
        colours.append(np.tile(colour, (len(part), 1)))
    return np.concatenate(vertices), np.concatenate(colours)


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


@functools.cache
def lips() -> tuple[Array, Array]:
    """Vertices of the upper and of the lower lip, without the corners of the mouth."""
    head = Head.load()
    down, both = head.blendshapes[BLENDSHAPE_INDEX["jawOpen"]][:, 1], head.region("lips")
    return np.flatnonzero(both & (down > tuning.UPPER_LIP)), np.flatnonzero(both & (down < tuning.LOWER_LIP))


def lips_shadow(shape: Array, parted: float) -> Array:
    """(V,) share of the light that reaches the skin of ``shape`` (V, 3), head frame: less where upper and lower lip touch.

    parted: metres between the photograph's lips; closed ones show their own line.
    """
    lost = tuning.LIPS_LINE * smoothstep(*tuning.LIPS_PARTED, np.array(parted))
    upper, lower = lips()
    away = cdist(shape[upper], shape[lower])
    result = np.ones(len(shape))
    for lip, distance in ((upper, away.min(1)), (lower, away.min(0))):
        result[lip] -= lost * np.exp(-((distance / tuning.LIPS_TOUCH) ** 2))
    return result
