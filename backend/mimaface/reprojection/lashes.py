"""Lashes of closing eyes, as dark and as long as the photograph shows them on open ones; and skin of the lids without lashes."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import minimum_filter

from mimaface.face.head import Head
from mimaface.face.lids import lid_line_rows
from mimaface.geometry.camera import Camera
from mimaface.geometry.interpolation import pixels_under, smoothstep
from mimaface.geometry.mesh import adjacency
from mimaface.protocol.arkit import BLENDSHAPE_INDEX
from mimaface.protocol.arrays import Array

from . import tuning
from .eyes import around_eyes, upper_lid_edge


@dataclass(frozen=True, eq=False)
class Lashes:
    """Of a photograph: RGB ``colour`` (3,) of its lashes and their ``length`` in metres, 0 in a
    drawing, whose lids have a line of their own; ``darkened`` (V,): how far the pixel of a vertex
    beside an open eye, 0 to 1, is darker than the skin of its lids, because lashes, paint or a fold lie there."""

    colour: Array
    length: float
    darkened: Array

    @property
    def density(self) -> float:
        """Share of the skin behind the lashes, beyond their roots, that they hide, 0 to 1; short lashes are thin."""
        return float(np.clip(self.length / tuning.LASHES_DENSE, 0, 1))

    def over(self, shape: Array, centres: Array, closed: Array) -> tuple[Array, Array]:
        """Metres (V,) that skin lies above the lid line, and how much of the lashes lies on it, 0 to 1 (V,).

        shape (V, 3): the posed mesh, head frame, metres; centres (2, 3) of its eyeballs; closed (2,): how far the lids have closed.
        """
        away, strength = np.zeros(len(shape)), np.zeros(len(shape))
        for side in np.flatnonzero(closed * self.length):
            near = _beside_lids()[side]
            off = shape[near] - centres[side]
            flat = np.hypot(off[:, 0], off[:, 2])
            across, line = _lid_line(lid_line_rows(side) @ shape - centres[side], off[:, 0])
            away[near] = (np.arctan2(off[:, 1], flat) - line) * np.hypot(flat, off[:, 1])
            shorter = tuning.LASHES_INNER + (1 - tuning.LASHES_INNER) * smoothstep(0, tuning.LASHES_LONG, across)
            away[near] /= np.where(away[near] < 0, shorter, 1.0)
            ends = smoothstep(*tuning.LASHES_START, across) * (1 - smoothstep(*tuning.LASHES_END, across))
            lower = lower_lids_skin()[near]
            away[near[lower]] = np.minimum(away[near[lower]], 0)  # its rim rises behind the upper lid, in whose lashes' shadow it lies
            here = 1 - smoothstep(*tuning.LASHES_ZONE, np.abs(away[near]))  # next to vertices that have no place, none
            strength[near] = closed[side] * ends * here * (off[:, 2] > 0)
        return away, strength


def _lid_line(edge: Array, aside: Array) -> tuple[Array, Array]:
    """Of places that lie ``aside`` (N,) metres of an eye's centre: the share of the eye's width from its inner corner, and the pitch in
    radians of the line in which its lids meet; edge (K, 3): points of that line from the inner to the outer corner, off the centre."""
    pitch = np.arctan2(edge[:, 1], np.hypot(edge[:, 0], edge[:, 2]))
    across, places = ((each - edge[0, 0]) / (edge[-1, 0] - edge[0, 0]) for each in (aside, edge[:, 0]))
    asked, known = (np.vander(2 * each - 1, tuning.LID_DEGREE + 1) for each in (np.clip(across, 0, 1), places))
    return across, asked @ np.linalg.solve(known.T @ known, known.T @ pitch)


@functools.cache
def _beside_lids() -> list[Array]:
    """Skin vertices around each eye."""
    head = Head.load()
    return [np.flatnonzero(around_eyes() & ((head.vertices[:, 0] > 0) == (side == 0))) for side in range(2)]


@functools.cache
def lower_lids_skin() -> Array:
    """(V,) bool: skin of the lids that a blink leaves where it is."""
    head = Head.load()
    moved = np.abs(head.blendshapes[[BLENDSHAPE_INDEX[name] for name in ("eyeBlinkLeft", "eyeBlinkRight")], :, 1]).max(0)
    return np.asarray(head.region("lids") & (moved < tuning.LASH_TRAVEL))


@functools.cache
def above_eyes() -> Array:
    """(V,) 1 on skin beside and above the eyes, falling to 0 before the brows."""
    head = Head.load()
    result = np.zeros(len(head.vertices))
    for centre in head.eye_centres:
        off = head.vertices[:, :2] - centre[:2]
        result = np.maximum(result, 1 - smoothstep(*tuning.LASHES_ZONE, np.linalg.norm(off * [0.75, 1.0], axis=1)))
    return result * around_eyes()


def lid_skin(seen: Array, sure: Array) -> Array:
    """(V,) bool: vertices of ``sure`` (V,) around each eye that show neither lashes nor a shadow: none that is much darker than
    most; seen (V, 3): colours of the photograph."""
    head = Head.load()
    result = sure.copy()
    zone = above_eyes() > 0
    bright = seen.mean(1)
    for side in (head.vertices[:, 0] > 0, head.vertices[:, 0] <= 0):
        here = sure & zone & side
        if here.any():
            usual = np.percentile(bright[here], tuning.LID_BRIGHT)
            result[here & (bright < tuning.LID_DARK * usual)] = False
    return result


def darkest_around(image: Array, place: Array, row: Array, column: Array) -> Array:
    """Returns the brightness (V,) of the darkest pixel of ``image`` (H, W, 3) near ``row`` and ``column`` (V,), because lashes are thin;
    ``place`` (V, 3): the head's vertices in it."""
    head = Head.load()
    apart = float(np.linalg.norm(np.diff([place[head.vertices_of(name), :2].mean(0) for name in ("eye_left", "eye_right")], axis=0)))
    size = 1 + 2 * round(tuning.LASH_SPREAD * apart)
    return np.asarray(minimum_filter(image.sum(2, dtype=np.uint16), size)[row, column] / image.shape[2])


