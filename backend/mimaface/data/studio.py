"""Random camera, light and background of a shot."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter

from mimaface.face.renders import Light
from mimaface.geometry.camera import Camera
from mimaface.geometry.interpolation import smoothstep
from mimaface.protocol.arrays import Array

from .attire import muted
from .noise import fractal_noise


@dataclass(frozen=True, eq=False)
class Studio:
    """camera; translation (3,) of the head at rest in metres; light; background (S, S, 3) uint8; exposure and tint (3,), factors
    on linear colour; contrast, a factor on the finished picture around middle grey.
    """

    camera: Camera
    translation: Array
    light: Light
    background: Array
    exposure: float
    contrast: float
    tint: Array


def random_studio(random: np.random.Generator, size: int, pictures: list[Array]) -> Studio:
    """Returns a studio for one shot at size² pixels. ``pictures`` (H, W, 3) uint8 are possible backgrounds beside procedural
    ones.
    """
    focal = size * random.uniform(1.5, 4.5)
    face = size / random.uniform(1.55, 2.0)  # pixels of 0.19 m of face
    depth = focal * 0.19 / face
    place = np.array([size * random.uniform(-0.06, 0.06), size * random.uniform(-0.05, 0.10)])
    translation = np.array([place[0], place[1], -focal]) * depth / focal
    camera = Camera(focal, (size / 2, size / 2), size, size)
    return Studio(
        camera, translation, random_light(random), random_background(random, size, pictures),
        random.uniform(0.8, 1.15), random.uniform(0.9, 1.15), 1 + random.normal(0, 0.04, 3),
    )  # fmt: skip


def random_light(random: np.random.Generator) -> Light:
    """Returns a key light in front, a rim light behind, and ambient light."""

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
    """Returns a random background (size, size, 3) uint8: a wall, a blurred window, planes, leaves, or a crop of a picture."""
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
