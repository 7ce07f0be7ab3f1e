"""The matte of the person: the photograph as a person over a background.

The person is found by MediaPipe's selfie segmentation (Google, Apache-2.0; 256 × 256 pixels), sharpened along the photograph's own
edges by a guided filter (He, Sun, Tang 2010, "Guided Image Filtering").
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from PIL import Image
from scipy.ndimage import binary_fill_holes, label, uniform_filter

from mimaface.face.networks import SIDE, PersonSegmenter
from mimaface.geometry.distances import further_inside, squared_depth
from mimaface.geometry.interpolation import filling, smoothstep
from mimaface.geometry.strips import row_strips, with_around
from mimaface.protocol.arrays import Array

from . import tuning


def person_matte(image: Array, face: Array) -> Array:
    """How much of each pixel of ``image`` (H, W, 3) uint8 is the person whose ``face`` (H, W) bool is there: (H, W) float32, 0 to 1.

    Where the network does not find the face (masks, drawings without a plain background), the whole picture is the person.
    """
    if not face.any():
        return np.ones(face.shape, np.float32)
    near, wide = _around(face, tuning.MATTE_AROUND), _around(face, tuning.BODY_AROUND)
    found = _found(image[near])
    if found[face[near]].mean() < 0.5:  # the face is not found
        return np.ones(face.shape, np.float32)
    matte = _outline(image[near], found, face[near])
    if wide != near:
        share, body = _inwards(near, face.shape), np.zeros(face.shape, np.float32)
        body[wide] = _outline(image[wide], _found(image[wide]), face[wide])
        body[near] += share * (matte - body[near])
        matte = body[wide]
    people, count = label(matte > 0.5)
    mine = np.bincount(people[face[wide]], minlength=count + 1)[1:].argmax() + 1
    if count > 1:
        others = squared_depth((people == 0) | (people == mine))
        matte[squared_depth(people != mine) > others] = 0
    result = np.zeros(face.shape, np.float32)
    result[wide] = matte
    return result


def _found(part: Array) -> Array:
    """Returns the network's probability (h, w) for a ``part`` (h, w, 3) uint8 of a picture, at the part's size."""
    return np.asarray(Image.fromarray(PersonSegmenter.load()(part)).resize(part.shape[1::-1], Image.Resampling.BILINEAR))


def _outline(part: Array, found: Array, face: Array) -> Array:
    """The matte (h, w) of all people in a ``part`` (h, w, 3) of the picture, where the network has ``found`` (h, w) them; ``face`` (h, w)."""
    height, width = found.shape
    matte, reach = np.empty(found.shape, np.float32), max(width // SIDE, 1)
    for rows in row_strips(height):
        near, inner = with_around(rows, 2 * reach, height)  # means of means
        grey = (part[near, :, 0].astype(np.float32) + part[near, :, 1] + part[near, :, 2]) / 3  # a mean along so short an axis is slow
        guided = _guided(grey / 255, found[near], reach)
        matte[rows] = np.maximum(guided[inner], face[rows])
    matte[further_inside(binary_fill_holes(matte > 0.5), tuning.SURE_PERSON * width)] = 1
    for rows in row_strips(height):
        matte[rows] = smoothstep(tuning.EDGE_LOW, tuning.EDGE_HIGH, matte[rows])
    return matte


def _inwards(window: tuple[slice, slice], shape: tuple[int, ...]) -> Array:
    """(h, w) 0 at those borders of a ``window`` that are inside of a picture of ``shape`` (H, W), rising to 1 further in."""
    rises = []
    for part, size in zip(window, shape):
        place, reach = np.arange(part.start, part.stop), tuning.BODY_MEETS * (part.stop - part.start)
        first = np.where(part.start > 0, place - part.start, np.inf)
        last = np.where(part.stop < size, part.stop - 1 - place, np.inf)
        rises.append(smoothstep(0.0, reach, np.minimum(first, last)))
    return np.minimum.outer(*rises)


def _around(face: Array, sizes: float) -> tuple[slice, slice]:
    """Rows and columns of a square that reaches ``sizes`` of the ``face`` (H, W) bool from its middle, as far as the picture goes: the
    network finds large people better."""
    places = np.argwhere(face)
    low, high = places.min(0), places.max(0) + 1
    reach = sizes * (high - low).max()
    start = np.maximum((low + high) / 2 - reach, 0).astype(int)
    stop = np.minimum(((low + high) / 2 + reach).astype(int) + 1, face.shape)
    rows, columns = (slice(int(a), int(b)) for a, b in zip(start, stop))
    return rows, columns


def _guided(guide: Array, values: Array, reach: int) -> Array:
    """``values`` (H, W) as the locally linear function of ``guide`` (H, W), 0 to 1, that is nearest to them."""

    def mean(picture: Array) -> Array:
        return np.asarray(uniform_filter(picture, 2 * reach + 1, mode="nearest"))

    middle, level = mean(guide), mean(values)
    slope = (mean(guide * values) - middle * level) / (mean(guide * guide) - middle * middle + tuning.GUIDE_FLOOR)
    return np.asarray(np.clip(mean(slope) * guide + mean(level - slope * middle), 0, 1))


def person_colours(image: Array, matte: Array) -> Array:
    """Colours of the person alone, extended beyond its outline: (H, W, 3) uint8.

    image (H, W, 3) uint8 is this over a background, by ``matte`` (H, W).
    """
    deep = further_inside(matte > tuning.OPAQUE, tuning.TINGED_BAND * max(image.shape[:2]))
    filled = filling(image, deep if deep.any() else matte > tuning.OPAQUE), filling(image, matte < tuning.CLEAR)
    result = np.empty_like(image)
    for rows in row_strips(len(image)):
        picture, share = image[rows].astype(np.float32), matte[rows, :, None]
        spread, behind = (each(rows) for each in filled)
        solved = np.clip((picture - (1 - share) * behind) / np.maximum(share, tuning.FAINT), 0, 255)
        difference = np.clip(solved - spread, -tuning.TINGED_DIFFERENCE, tuning.TINGED_DIFFERENCE)
        near = spread + np.where(share > tuning.FAINT, difference, 0)
        result[rows] = np.clip(np.where(deep[rows, :, None], picture, near), 0, 255)
    return result


def background_behind(image: Array, matte: Array, reach: float, grain: int = 0) -> Callable[[slice], Array]:
    """A function that gives rows (h, W, 3) float32, 0 to 255, of the picture without the person: filled from pixels that are at least ``reach``
    pixels away from the person, or from the left, right and top border of a picture without any; with what is finer than ``grain`` pixels, if
    any, mirrored at the edge of what is seen, so that a wall or a canvas is not smooth where it is filled."""
    known = further_inside(matte <= tuning.CLEAR, reach)
    if not known.any():
        known[0], known[:, [0, -1]] = True, True
    filled = filling(image, known)
    if not grain or known.all():
        return filled

    def grained(rows: slice) -> Array:
        near, inner = with_around(rows, grain, len(image))
        if known[rows].all() or not known[rows].any():
            return filled(rows)
        grey = image[near].mean(-1, dtype=np.float32)
        fine = (grey - uniform_filter(grey, 2 * grain + 1, mode="nearest"))[inner]
        rough = uniform_filter(np.abs(fine), 4 * grain + 1, mode="nearest")
        usual = max(float(np.median(rough[known[rows]])), 1e-6)
        fine *= 1 - smoothstep(*tuning.GRAIN_ROUGH, rough / usual)
        return np.asarray(filled(rows) + _mirrored_beside(fine, known[rows], tuning.GRAIN_WIDTH * grain)[..., None])

    return grained


def _mirrored_beside(values: Array, known: Array, width: int) -> Array:
    """``values`` (h, W) of the nearest ``known`` (h, W) pixels of a row, mirrored at their edge to and fro by ``width`` pixels; 0 where they are
    known themselves, or that is not."""
    place = np.broadcast_to(np.arange(known.shape[1], dtype=np.int32), known.shape)
    before = np.maximum.accumulate(np.where(known, place, np.int32(-(2**20))), 1)
    after = np.flip(np.minimum.accumulate(np.flip(np.where(known, place, np.int32(2**20)), 1), 1), 1)
    left = place - before <= after - place
    away = np.where(left, place - before, after - place) % (2 * width)
    away = np.minimum(away, 2 * width - away)
    source = np.where(left, before - away, after + away)
    inside = ~known & (source >= 0) & (source < known.shape[1])
    column = np.where(inside, source, 0)
    inside &= np.take_along_axis(known, column, 1)
    return np.where(inside, np.take_along_axis(values, column, 1), 0)
