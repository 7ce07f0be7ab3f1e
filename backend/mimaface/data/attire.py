"""Random hair, headwear, glasses and clothes as meshes in the mean head's frame."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mimaface.face.head import Head
from mimaface.geometry.interpolation import smoothstep
from mimaface.geometry.rasterise import vertex_normals
from mimaface.protocol.arrays import Array

from .noise import fractal_noise

HAIR, CLOTH, GLASS_FRAME = 1, 2, 3  # shading models of a piece
COLLAR = -0.124  # metres below the eyes: border between the head's own neck and the body's
NECK_LOW, NECK_HIGH = -0.150, -0.075  # metres: the neck twists between these; everything below the first stays with the body
CUTS = ("bald", "shaved", "short", "short", "full", "long", "long", "bun", "bob", "bob", "beanie", "hat", "hat")


@dataclass(frozen=True, eq=False)
class Piece:
    """A mesh.

      vertices (P, 3)     metres, head frame
      triangles (Q, 3)
      colour (P, 3)       sRGB
      pattern (P, 3)      coordinates for texture noise
      follow (P,)         1 moves with the head, 0 stays with the body
      shading             HAIR, CLOTH or GLASS_FRAME
    """

    vertices: Array
    triangles: Array
    colour: Array
    pattern: Array
    follow: Array
    shading: int


@dataclass(frozen=True, eq=False)
class Attire:
    """All pieces of one person. bald: the scalp shows skin."""

    pieces: tuple[Piece, ...]
    bald: bool


def dress(random: np.random.Generator, identity: Array, hair: Array, skin: Array) -> Attire:
    """Returns hair, clothes and possibly glasses that fit the head of ``identity`` (80,); hair and skin are sRGB (3,)."""
    head = Head.load()
    vertices = head.shape(identity, np.zeros(head.expression_size))
    cut = str(random.choice(CUTS))
    pieces = [_clothes(random, vertices, head, skin)]
    if cut == "beanie":
        pieces.append(_cap(random, head, vertices, muted(random), random.uniform(0.008, 0.016), CLOTH))
    elif cut not in ("bald", "shaved"):
        thickness = {"short": random.uniform(0.006, 0.018), "full": random.uniform(0.02, 0.05), "hat": 0.004}.get(
            cut, random.uniform(0.008, 0.016)
        )
        pieces.append(_cap(random, head, vertices, hair, thickness, HAIR))
    if cut == "hat":
        pieces.extend(hat(random, *_skull(head, vertices)))
    if cut in ("long", "bob") or (cut in ("hat", "beanie") and random.random() < 0.4):
        length = random.uniform(0.03, 0.12) if cut == "bob" else random.uniform(0.16, 0.36)
        pieces.append(_curtain(random, head, vertices, hair, length))
    if cut in ("long", "bob", "bun", "full") and random.random() < 0.4:
        pieces.append(_fringe(random, head, vertices, hair))
    if cut == "bun":
        pieces.append(_bun(random, head, vertices, hair))
    if random.random() < 0.15:
        pieces.append(_glasses(random, head, vertices))
    return Attire(tuple(pieces), cut == "bald")


def neck_follows(points: Array) -> Array:
    """Returns the share (P,) in 0–1 by which points (P, 3) at rest turn with the head."""
    return np.asarray(smoothstep(NECK_LOW, NECK_HIGH, points[:, 1] + 0.6 * np.maximum(points[:, 2], 0)))


def muted(random: np.random.Generator) -> Array:
    """Returns a random colour (3,) in sRGB, mostly of low saturation."""
    colour = random.uniform(0.03, 0.95, 3)
    return np.asarray(colour.mean() + (colour - colour.mean()) * random.beta(1.2, 2.5))


def _grid(rows: int, columns: int, closed: bool) -> Array:
    """Returns the triangles of a grid of rows × columns points, closed along its rows if ``closed``."""
    across = columns if closed else columns - 1
    i, j = np.meshgrid(np.arange(rows - 1), np.arange(across), indexing="ij")
    a, b = i * columns + j, i * columns + (j + 1) % columns
    c, d = a + columns, b + columns
    return np.concatenate([np.stack([a, c, b], -1).reshape(-1, 3), np.stack([b, c, d], -1).reshape(-1, 3)])


def _noise(random: np.random.Generator, points: Array, frequency: float, octaves: int = 2) -> Array:
    return np.asarray(fractal_noise(np.ascontiguousarray(points), frequency, octaves, int(random.integers(1 << 30))))


def _cap(random: np.random.Generator, head: Head, vertices: Array, colour: Array, thickness: float, shading: int) -> Piece:
    """Returns the scalp subdivided twice and offset by about ``thickness`` metres, thinner toward its edge."""
    triangles = head.triangles[head.part("hair")]
    used, local = np.unique(triangles, return_inverse=True)
    points, normals = vertices[used], vertex_normals(vertices[used], local.reshape(-1, 3))
    edges = np.sort(np.concatenate([local.reshape(-1, 3)[:, pair] for pair in ([0, 1], [1, 2], [2, 0])]), axis=1)
    unique, count = np.unique(edges, axis=0, return_counts=True)
    inner = np.ones(len(used))
    inner[unique[count == 1]] = 0
    for _ in range(2):
        total = np.bincount(edges.ravel(), np.repeat(inner[edges].mean(1), 2), len(used)) / np.bincount(
            edges.ravel(), minlength=len(used)
        )
        inner = np.minimum(inner, total + 0.15)
    points, normals, inner, mesh = _subdivide(*_subdivide(points, normals, inner, local.reshape(-1, 3)))
    lumps = 1 + random.uniform(0.1, 0.5) * _noise(random, points, random.uniform(25, 60))
    top = 1 + random.uniform(0, 1.2) * smoothstep(0.02, 0.10, points[:, 1])
    lifted = points + normals * (0.0025 + thickness * (inner * lumps * top))[:, None]
    pattern = points if shading == CLOTH else _strands(random, points)
    return Piece(lifted, mesh, np.tile(colour, (len(points), 1)), pattern, np.ones(len(points)), shading)


def _subdivide(points: Array, normals: Array, inner: Array, triangles: Array) -> tuple[Array, Array, Array, Array]:
    """Subdivides each triangle into four."""
    edges = np.sort(np.concatenate([triangles[:, pair] for pair in ([0, 1], [1, 2], [2, 0])]), axis=1)
    unique, index = np.unique(edges, axis=0, return_inverse=True)
    middle = index.reshape(3, -1) + len(points)
    a, b, c = triangles.T
    ab, bc, ca = middle
    finer = np.concatenate([np.stack(t, 1) for t in ((a, ab, ca), (ab, b, bc), (ca, bc, c), (ab, bc, ca))])
    points, normals, inner = (np.concatenate([v, v[unique].mean(1)]) for v in (points, normals, inner))
    return points, normals / np.linalg.norm(normals, axis=1, keepdims=True), inner, finer


def _strands(random: np.random.Generator, points: Array) -> Array:
    """Returns coordinates with hair strands along y and across x: around the crown, or swept to a side."""
    x, y, z = points.T
    around = np.arctan2(x + random.uniform(-0.03, 0.03), z + 0.03)
    down = np.hypot(np.hypot(x, z), np.maximum(0.11 - y, 0))
    if random.random() < 0.4:  # combed sideways, or back
        return np.stack([0.09 * (z if random.random() < 0.5 else y) / 0.09, 0.1 * x, 0.3 * y], axis=1)
    return np.stack([0.09 * around, 0.10 * down, 0.02 * down], axis=1)


def _skull(head: Head, vertices: Array) -> tuple[Array, Array]:
    """Returns centre and radii (3,) of the ellipsoid around the scalp."""
    scalp = vertices[head.region("scalp")]
    low, high = scalp.min(0), scalp.max(0)
    centre = np.array([0.0, 0.02, (low[2] + high[2]) / 2])
    return centre, np.array([(high[0] - low[0]) / 2, high[1] - 0.02, (high[2] - low[2]) / 2])


def _curtain(random: np.random.Generator, head: Head, vertices: Array, hair: Array, length: float) -> Piece:
    """Returns hair around the back and sides of the head that reaches ``length`` metres below the eyes, open at the face."""
    centre, radii = _skull(head, vertices)
    rows, columns = 30, 56
    opening = random.uniform(0.75, 1.25)
    bulge, flare = random.uniform(0.006, 0.03), random.uniform(-0.15, 0.3)
    turn = np.linspace(opening, 2 * np.pi - opening, columns)[None]
    down = np.linspace(0, 1, rows)[:, None]
    up = np.maximum(np.cos(np.minimum(down * 3.2, np.pi / 2)), 0)
    out = np.sin(np.minimum(down * 3.2, np.pi / 2))
    fall = np.maximum(down - 0.49, 0) / 0.51
    wave = random.uniform(0, 0.006) * np.sin(fall * random.uniform(8, 25) + turn * random.uniform(0, 6))
    radius = out * (1 + flare * fall) + 0.02
    side = radii + bulge
    x = np.sin(turn) * (side[0] * radius + wave) + 0 * down
    z = centre[2] + np.cos(turn) * (side[2] * radius + wave) - 0.012 * fall
    y = centre[1] + up * (side[1]) - fall * length + 0 * turn
    points = np.stack([x, y, z], axis=-1).reshape(-1, 3)
    points += (0.004 * _noise(random, points * [1, 0.15, 1], 90))[:, None] * np.stack(
        [np.sin(turn + 0 * down), 0 * x, np.cos(turn + 0 * down)], -1
    ).reshape(-1, 3)
    pattern = np.stack([0.085 * (turn + 0 * down), 0.12 * (down + 0 * turn), 0 * x], axis=-1).reshape(-1, 3)
    follow = np.asarray(smoothstep(-0.16, -0.04, points[:, 1]))  # long hair rests on the shoulders
    return Piece(points, _grid(rows, columns, False), np.tile(hair, (len(points), 1)), pattern, follow, HAIR)


def _fringe(random: np.random.Generator, head: Head, vertices: Array, hair: Array) -> Piece:
    """Returns hair from the crown over the forehead with a ragged end above the brows."""
    centre, radii = _skull(head, vertices)
    radii = radii + random.uniform(0.006, 0.016)
    rows, columns = 16, 64
    half, lean = random.uniform(0.5, 1.1), random.uniform(-0.5, 0.5)
    turn = np.linspace(-half, half, columns)[None]
    ragged = 0.006 * _noise(random, np.stack([turn[0], 0 * turn[0], 0 * turn[0]], 1), random.uniform(6, 25))
    low = random.uniform(0.032, 0.06) + ragged + 0.02 * (turn[0] / half) ** 2 * random.uniform(-1, 1)
    end = np.arccos(np.clip((low - centre[1]) / radii[1], -0.5, 0.95))[None]
    fall = np.linspace(0.05, 1, rows)[:, None] * end
    around = turn + lean * (1 - fall / end)
    points = centre + radii * np.stack([np.sin(fall) * np.sin(around), np.cos(fall), np.sin(fall) * np.cos(around)], axis=-1)
    pattern = np.stack([0.09 * (turn + 0 * fall), 0.1 * fall, 0 * fall], axis=-1).reshape(-1, 3)
    points = points.reshape(-1, 3)
    return Piece(points, _grid(rows, columns, False), np.tile(hair, (len(points), 1)), pattern, np.ones(len(points)), HAIR)


def hat(random: np.random.Generator, centre: Array, radii: Array) -> list[Piece]:
    """Returns a random crown with optional band, stripes, badge and brim, around a skull's ellipsoid with centre (3,) and radii
    (3,).
    """
    rows, columns = 48, 128
    up, turn = np.linspace(0, 1, rows)[:, None], np.linspace(0, 2 * np.pi, columns, endpoint=False)[None]
    low, tilt = random.uniform(0.045, 0.068), random.uniform(0.0, 0.03)
    tall = centre[1] + radii[1] - low + random.uniform(0.006, 0.06)
    boxy, wide, swell = random.uniform(0.25, 0.9), random.uniform(1.05, 1.14), random.uniform(-0.1, 0.3)
    bend = np.pi / 2 * up
    out = np.cos(bend) ** boxy * (1 + swell * np.sin(2 * bend)) * wide

    def surface(reach: Array, height: Array) -> Array:
        x, z = np.sin(turn) * radii[0] * reach, centre[2] + np.cos(turn) * radii[2] * reach
        return np.stack([x, low + height + tilt * np.cos(turn), z], axis=-1).reshape(-1, 3)

    points = surface(out, tall * np.sin(bend) ** boxy)
    base, other, third = muted(random) ** 1.4, muted(random), muted(random)
    u, v = (np.broadcast_to(each, (rows, columns)).ravel() for each in ((turn + np.pi) % (2 * np.pi) - np.pi, up))
    stripes = [
        0 * u,
        np.sin(u * random.integers(3, 16)),
        np.sin(v * random.uniform(8, 40)),
        _noise(random, points, random.uniform(20, 90)),
    ]
    share = smoothstep(-0.15, 0.15, stripes[random.integers(4)]) * random.uniform(0, 1)
    colour = base + share[:, None] * (other - base)
    band = (1 - smoothstep(-0.02, 0.02, v - random.uniform(0.1, 0.45))) * (random.random() < 0.6)
    colour += band[:, None] * (third - colour)
    if random.random() < 0.6:  # a badge: bright and dark spots on the front
        wide_badge, middle = random.uniform(0.15, 0.5), random.uniform(0.25, 0.5)
        inside = ((u / wide_badge) ** 2 + ((v - middle) / random.uniform(0.12, 0.3)) ** 2) < 1
        spots = _noise(random, points, random.uniform(60, 200), 1)
        metal = np.array([0.85, 0.7, 0.3]) if random.random() < 0.5 else muted(random)
        colour = np.where((inside & (spots > random.uniform(-0.3, 0.1)))[:, None], metal * (1 + 0.4 * spots[:, None]), colour)
    colour = np.clip(colour, 0.01, 0.97)
    pieces = [Piece(points, _grid(rows, columns, True), colour, points, np.ones(len(points)), CLOTH)]
    if random.random() < 0.6:
        along = np.linspace(0, 1, 5)[:, None]
        front = np.cos(turn / 1.0).clip(0) ** 0.7 if random.random() < 0.5 else np.ones_like(turn)
        brim = surface(wide * (1 + random.uniform(0.2, 0.7) * along * front), -random.uniform(-0.01, 0.03) * along * front)
        shade = np.tile(third if random.random() < 0.5 else base * 0.8, (len(brim), 1))
        pieces.append(Piece(brim, _grid(5, columns, True), shade, brim, np.ones(len(brim)), CLOTH))
    return pieces


def _bun(random: np.random.Generator, head: Head, vertices: Array, hair: Array) -> Piece:
    centre, radii = _skull(head, vertices)
    size = random.uniform(0.025, 0.045)
    tilt = random.uniform(0.5, 1.6)  # from the crown to the back
    place = centre + (radii + 0.5 * size) * np.array([random.uniform(-0.2, 0.2), np.cos(tilt), -np.sin(tilt)])
    v, u = np.meshgrid(np.linspace(0, np.pi, 14), np.linspace(0, 2 * np.pi, 24, endpoint=False), indexing="ij")
    ball = np.stack([np.sin(v) * np.cos(u), np.cos(v), np.sin(v) * np.sin(u)], -1).reshape(-1, 3)
    points = place + size * ball * (1 + 0.2 * _noise(random, ball, 2.5)[:, None])
    pattern = np.stack([0.05 * v + 0.02 * u, 0.01 * u, 0 * u], -1).reshape(-1, 3)
    return Piece(points, _grid(14, 24, True), np.tile(hair * 0.95, (len(points), 1)), pattern, np.ones(len(points)), HAIR)


def _glasses(random: np.random.Generator, head: Head, vertices: Array) -> Piece:
    """Returns two rims in front of the eyes, a bridge, and temples to the ears."""
    eyes = np.array([vertices[head.vertices_of(name)].mean(0) for name in ("eye_left", "eye_right")])
    width, height = random.uniform(0.021, 0.027), random.uniform(0.015, 0.023)
    square, thick = random.uniform(2, 4), random.uniform(0.0008, 0.0022)
    front = float(vertices[head.region("lids"), 2].max()) + 0.010
    angle = np.linspace(0, 2 * np.pi, 36, endpoint=False)
    shape = np.stack(
        [
            np.sign(np.cos(angle)) * np.abs(np.cos(angle)) ** (2 / square) * width,
            np.sign(np.sin(angle)) * np.abs(np.sin(angle)) ** (2 / square) * height,
        ],
        1,
    )
    lines: list[tuple[Array, bool]] = []
    for eye in eyes:
        middle = np.array([eye[0] * 1.03, eye[1] - 0.003])
        rim = np.concatenate([shape + middle, np.full((36, 1), front)], axis=1)
        rim[:, 2] -= 2.2 * (np.abs(rim[:, 0]) - 0.02).clip(0) ** 1.4
        lines.append((rim, True))
    inner = abs(eyes[0, 0]) * 1.03 - width
    bridge = np.linspace(-inner, inner, 7)
    lines.append((np.stack([bridge, 0.003 - 40 * bridge**2 + 0 * bridge, np.full(7, front + 0.001)], 1), False))
    for sign in (1, -1):
        corner = abs(eyes[0, 0]) * 1.03 + width
        away = np.linspace(0, 1, 8)
        lines.append(
            (np.stack([sign * (corner + 0.008 * np.sqrt(away)), 0.004 - 0.004 * away, front - 0.018 - 0.095 * away], 1), False)
        )
    colour = random.uniform(0.02, 0.35) * np.ones(3) if random.random() < 0.7 else random.uniform(0.05, 0.6, 3)
    meshes, faces, start = [], [], 0
    for points, closed in lines:
        ring = np.array([[1, 1], [1, -1], [-1, -1], [-1, 1]]) * thick
        ahead = np.roll(points, -1, 0) - np.roll(points, 1, 0) if closed else np.gradient(points, axis=0)
        ahead /= np.linalg.norm(ahead, axis=1, keepdims=True)
        across = np.cross(ahead, [0, 0, 1.0] if abs(ahead[0, 2]) < 0.5 else [0, 1.0, 0])
        across /= np.maximum(np.linalg.norm(across, axis=1, keepdims=True), 1e-9)
        other = np.cross(ahead, across)
        tube = points[:, None] + ring[None, :, :1] * across[:, None] + ring[None, :, 1:] * other[:, None]
        count = len(points) + (1 if closed else 0)
        meshes.append(np.concatenate([tube, tube[:1]])[:count].reshape(-1, 3))
        faces.append(_grid(count, 4, True) + start)
        start += len(meshes[-1])
    all_points = np.concatenate(meshes)
    return Piece(all_points, np.concatenate(faces), np.tile(colour, (start, 1)), all_points, np.ones(start), GLASS_FRAME)


def _clothes(random: np.random.Generator, vertices: Array, head: Head, skin: Array) -> Piece:
    """Returns neck, shoulders and chest: skin above a neckline, cloth below it. They stay with the body."""
    ring = vertices[(np.abs(vertices[:, 1] - COLLAR) < 0.012) & head.region("neck")]
    half, back, front = float(np.abs(ring[:, 0]).max()), float(ring[:, 2].min()), float(ring[:, 2].max())
    rows, columns = 22, 48
    down = np.linspace(0, 1, rows)[:, None]
    turn = np.linspace(0, 2 * np.pi, columns, endpoint=False)[None]
    slope = random.uniform(0.55, 0.85)
    tuck = 0.86 + 0.14 * smoothstep(0.0, 0.08, down)  # the upper edge is hidden inside the head's neck
    wide = half * tuck + (random.uniform(0.17, 0.23) - half) * smoothstep(0.06, slope, down)
    deep = tuck * (front - back) / 2 + 0.05 * smoothstep(0.06, 0.6, down)
    y = COLLAR + 0.008 - 0.30 * down**1.15 + 0 * turn
    points = np.stack([np.sin(turn) * wide, y, np.cos(turn) * deep + (front + back) / 2 - 0.015 * down], axis=-1).reshape(-1, 3)
    neckline = random.uniform(-0.17, -0.128) - random.uniform(0, 0.08) * np.exp(-((points[:, 0] / 0.05) ** 2)) * (
        points[:, 2] > 0
    )
    cloth, other = muted(random) ** 1.4, muted(random)
    kind = random.integers(4)
    stripes = {
        0: 0 * points[:, 0],
        1: np.sin(points[:, 1] * random.uniform(150, 500)),
        2: np.sin(points[:, 0] * random.uniform(150, 500)),
        3: _noise(random, points, random.uniform(20, 80)),
    }[int(kind)]
    colour = cloth + smoothstep(-0.2, 0.2, stripes)[:, None] * (other - cloth) * random.uniform(0, 1)
    colour = np.where((points[:, 1] > neckline)[:, None], skin * 0.96, colour)
    return Piece(points, _grid(rows, columns, True), colour, points, neck_follows(points), CLOTH)
