"""The matte of a drawing in flat colours: its background has the colours of the picture's border and is connected to it.

Networks that segment people in photographs find only parts of a drawing.
"""

from __future__ import annotations

import numpy as np
from scipy.ndimage import binary_dilation, distance_transform_edt, label, maximum_filter, minimum_filter

from mimaface.protocol.arrays import Array

from . import tuning

BESIDE_FACE = 0.1  # share of the fitted face that may lie beside the drawn one. Higher: faces with open outlines count as background
OF_BORDER = 0.6  # least share of the border's upper half that is background. Higher: more drawings are cut out as photographs are


def drawn_matte(image: Array, face: Array) -> Array | None:
    """How much of each pixel of a drawing ``image`` (H, W, 3) uint8 is the person whose ``face`` (H, W) bool is there: (H, W) float32,
    0 to 1; None where too little of the border is background, for its colours are too many, or reach into the face."""
    background, colours = _background(image, face)
    if not background.any() or background.all():
        return None
    away = np.linalg.norm(image - colours, axis=-1).astype(np.float32)
    edge = binary_dilation(background, np.ones((3, 3))) & ~background
    result = np.where(background, np.float32(0), np.float32(1))
    result[edge] = (away / np.maximum(maximum_filter(away, tuning.DRAWN_EDGE), 1.0))[edge]
    return result


def drawn_person(image: Array, matte: Array) -> Array:
    """Colours (H, W, 3) uint8 of the person alone in a drawing ``image`` (H, W, 3) uint8, by its ``matte`` (H, W): outlines keep theirs, and
    go on beyond the person."""
    inside = distance_transform_edt(matte <= tuning.OPAQUE, return_distances=False, return_indices=True)
    return np.asarray(image[tuple(inside)])


def _background(image: Array, face: Array) -> tuple[Array, Array]:
    """Where the background is (H, W) bool, and its colours (H, W, 3) float32, continued behind the person."""
    height = len(image)
    colours = np.zeros(image.shape, np.float32)
    found = np.zeros(face.shape, bool)
    border = np.zeros(face.shape, bool)
    border[0], border[:, [0, -1]] = True, True
    border[height // 2 :] = False  # shoulders and long hair reach the rest of it
    whole = border.copy()
    least = max(0.05 * border.sum(), 1)  # pixels of the border without which a colour is no background
    for _ in range(4):  # colours
        left = image[border]
        if len(left) < least:
            break
        coarse = left // 8 @ np.array([1024, 32, 1])
        shades, count = np.unique(coarse, return_counts=True)
        usual = np.median(left[coarse == shades[count.argmax()]], axis=0)
        alike = np.abs(image - usual.astype(np.float32)).max(-1) <= tuning.DRAWN_ALIKE
        mine = _connected(alike, border)
        border &= ~mine & ~alike
        if (mine & face).sum() <= BESIDE_FACE * face.sum():
            found |= mine
            colours[mine] = usual
    if found[whole].mean() < OF_BORDER:
        even = _connected(_even(image), border) & ~found
        if (even & face).sum() <= BESIDE_FACE * face.sum():
            found |= even
            colours[even] = image[even]
    if found[whole].mean() < OF_BORDER:
        return np.zeros_like(found), colours
    parts = label(~found, np.ones((3, 3)))[0]
    specks = np.bincount(parts.ravel()) < 0.002 * face.sum()  # parts apart from the person that stay, such as strokes of hair
    near = tuple(distance_transform_edt(~found, return_distances=False, return_indices=True))
    return found | specks[parts], colours[near] if found.any() else colours


def _connected(places: Array, border: Array) -> Array:
    """Those ``places`` (H, W) bool that are connected to one of them on the ``border`` (H, W) bool."""
    regions = label(places)[0]
    return np.isin(regions, np.setdiff1d(np.unique(regions[border]), 0))


def _even(image: Array) -> Array:
    """Returns (H, W) bool: pixels of ``image`` (H, W, 3) uint8 that differ from their neighbours no more than in a drawn gradient."""
    low, high = (change(image, (3, 3, 1)) for change in (minimum_filter, maximum_filter))
    return np.asarray((high - low).max(-1) <= 8)  # levels over 3 pixels
