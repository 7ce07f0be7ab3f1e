"""Teeth and tongue. On the mesh the lower teeth stay behind the lower lip however far the jaw opens; on people they show.

The mesh's own blendshape would push the tongue straight through the lower lip, with a blunt tip. Here its vertices lie on a smooth surface,
elliptical across and round at the tip, that is bent along a path: from the root over the lower teeth, over the lower lip of the very pose, and
down in front of it. ``tongueOut`` says how far the tip has come along that path.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np

from mimaface.geometry.interpolation import smoothstep
from mimaface.protocol.arkit import BLENDSHAPE_INDEX
from mimaface.protocol.arrays import Array

from .correction import lip_response
from .head import Head
from .lip_curves import rims
from .lip_rims import lips

TONGUE_OUT, JAW_OPEN = BLENDSHAPE_INDEX["tongueOut"], BLENDSHAPE_INDEX["jawOpen"]
TIP, ROOT = 0.008, 0.044  # metres behind the tip of the mesh: where its round end begins, and where it no longer moves
# metres behind the tip of some of the mesh's rings; half of their width, height of their middle, half of their thickness: measured on it
RING_BACK = np.array([0.0, 0.0036, 0.008, 0.013, 0.023, 0.031, 0.044])
RING_WIDTH = np.array([0.0142, 0.0142, 0.0142, 0.0155, 0.0184, 0.0195, 0.0202])
RING_MIDDLE = np.array([-0.0686, -0.0675, -0.0652, -0.0636, -0.0621, -0.0624, -0.0650])
RING_HEIGHT = np.array([0.0037, 0.0037, 0.0037, 0.0037, 0.0047, 0.0060, 0.0086])
TIP_SQUARE = 3.0  # exponent of the outline of that blunt end, fitted to the mesh
WIDTH, THICKNESS = 0.0125, 0.0036  # metres from the middle to a side, and to its top, when it is out. Higher: a larger tongue
TIP_OUT = 0.014  # metres of its round end when it is out. Higher: more pointed
SECTION = 3.0  # exponent of its section: 2 is an ellipse. Higher: flatter, with sharper edges
OVER_LIP = 0.5  # of tongueOut, at which the tip lies on the lower lip
BEYOND_LIP = 0.019  # metres of the path from there to the tip of a tongue that is out. Higher: a longer tongue
RISES = 0.4  # of tongueOut, up to which it leaves its bed for the path. Higher: it cuts through the lower teeth
CLEARANCE = 0.0006  # metres between it and the lip. Higher: it floats
LIP_ROUND = 0.005  # metres: radius of the lower lip that it bends over
HANGS = np.radians(68.0)  # below the horizontal, in front of the lip. Higher: it touches the chin
# metres between the lips, or between the teeth and BITE more, between which a tongue begins to come out, and does; and that it leaves free of
# the lips. Higher: it stays in longer
GAP, GAP_FREE = (0.001, 0.005), 0.0008
BITE = 0.005  # metres that the mesh's upper teeth reach below the edge of the lower ones. Higher: it slips through closed teeth
# of jawOpen, and metres between the lips, as landmarks have them, that a tongue that is out needs at least; and how far out it is where they begin to
# part for it, and have parted: in films of closed mouths the network saw up to 0.13. Higher: mouths open further for it; later
JAW, PARTED, PARTS = 0.3, 0.011, (0.2, 0.5)
STEPS = 200  # points of the path. More: nothing to be seen
SMOOTHED = 9  # of them that are averaged. More: rounder bends, nearer to lip and teeth


@dataclass(frozen=True, eq=False)
class TongueSurface:
    """Its vertices (T,) with their triangles (N, 3) among them, and where each lies on its surface, in shares of the whole.

    across (T,): −1 to 1 to the sides; ahead (T,): 0 to 1 in the round end, to the tip; behind (T,): 0 where that begins, 1 at the root;
    up (T,): −1 below to 1 above; follows (T,): how far it goes where the path says, 0 at the root.
    """

    vertices: Array
    triangles: Array
    across: Array
    ahead: Array
    behind: Array
    up: Array
    follows: Array

    @staticmethod
    @functools.cache
    def of_head() -> TongueSurface:
        head = Head.load()
        vertices = head.vertices_of("tongue")
        triangles = np.searchsorted(vertices, head.triangles[head.part("tongue")]).astype(np.int32)
        x, y, z = head.vertices[vertices].astype(np.float64).T
        back = z.max() - z
        width, middle, height = (np.interp(back, RING_BACK, ring) for ring in (RING_WIDTH, RING_MIDDLE, RING_HEIGHT))
        ahead = np.clip(1 - back / TIP, 0, 1)
        across = np.clip(x / width, -1, 1)
        inner = np.minimum((np.abs(across) ** TIP_SQUARE + ahead**TIP_SQUARE) ** (1 / TIP_SQUARE), 1.0)
        turned = np.hypot(across, ahead) + 1e-9
        up = np.clip((y - middle) / height, -1, 1)
        section = (inner**SECTION + np.abs(up) ** SECTION) ** (1 / SECTION) + 1e-9
        radius = inner / section / turned
        follows = 1 - smoothstep(0.5 * ROOT, ROOT, back)
        behind = np.clip((back - TIP) / (ROOT - TIP), 0, 1)
        return TongueSurface(vertices, triangles, across * radius, ahead * radius, behind, up / section, follows)

    def along(self, path: Array, tip: float, thickness: float, across: float) -> Array:
        """(T, 3) metres, head frame: the tongue on a ``path`` (S, 2) of y and z in equal steps, its tip ``tip`` metres from the root, where x
        is ``across``."""
        step = float(np.linalg.norm(path[1] - path[0]))
        base = tip - TIP_OUT
        place = np.clip((base * (1 - self.behind) + TIP_OUT * self.ahead) / step, 0, len(path) - 1)
        index = np.arange(len(path))
        middle = np.stack([np.interp(place, index, path[:, axis]) for axis in (0, 1)], axis=1)
        slope = np.gradient(path, axis=0)
        forward = np.stack([np.interp(place, index, slope[:, axis]) for axis in (0, 1)], axis=1)
        forward /= np.linalg.norm(forward, axis=1, keepdims=True)
        lifted = thickness * self.up
        y, z = middle[:, 0] + lifted * forward[:, 1], middle[:, 1] - lifted * forward[:, 0]
        return np.stack([across + WIDTH * self.across, y, z], axis=1)


def tongue_out(blendshapes: Array, fitted: Array) -> float:
    """How far a tongue comes out, 0 to 1, under ``blendshapes`` (52,), relative to those of its photograph, ``fitted`` (52,): trackers report a
    small ``tongueOut`` in mouths that show no tongue."""
    more, most = float(blendshapes[TONGUE_OUT] - fitted[TONGUE_OUT]), float(1 - fitted[TONGUE_OUT])
    return 0.0 if more <= 0 or most <= 0 else float(np.interp(more, (0, min(OVER_LIP, 0.6 * most), most), (0, OVER_LIP, 1)))


def opened_for_tongue(blendshapes: Array, fitted: Array) -> Array:
    """``blendshapes`` (52,), in which the jaw opens as far as a tongue that comes out needs, where nothing else has parted the lips of a photograph
    whose own are ``fitted`` (52,): a person's tongue parts them."""
    share = float(smoothstep(*PARTS, np.array(tongue_out(blendshapes, fitted))))
    if share == 0:
        return blendshapes
    response = lip_response()
    jaw = float(blendshapes[JAW_OPEN])
    wanted = max(jaw, share * JAW, jaw + (share * PARTED - float(blendshapes @ response)) / response[JAW_OPEN])
    if wanted == jaw:
        return blendshapes
    result = np.array(blendshapes, np.float64)
    result[JAW_OPEN] = wanted
    return result


