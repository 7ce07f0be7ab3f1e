"""Where people are photographed: camera, light and background, and the renderer that takes the picture.

Rasterised at twice the size and averaged, so that edges are as soft as in a photograph; light is computed in linear colour.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from mimaface.face.head import Head
from mimaface.face.pose import FacePose
from mimaface.geometry.camera import Camera
from mimaface.geometry.interpolation import smoothstep
from mimaface.geometry.rasterise import rasterise, vertex_normals
from mimaface.reprojection.eyes_and_mouth import IRIS_RADIUS

from .attire import CLOTH, COLLAR, GLASS_FRAME, HAIR, muted, neck_follows
from .noise import fractal_noise, noise_at
from .people import TEXTURE, Person

Array = NDArray[Any]
FINE = 2  # samples along a side of a pixel
SKIN, EYE, TEETH, MOUTH, LASHES = 10, 11, 12, 13, 14
BY_PART = {
    "skin": SKIN,
    "eye_left": EYE,
    "eye_right": EYE,
    "teeth_upper": TEETH,
    "teeth_lower": TEETH,
    "tongue": MOUTH,
    "mouth_inside": MOUTH,
    "lashes": LASHES,
}


@dataclass(frozen=True, eq=False)
class Light:
    """Directions (3,) point to the lamps; colours (3,) are linear; sky and ground light what faces up and down."""

    key: Array
    key_colour: Array
    rim: Array
    rim_colour: Array
    sky: Array
    ground: Array
    softness: float


@dataclass(frozen=True, eq=False)
class Studio:
    """camera; translation (3,) of the head at rest, metres; light; background (S, S, 3) uint8;
    exposure and tint (3,) multiply linear colour, contrast stretches the finished picture about its middle grey."""

    camera: Camera
    translation: Array
    light: Light
    background: Array
    exposure: float
    contrast: float
    tint: Array


def random_studio(random: np.random.Generator, size: int, pictures: list[Array]) -> Studio:
    """A place for one shot at size² pixels. ``pictures`` (H, W, 3) uint8 may serve as backgrounds beside procedural ones."""
    focal = size * random.uniform(1.5, 4.5)
    face = size / random.uniform(1.55, 2.0)  # pixels that 0.19 m of face fill
    depth = focal * 0.19 / face
    place = np.array([size * random.uniform(-0.06, 0.06), size * random.uniform(-0.05, 0.10)])
    translation = np.array([place[0], place[1], -focal]) * depth / focal
    camera = Camera(focal, (size / 2, size / 2), size, size)
    return Studio(
        camera, translation, random_light(random), random_background(random, size, pictures),
        random.uniform(0.8, 1.15), random.uniform(0.9, 1.15), 1 + random.normal(0, 0.04, 3),
    )  # fmt: skip


def random_light(random: np.random.Generator) -> Light:
    """One lamp in front, one behind, and light from all around."""

    def direction(around: float, up: float) -> Array:
        return np.array([np.sin(around) * np.cos(up), np.sin(up), np.cos(around) * np.cos(up)])

    def warmth(spread: float) -> Array:
        return np.clip(1 + random.normal(0, spread) * np.array([1.0, 0.1, -1.0]) + random.normal(0, 0.03, 3), 0.4, 1.6)

    fill = random.uniform(0.25, 0.75)
    key = direction(random.normal(0, 0.8), random.normal(0.5, 0.35))
    strength = random.uniform(0.35, 1.0) * (1.25 - fill)
    behind = direction(np.pi + random.normal(0, 1.0), random.uniform(0, 0.9))
    rim = random.uniform(0.2, 1.2) * (random.random() < 0.35)
    ground = random.uniform(0.4, 0.9) * fill * warmth(0.12)
    return Light(key, strength * warmth(0.15), behind, rim * warmth(0.25), fill * warmth(0.12), ground, random.uniform(0.0, 0.5))


def random_background(random: np.random.Generator, size: int, pictures: list[Array]) -> Array:
    """A wall, a window out of focus, a room of planes, leaves, or a crop of a picture: (size, size, 3) uint8."""
    kind = random.integers(0, 6 if pictures else 5)
    if kind == 5:
        picture = pictures[random.integers(len(pictures))]
        side = int(random.uniform(0.4, 1.0) * min(picture.shape[:2]))
        top, left = random.integers(0, picture.shape[0] - side + 1), random.integers(0, picture.shape[1] - side + 1)
        rows = (np.arange(size) * side // size) + top
        columns = (np.arange(size) * side // size) + left
        result = picture[rows][:, columns].astype(np.float32) / 255
        return _finish(random, result, random.choice([0.0, 0.6, 2.0, 5.0]))
    y, x = np.meshgrid(np.linspace(-1, 1, size, dtype=np.float32), np.linspace(-1, 1, size, dtype=np.float32), indexing="ij")
    first, second = muted(random), muted(random)
    angle = random.uniform(0, 2 * np.pi)
    ramp = smoothstep(-1.2, 1.2, np.cos(angle) * x + np.sin(angle) * y)[..., None]
    result = first + ramp * (second - first) * random.uniform(0, 1)
    plane = np.stack([x.ravel(), y.ravel(), np.zeros(size * size)], 1)
    if kind in (1, 3):
        clouds = fractal_noise(plane, random.uniform(1, 6), 4, int(random.integers(1 << 30))).reshape(size, size, 1)
        third = muted(random)
        result = result + np.clip(clouds * random.uniform(0.3, 1.2), -1, 1) * (third - 0.5)
    if kind == 2:
        for _ in range(random.integers(3, 25)):
            radius = random.uniform(0.05, 0.4)
            blob = smoothstep(radius, radius * 0.8, np.hypot(x - random.uniform(-1.2, 1.2), y - random.uniform(-1.2, 1.2)))
            result = result + blob[..., None] * (muted(random) - 0.4)
    if kind in (3, 4):
        for _ in range(random.integers(2, 14)):
            cx, cy, w, h = *random.uniform(-1.1, 1.1, 2), *random.uniform(0.03, 0.7, 2)
            inside = (np.abs(x - cx + random.normal(0, 0.1) * y) < w) & (np.abs(y - cy + random.normal(0, 0.05) * x) < h)
            result = np.where(inside[..., None], result * 0.2 + 0.8 * muted(random), result)
    return _finish(random, result, random.choice([0.0, 0.7, 2.0, 6.0]))


def _finish(random: np.random.Generator, picture: Array, blur: float) -> Array:
    if blur:
        picture = gaussian_filter(picture, (blur, blur, 0), mode="nearest")
    picture = picture + random.normal(0, random.uniform(0, 0.01), (*picture.shape[:2], 1))
    return np.asarray((np.clip(picture * random.uniform(0.5, 1.1), 0, 1) * 255).astype(np.uint8))


class Camcorder:
    """Takes pictures of one person in one studio. ``body`` (3, 3) is how the shoulders are turned during the shot."""

    def __init__(self, person: Person, studio: Studio, body: Array, seed: int) -> None:
        head = Head.load()
        self.person, self.studio, self.body, self.seed = person, studio, body, seed % (1 << 30)
        names = [name for name in head.parts if name in BY_PART]
        drawn = np.isin(head.triangle_part, [head.parts.index(name) for name in names])
        drawn &= ~(head.vertices[head.triangles, 1] < COLLAR - 0.014).any(1)
        self._inside = head.triangle_part[drawn] == head.parts.index("mouth_inside")
        shading = np.array([BY_PART.get(name, 0) for name in head.parts], np.uint8)[head.triangle_part[drawn]]
        uv = head.uv[head.uv_triangles[drawn]] * [TEXTURE, -TEXTURE] + [0, TEXTURE]  # (N, 3 corners, 2)
        triangles, kinds, colours, patterns, follows = [head.triangles[drawn]], [shading], [], [], []
        start = len(head.vertices)
        for piece in person.attire.pieces:
            triangles.append(piece.triangles + start)
            kinds.append(np.full(len(piece.triangles), piece.shading, np.uint8))
            start += len(piece.vertices)
            colours.append(piece.colour)
            patterns.append(piece.pattern)
            follows.append(piece.follow)
        self._triangles = np.ascontiguousarray(np.concatenate(triangles), np.int32)
        self._kind = np.concatenate(kinds)
        self._uv = np.zeros((len(self._triangles), 3, 2), np.float32)
        self._uv[: len(uv)] = uv
        own = np.tile([0.62, 0.33, 0.32], (len(head.vertices), 1))
        own[head.vertices_of("mouth_inside")] = [0.42, 0.15, 0.14]
        lids = 0.8 * person.skin.mean((0, 1))
        own[head.vertices_of("lashes")] = lids + person.lashes * (np.array([0.08, 0.06, 0.05]) - lids)
        self._colour = np.concatenate([own, *colours]).astype(np.float32)
        self._pattern = np.concatenate([self._eyes(head), *patterns]).astype(np.float32)
        self._follow = np.concatenate([neck_follows(head.vertices), *follows])[:, None]
        self._worn = np.concatenate([piece.vertices for piece in person.attire.pieces])
        neutral = np.concatenate([head.posed(person.identity, np.zeros(head.expression_size), np.zeros((2, 2))), self._worn])
        self._resting = neutral @ body.T + studio.translation
        self._lip = float(np.percentile(neutral[: len(head.vertices)][head.region("lips"), 2], 60))

    def _eyes(self, head: Head) -> Array:
        """The place of every head vertex; on an eyeball the direction (3,) from its centre instead."""
        result = head.vertices.copy()
        for side, name in enumerate(("eye_left", "eye_right")):
            ball = head.vertices_of(name)
            result[ball] = (head.vertices[ball] - head.eye_centres[side]) / head.eye_radius
        return result

    def vertices(self, pose: FacePose) -> Array:
        """All vertices (V, 3) in the camera frame: the head turns with the pose, the body stays."""
        shape = Head.load().posed(self.person.identity, pose.actions, pose.gaze)
        moved = np.concatenate([shape, self._worn]) @ pose.rotation.T + pose.translation
        return np.asarray(self._follow * moved + (1 - self._follow) * self._resting)

    def take(self, pose: FacePose) -> Array:
        """The picture (S, S, 3) uint8 of one moment."""
        studio, size = self.studio, self.studio.camera.width
        posed = self.vertices(pose)
        normals = vertex_normals(posed, self._triangles)
        points = studio.camera.project(posed)
        drawn = self._facing(points)
        raster = rasterise(points * [FINE, FINE, 1], self._triangles[drawn], size * FINE, size * FINE)
        light = studio.light
        lamps = np.stack([light.key, light.key_colour, light.rim, light.rim_colour, light.sky, light.ground]).astype(np.float32)
        inside = (self._lip - (posed[:, 2] - pose.translation[2])).astype(np.float32)
        person = self.person
        picture = _shade(
            raster.triangle, raster.barycentric, self._triangles[drawn], self._kind[drawn], self._uv[drawn], person.skin,
            normals.astype(np.float32), posed.astype(np.float32), self._colour, self._pattern, inside, lamps,
            light.softness, person.gloss, person.iris, person.teeth, IRIS_RADIUS / Head.load().eye_radius, self.seed, FINE,
        )  # fmt: skip
        gain = (studio.exposure * studio.tint).astype(np.float32)
        return np.asarray(_develop(picture, studio.background, gain, np.float32(studio.contrast)))

    def _facing(self, points: Array) -> Array:
        """Triangles to draw: the mouth's lining only from inside, where its thin walls would come through the skin."""
        keep = np.ones(len(self._triangles), bool)
        inner = np.flatnonzero(self._inside)
        a, b, c = (points[self._triangles[inner, corner], :2] for corner in range(3))
        area = (b[:, 0] - a[:, 0]) * (c[:, 1] - a[:, 1]) - (b[:, 1] - a[:, 1]) * (c[:, 0] - a[:, 0])
        keep[inner] = area < 0  # counter-clockwise with v down
        return np.flatnonzero(keep)