def darkened(seen: Array, clean: Array, triangles: Array) -> Array:
    """(V,) see :class:`Lashes`; seen (V,): brightness of the photograph, clean (V, 3): those of the skin without lashes."""
    ratio = seen / np.maximum(clean.mean(1), 1.0)
    dark = above_eyes() * (1 - smoothstep(*tuning.LASHES_DARKER, ratio))
    return spread(dark, triangles)


def spread(dark: Array, triangles: Array) -> Array:
    """``dark`` (V,), of which half goes on to the neighbours by ``triangles`` (N, 3): what is seen at a vertex is also beside it."""
    near = adjacency(triangles, len(dark))
    widest = dark.copy()
    rows = np.repeat(np.arange(len(dark)), np.diff(near.indptr))
    np.maximum.at(widest, rows, dark[near.indices])
    return np.asarray(np.maximum(dark, 0.5 * (dark + widest)))


@functools.cache
def beside_openings() -> Array:
    """(V,) metres from each vertex to the edges of the lids, on the head's open eyes."""
    head = Head.load()
    off = np.min([np.linalg.norm(head.vertices - centre, axis=1) for centre in head.eye_centres], axis=0) - head.eye_radius
    edges = np.flatnonzero(head.region("lids") & (off < tuning.LASH_FAR))
    near = np.flatnonzero(around_eyes())
    result = np.full(len(head.vertices), np.inf)
    result[near] = np.linalg.norm(head.vertices[near][:, None] - head.vertices[edges][None], axis=2).min(1)
    return result


def of_lashes(length: float) -> Array:
    """(V,) how far what is dark beside an open eye may be lashes of ``length`` metres, 0 to 1.

    What is further from it is a rim of glasses, a crease or a brow, and stays in a blink. A length that no lashes have is that of a deep
    eye's own shadow, which goes.
    """
    deep = smoothstep(*tuning.LASHES_DEEP, np.array(length))
    return np.asarray(np.maximum(1 - smoothstep(0, tuning.LASHES_FADE, beside_openings() - length), deep))


def lash_length(image: Array, camera: Camera, still: Array, up: Array) -> float:
    """Metres that the lashes of open eyes reach over the lid, from the edge to where the picture has brightened half-way to skin.

    still (V, 3): the mesh of the photograph, up (3,) of its head, camera frame.
    """
    steps = np.arange(0, tuning.LASH_LENGTHS[1] * 1.5, 0.0005)
    edge = np.concatenate(upper_lid_edge())
    edge = edge[np.abs(Head.load().vertices[edge, 1]) < 0.004]
    place = camera.project((still[edge][:, None] + steps[:, None] * up).reshape(-1, 3))
    bright = image[pixels_under(place, *image.shape[:2])].mean(1).reshape(len(edge), len(steps))
    low, high = bright.min(1), np.percentile(bright, 80, axis=1)
    darker = bright < 0.5 * (low + high)[:, None]
    from_edge = np.argmax(darker, axis=1)
    ends = np.array([first + np.argmin(np.append(row[first:], False)) for first, row in zip(from_edge, darker)])
    return float(np.clip(np.median((ends - from_edge) * 0.0005), *tuning.LASH_LENGTHS))