def tongue_offset(shape: Array, blendshapes: Array, fitted: Array) -> Array:
    """What to add to ``shape`` (V, 3), the mesh under ``blendshapes`` (52,), head frame, so that its tongue lies over its lower lip; nothing
    where it is no further out than in the photograph, whose blendshapes are ``fitted`` (52,)."""
    result = np.zeros_like(shape)
    out = tongue_out(blendshapes, fitted)
    if out == 0:
        return result
    surface = TongueSurface.of_head()
    pushed = blendshapes[TONGUE_OUT] - fitted[TONGUE_OUT]
    bed = shape[surface.vertices] - pushed * Head.load().blendshapes[TONGUE_OUT][surface.vertices]
    upper, lower, upper_teeth, teeth = _middle_of_mouth()
    gap = float(shape[upper, 1].min() - shape[lower, 1].max())
    thickness = float(np.clip(0.5 * (gap - GAP_FREE), 0.001, THICKNESS))
    inside, tip, path = _path(shape[lower], shape[teeth], bed, thickness)
    bite = float(shape[upper_teeth, 1].min() - shape[teeth, 1].max()) + BITE
    free = float(smoothstep(*GAP, np.array(min(gap, bite))))
    way = np.interp(out * free, (0, OVER_LIP, 1), (inside, tip, tip + BEYOND_LIP))
    across = float(shape[lower, 0].mean())
    rises = smoothstep(0, RISES, np.array(out * free)) * surface.follows
    wanted = bed + rises[:, None] * (surface.along(path, way, thickness, across) - bed)
    result[surface.vertices] = wanted - shape[surface.vertices]
    return result