@numba.njit(cache=True, nogil=True)
def _develop(picture: Array, background: Array, gain: Array, contrast: np.float32) -> Array:
    """Linear colour times cover, and cover (H, W, 4), over a background (H, W, 3) uint8 → the photograph (H, W, 3) uint8.

    All in float32, step by step as written, so that every machine gives the same bits. The square root is gamma 2,
    near enough to sRGB and cheap.
    """
    zero, half, one, full = np.float32(0), np.float32(0.5), np.float32(1), np.float32(255)
    height, width = picture.shape[:2]
    result = np.empty((height, width, 3), np.uint8)
    for row in range(height):
        for column in range(width):
            cover = picture[row, column, 3]
            least = max(cover, np.float32(1e-3))
            for k in range(3):
                ground = np.float32(background[row, column, k]) / full
                seen = np.sqrt(min(max(picture[row, column, k] * gain[k] / least, zero), one))
                mixed = ground + cover * (seen - ground)
                final = min(max((mixed - half) * contrast + half, zero), one)
                result[row, column, k] = np.uint8(np.rint(final * full))
    return result


@numba.njit(cache=True, nogil=True, fastmath=True)
def _shade(
    found: Array, weights: Array, triangles: Array, kinds: Array, uv: Array, skin: Array,
    normals: Array, places: Array, colours: Array, patterns: Array, inside: Array, lamps: Array,
    softness: float, gloss: float, iris: Array, teeth: Array, iris_size: float, seed: int, fine: int,
) -> Array:  # fmt: skip
    """Linear colour times cover, and cover, averaged over blocks of ``fine`` pixels a side: (H / fine, W / fine, 4)."""
    height, width = found.shape
    side = skin.shape[0]
    share = 1.0 / (fine * fine)
    result = np.zeros((height // fine, width // fine, 4), np.float32)
    albedo = np.zeros(3, np.float32)
    for row in range(height):
        for column in range(width):
            index = found[row, column]
            if index < 0:
                continue
            a, b, c = triangles[index]
            wa, wb, wc = weights[row, column]
            nx = wa * normals[a, 0] + wb * normals[b, 0] + wc * normals[c, 0]
            ny = wa * normals[a, 1] + wb * normals[b, 1] + wc * normals[c, 1]
            nz = wa * normals[a, 2] + wb * normals[b, 2] + wc * normals[c, 2]
            long = max((nx * nx + ny * ny + nz * nz) ** 0.5, 1e-6)
            nx, ny, nz = nx / long, ny / long, nz / long
            vx = -(wa * places[a, 0] + wb * places[b, 0] + wc * places[c, 0])
            vy = -(wa * places[a, 1] + wb * places[b, 1] + wc * places[c, 1])
            vz = -(wa * places[a, 2] + wb * places[b, 2] + wc * places[c, 2])
            far = (vx * vx + vy * vy + vz * vz) ** 0.5
            vx, vy, vz = vx / far, vy / far, vz / far
            px = wa * patterns[a, 0] + wb * patterns[b, 0] + wc * patterns[c, 0]
            py = wa * patterns[a, 1] + wb * patterns[b, 1] + wc * patterns[c, 1]
            pz = wa * patterns[a, 2] + wb * patterns[b, 2] + wc * patterns[c, 2]
            kind = kinds[index]
            shine, power, shadow, wrap = 0.0, 20.0, 1.0, softness
            for k in range(3):
                albedo[k] = wa * colours[a, k] + wb * colours[b, k] + wc * colours[c, k]
            if kind == SKIN:
                u = wa * uv[index, 0, 0] + wb * uv[index, 1, 0] + wc * uv[index, 2, 0] - 0.5
                v = wa * uv[index, 0, 1] + wb * uv[index, 1, 1] + wc * uv[index, 2, 1] - 0.5
                x, y = int(min(max(u, 0.0), side - 2.0)), int(min(max(v, 0.0), side - 2.0))
                tx, ty = min(max(u - x, 0.0), 1.0), min(max(v - y, 0.0), 1.0)
                for k in range(3):
                    top = skin[y, x, k] * (1 - tx) + skin[y, x + 1, k] * tx
                    low = skin[y + 1, x, k] * (1 - tx) + skin[y + 1, x + 1, k] * tx
                    albedo[k] = top * (1 - ty) + low * ty
                shine, power = 0.05 + 0.35 * gloss, 14.0
            elif kind == EYE:
                away = (px * px + py * py) ** 0.5
                if pz < 0:
                    away = 1.0
                grain = noise_at(px * 9, py * 9, 3.0, seed)
                ring = np.arctan2(py, px)
                streak = noise_at(np.cos(ring) * 7, np.sin(ring) * 7, away * 6, seed + 5)
                for k in range(3):
                    white = (0.80 - 0.10 * k * 0.5) * (1 - 0.35 * max(away - 0.55, 0.0)) + 0.02 * grain
                    colour = iris[k] * (1.15 + 0.45 * streak) * (0.65 + 0.6 * away / iris_size)
                    edge = min(max((away - iris_size) / 0.035 + 0.5, 0.0), 1.0)
                    dark = min(max((away - 0.86 * iris_size) / (0.16 * iris_size), 0.0), 1.0) * (1 - edge)
                    colour *= 1 - 0.65 * dark
                    pupil = min(max((away - 0.36 * iris_size) / 0.03 + 0.5, 0.0), 1.0)
                    albedo[k] = min(max((colour * pupil + 0.01) * (1 - edge) + white * edge, 0.01), 0.95)
                shine, power, shadow, wrap = 0.9, 120.0, 0.85, 0.4
            elif kind == TEETH:
                for k in range(3):
                    albedo[k] = teeth[k] * (1 - 0.25 * abs(np.sin(px * 380.0)) ** 12)
                deep = wa * inside[a] + wb * inside[b] + wc * inside[c]
                shadow = 0.95 * np.exp(-max(deep - 0.010, 0.0) / 0.020)
                shine, power, wrap = 0.25, 40.0, 0.4
            elif kind == MOUTH:
                deep = wa * inside[a] + wb * inside[b] + wc * inside[c]
                shadow = 0.85 * np.exp(-max(deep - 0.006, 0.0) / 0.018)
                shine, power, wrap = 0.12, 30.0, 0.4
            elif kind == HAIR:
                streak = noise_at(px * 900, py * 60, pz * 300, seed + 11) + 0.6 * noise_at(
                    px * 2600, py * 150, pz * 600, seed + 12
                )
                big = noise_at(px * 160, py * 25, pz * 80, seed + 13)
                for k in range(3):
                    albedo[k] = max(albedo[k] * (1 + 0.38 * streak + 0.25 * big), 0.004)
                nx, nz = nx + 0.25 * big, nz + 0.12 * streak
                shine, power, wrap = 0.10 + 0.12 * max(streak, 0.0), 12.0, 0.3
            elif kind == CLOTH:
                weave = noise_at(px * 700, py * 700, pz * 700, seed + 17) * 0.06 + 0.08 * noise_at(
                    px * 45, py * 45, pz * 45, seed + 18
                )
                for k in range(3):
                    albedo[k] = max(albedo[k] * (1 + weave), 0.004)
                wrap = 0.25
            elif kind == GLASS_FRAME:
                shine, power = 0.5, 40.0
            facing = nx * vx + ny * vy + nz * vz
            if facing < 0 and kind != SKIN:
                nx, ny, nz, facing = -nx, -ny, -nz, -facing
            key = max((nx * lamps[0, 0] + ny * lamps[0, 1] + nz * lamps[0, 2] + wrap) / (1 + wrap), 0.0)
            back = max(nx * lamps[2, 0] + ny * lamps[2, 1] + nz * lamps[2, 2], 0.0) * (0.15 + 0.85 * (1 - max(facing, 0.0)))
            hx, hy, hz = lamps[0, 0] + vx, lamps[0, 1] + vy, lamps[0, 2] + vz
            half = max((hx * hx + hy * hy + hz * hz) ** 0.5, 1e-6)
            mirrored = (nx * hx + ny * hy + nz * hz) / half
            gleam = shine * mirrored**power if shine > 0 and mirrored > 0 else 0.0
            for k in range(3):
                around = lamps[5, k] + (0.5 + 0.5 * ny) * (lamps[4, k] - lamps[5, k])
                lit = around + key * lamps[1, k] + back * lamps[3, k]
                seen = albedo[k] * albedo[k] * lit * shadow + gleam * lamps[1, k] * 0.6
                result[row // fine, column // fine, k] += seen * share
            result[row // fine, column // fine, 3] += share
    return result