def _path(lip: Array, teeth: Array, bed: Array, thickness: float) -> tuple[float, float, Array]:
    """Metres from the root to the tip of a tongue in its ``bed`` (T, 3), and to the top of the lower ``lip`` (L, 3); and y and z of the path
    (S, 2) in equal steps, over which a tongue's middle comes out."""
    behind = TongueSurface.of_head().behind
    root = bed[(behind > 0.85) & (behind < 1)][:, 1:].mean(0)
    tip = bed[np.argmax(bed[:, 2]), 1:]
    away = thickness + CLEARANCE
    over_teeth = teeth[np.argmax(teeth[:, 1]), 1:] + [away, -0.002]
    centre = np.array([lip[:, 1].max(), lip[:, 2].max()]) - LIP_ROUND
    turns = np.linspace(0, HANGS, 12)[:, None]
    bend = centre + (LIP_ROUND + away) * np.concatenate([np.cos(turns), np.sin(turns)], axis=1)
    hanging = bend[-1] + 2 * BEYOND_LIP * np.array([-np.sin(HANGS), np.cos(HANGS)])
    corners = np.concatenate([root[None], over_teeth[None], bend, hanging[None]])
    path = _in_equal_steps(corners)
    padded = np.pad(path, ((SMOOTHED // 2, SMOOTHED // 2), (0, 0)), mode="edge")
    even = np.ones(SMOOTHED) / SMOOTHED
    path = _in_equal_steps(np.stack([np.convolve(padded[:, axis], even, "valid") for axis in (0, 1)], axis=1))
    step = float(np.linalg.norm(path[1] - path[0]))
    to_lip = step * float(np.argmin(np.linalg.norm(path - bend[len(bend) // 3], axis=1)))
    return min(float(np.linalg.norm(tip - root)), to_lip), to_lip, path


def _in_equal_steps(corners: Array) -> Array:
    """A line through ``corners`` (C, 2) as STEPS points."""
    length = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(corners, axis=0), axis=1))])
    wanted = np.linspace(0, length[-1], STEPS)
    return np.stack([np.interp(wanted, length, corners[:, axis]) for axis in (0, 1)], axis=1)


@functools.cache
def _middle_of_mouth() -> tuple[Array, Array, Array, Array]:
    """Vertices in the middle of the upper lip, of the lower lip, of the upper teeth and of the lower ones."""
    middle = np.abs(Head.load().vertices[:, 0]) < 0.003
    upper, lower = (np.flatnonzero(lip & middle) for lip in lips())
    return upper, lower, *incisors()


WIDE = 0.5, 0.9  # of jawOpen more than in the photograph, between which a jaw bares lower teeth. Higher: later
SMILES = 0.25, 0.70  # of mouthSmile, mean of both sides, more than in the photograph, between which a smile does. Higher: later
# metres of them above the lower lip: lips of a wide mouth cover most. A tracker takes lips that a smile parts for an open jaw; on six
# films 7.5 mm in a smile gave 0.4 dB in open mouths. Higher: longer lower teeth, in smiles up to the upper ones
BARED_WIDE, BARED_SMILE = 0.0035, 0.0075
BELOW_UPPER = 0.003, 0.006  # metres from the lower lip to the upper teeth, between which lower ones are between them. Higher: they come later
# metres of the upper teeth that the lower lip of a smile covers at most, for which they are raised by as much as RAISED: the head's smile lifts both
# lips 6 mm over them, before the gums. Higher: more gum, and less of the teeth's edges
COVERED, RAISED = 0.002, 0.006
SMILE_OPEN = 0.001, 0.003  # metres between the lips, between which that is so. Higher: later
OVERBITE = 0.002  # metres that lower teeth may rise above the edge of the upper ones, behind them. Lower: closed teeth have a gap


def teeth_offset(shape: Array, blendshapes: Array, fitted: Array) -> Array:
    """What to add to ``shape`` (V, 3), the mesh under ``blendshapes`` (52,), whose photograph has those ``fitted`` (52,)."""
    result = np.zeros_like(shape)
    moved = np.asarray(blendshapes, np.float64) - fitted
    smiles = 0.5 * (moved[BLENDSHAPE_INDEX["mouthSmileLeft"]] + moved[BLENDSHAPE_INDEX["mouthSmileRight"]])
    opened = moved[BLENDSHAPE_INDEX["jawOpen"]]
    bared = max(BARED_SMILE * smoothstep(*SMILES, smiles), BARED_WIDE * smoothstep(*WIDE, opened))
    if bared == 0:
        return result
    found = rims(shape, np.zeros(1))
    rim, lip = found.upper[0], found.lower[0]
    if not np.isfinite(rim - lip):  # of a mesh that is folded across
        return result
    upper, lower = incisors()
    top, edge = shape[lower, 1].max(), shape[upper, 1].min()
    covered = smoothstep(*SMILES, smiles) * smoothstep(*SMILE_OPEN, rim - lip)
    raised = covered * np.clip(lip - COVERED - edge, 0, RAISED)
    bared *= smoothstep(*BELOW_UPPER, edge + raised - lip)
    head = Head.load()
    result[head.vertices_of("teeth_upper"), 1] = raised
    result[head.vertices_of("teeth_lower"), 1] = np.clip(lip + bared - top, 0, max(edge + raised + OVERBITE - top, 0))
    return result


@functools.cache
def incisors() -> tuple[Array, Array]:
    """Vertices of the upper and of the lower incisors."""
    head = Head.load()
    front = np.flatnonzero((np.abs(head.vertices[:, 0]) < 0.006) & (head.vertices[:, 2] > 0.09))
    above, below = (np.intersect1d(head.vertices_of(name), front) for name in ("teeth_upper", "teeth_lower"))
    return above, below
