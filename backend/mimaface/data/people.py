"""Random people: face shape, skin, hair, eyes and clothes, from one random generator.

Skin is a solid texture: each texel is painted by its position on the mean head, so brows, lips, freckles and stubble follow every
face shape and expression.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.ndimage import distance_transform_edt

from mimaface.face.head import Head
from mimaface.geometry.interpolation import smoothstep
from mimaface.geometry.rasterise import rasterise
from mimaface.protocol.arrays import Array

from .attire import Attire, dress
from .noise import fractal_noise

TEXTURE = 384  # texels per side of the skin texture
SPREAD = 0.75  # standard deviation of identity coefficients. Real faces have 1; its tails look like caricatures
SKIN_TONES = np.array(
    [[0.95, 0.80, 0.72], [0.90, 0.72, 0.61], [0.80, 0.60, 0.48], [0.62, 0.43, 0.32], [0.42, 0.27, 0.20], [0.28, 0.18, 0.14]]
)
HAIR_TONES = np.array(
    [
        [0.05, 0.04, 0.04],
        [0.12, 0.08, 0.06],
        [0.24, 0.15, 0.10],
        [0.42, 0.28, 0.16],
        [0.66, 0.50, 0.30],
        [0.50, 0.22, 0.10],
        [0.62, 0.60, 0.58],
        [0.86, 0.84, 0.80],
    ]
)
# sRGB, dark to light
IRIS_TONES = np.array([[0.20, 0.11, 0.06], [0.33, 0.19, 0.09], [0.30, 0.33, 0.18], [0.24, 0.36, 0.46], [0.42, 0.50, 0.55]])


@dataclass(frozen=True, eq=False)
class Person:
    """A person.

      identity (80,)        standard deviations
      skin (S, S, 3)        sRGB 0–1 on the head's texture map
      iris, hair, teeth (3,)    sRGB
      gloss                 0–1
      lashes                darkness of the lid's edge, 0–1
      attire                hair, clothes and glasses
    """

    identity: Array
    skin: Array
    iris: Array
    hair: Array
    teeth: Array
    gloss: float
    lashes: float
    attire: Attire


@dataclass(frozen=True, eq=False)
class SkinMap:
    """Geometry of the T covered texels of the texture map: place (T, 3) on the mean head in metres, and shares (T,) of
    regions."""

    covered: Array
    place: Array
    albedo: Array
    lips: Array
    lids: Array
    face: Array
    scalp: Array
    fill: Array

    @staticmethod
    @functools.cache
    def load() -> SkinMap:
        head = Head.load()
        drawn = np.concatenate([head.part("skin"), head.part("mouth_inside")])
        corners = head.uv[head.uv_triangles[drawn]].reshape(-1, 2)
        flat = np.concatenate([corners * [TEXTURE, -TEXTURE] + [0, TEXTURE], np.ones((len(corners), 1))], axis=1)
        triangles = np.arange(len(flat)).reshape(-1, 3)
        raster = rasterise(flat, triangles, TEXTURE, TEXTURE)
        source = head.triangles[drawn].ravel()

        def under(values: Array) -> Array:
            return np.asarray(raster.interpolate(triangles, values[source].astype(np.float32))[raster.covered])

        def share(*names: str) -> Array:
            return np.asarray(under(head.region(*names)[:, None])[:, 0])

        albedo = np.where(head.region("brows", "scalp")[:, None], head.albedo[head.region("face")].mean(0), head.albedo)
        nearest = distance_transform_edt(~raster.covered, return_distances=False, return_indices=True)
        return SkinMap(
            raster.covered, under(head.vertices), under(albedo), share("lips"), share("lids"), share("face", "lids", "brows"),
            share("scalp"), nearest,
        )  # fmt: skip

    def to_map(self, colours: Array) -> Array:
        """Scatters colours (T, 3) of covered texels to the map (S, S, 3); other texels take the nearest."""
        result = np.zeros((*self.covered.shape, 3), np.float32)
        result[self.covered] = colours
        return np.asarray(result[tuple(self.fill)])


def random_person(random: np.random.Generator) -> Person:
    """Returns a person with every trait drawn from ``random``."""
    identity = np.clip(random.normal(0, SPREAD, Head.load().identity_size), -2.5, 2.5)
    skin_tone, darkness = _tone(random, SKIN_TONES)
    hair = _hair_tone(random, darkness)
    iris, _ = _tone(random, IRIS_TONES[: 2 if darkness > 0.6 else None])
    attire = dress(random, identity, hair, skin_tone)
    covered_scalp = attire.bald is False
    skin = paint_skin(random, skin_tone, hair, covered_scalp)
    teeth = np.array([0.93, 0.89, 0.80]) * random.uniform(0.82, 1.0) * [1, random.uniform(0.97, 1.0), random.uniform(0.9, 1.0)]
    return Person(identity, skin, iris, hair, teeth, random.beta(2, 4), random.uniform(0.1, 0.55), attire)


def _tone(random: np.random.Generator, tones: Array) -> tuple[Array, float]:
    """Returns a colour (3,) interpolated between neighbouring tones, and its position in the list, 0–1."""
    where = random.uniform(0, len(tones) - 1)
    low = min(int(where), len(tones) - 2)
    colour = tones[low] + (where - low) * (tones[low + 1] - tones[low])
    return np.clip(colour * (1 + random.normal(0, 0.03, 3)), 0.03, 0.97), where / (len(tones) - 1)


def _hair_tone(random: np.random.Generator, darkness: float) -> Array:
    dark = darkness > 0.55 and random.random() < 0.85
    tone = HAIR_TONES[random.integers(0, 2)] if dark else HAIR_TONES[random.integers(0, len(HAIR_TONES))]
    return np.asarray(np.clip(tone * random.uniform(0.75, 1.25) * random.uniform(0.93, 1.07, 3), 0.02, 0.95))


def paint_skin(random: np.random.Generator, tone: Array, hair: Array, hairy_scalp: bool) -> Array:
    """Returns the skin (S, S, 3) in sRGB of a person: base tone (3,), brows and stubble in hair colour (3,)."""
    skin = SkinMap.load()
    x, y, z = skin.place.T

    def noise(frequency: float, octaves: int = 2) -> Array:
        return np.asarray(fractal_noise(skin.place, frequency, octaves, int(random.integers(1 << 30))))[:, None]

    # lids, nostrils and ears have a relative shade in the mean head's albedo
    mean = skin.albedo[skin.face > 0.9].mean(0)
    shade = np.clip(skin.albedo / mean, 0.5, 1.2) ** random.uniform(0.5, 1.1)
    colour = tone * np.where(skin.lips[:, None] > 0, 1.0, shade)
    colour = colour * (1 + random.uniform(0.02, 0.07) * noise(38, 3) * [0.6, 1.0, 1.1])
    colour *= 1 + random.uniform(0.01, 0.06) * noise(700, 2)  # pores
    blush = np.exp(-(((np.abs(x) - 0.043) / 0.02) ** 2 + ((y + 0.038) / 0.02) ** 2)) + np.exp(
        -((x / 0.015) ** 2 + ((y + 0.035) / 0.014) ** 2)
    ) * (z > 0.1)
    colour *= 1 - random.uniform(0, 0.16) * blush[:, None] * [0.2, 1.0, 0.9] * (z > 0)[:, None]
    under_eyes = np.exp(-(((np.abs(x) - 0.028) / 0.014) ** 2 + ((y + 0.019) / 0.006) ** 2))
    colour *= 1 - random.uniform(0, 0.18) * under_eyes[:, None]
    colour *= 1 - random.uniform(0, 0.35) ** 1.5 * skin.lids[:, None] * random.uniform(0.6, 1.0, 3)
    lips = tone * random.uniform([0.80, 0.52, 0.52], [1.0, 0.75, 0.78])
    if random.random() < 0.3:
        lips = np.array([random.uniform(0.45, 0.8), random.uniform(0.08, 0.35), random.uniform(0.12, 0.4)])
    lip_lines = 1 + 0.05 * fractal_noise(skin.place * [1.0, 0.15, 0.15], 900, 1, int(random.integers(1 << 30)))[:, None]
    colour += smoothstep(0.2, 0.8, skin.lips)[:, None] * (lips * lip_lines - colour)
    _freckles(random, skin, colour, noise)
    _brows(random, skin, colour, hair)
    _stubble(random, skin, colour, hair, noise)
    if hairy_scalp:
        edge = smoothstep(0.15, 0.85, skin.scalp + 0.25 * noise(120, 2)[:, 0])[:, None]
        colour += edge * (hair * 0.8 * (1 + 0.3 * noise(500, 1)) - colour)
    return skin.to_map(np.clip(colour, 0.01, 1))


def _freckles(random: np.random.Generator, skin: SkinMap, colour: Array, noise: Any) -> None:
    if random.random() < 0.3:
        _, y, z = skin.place.T
        where = np.exp(-(((y + 0.03) / 0.03) ** 2)) * (z > 0.06)
        spots = smoothstep(0.35, 0.6, noise(330, 1)[:, 0]) * where * (skin.lips < 0.1)
        colour *= 1 - random.uniform(0.08, 0.28) * spots[:, None] * [0.6, 0.9, 1.0]
    for _ in range(random.poisson(1.2)):  # moles
        centre = skin.place[random.integers(len(skin.place))]
        spot = np.exp(-(((skin.place - centre) ** 2).sum(1) / random.uniform(0.0012, 0.0026) ** 2))
        colour *= 1 - random.uniform(0.4, 0.8) * spot[:, None]


def _brows(random: np.random.Generator, skin: SkinMap, colour: Array, hair: Array) -> None:
    x, y, z = skin.place.T
    along = (np.abs(x) - random.uniform(0.011, 0.016)) / random.uniform(0.040, 0.048)
    arch, tilt, height = random.uniform(0.002, 0.008), random.uniform(-0.003, 0.004), random.uniform(0.014, 0.020)
    middle = height + arch * np.sin(np.pi * np.clip(along, 0, 1) ** 1.3) + tilt * along
    thick = random.uniform(0.0025, 0.0055) * (1.15 - 0.75 * np.clip(along, 0, 1))
    inside = smoothstep(-0.06, 0.08, along) * (1 - smoothstep(0.85, 1.08, along)) * (z > 0.05)
    band = inside * np.exp(-(np.abs((y - middle) / thick) ** 3))
    hairs = fractal_noise(skin.place * [1.0, 0.5, 0.3], 900, 2, int(random.integers(1 << 30)))
    cover = np.clip(band * (0.85 + 0.5 * hairs), 0, 1) * random.uniform(0.45, 0.95)
    colour += cover[:, None] * (hair * 0.8 - colour)


def _stubble(random: np.random.Generator, skin: SkinMap, colour: Array, hair: Array, noise: Any) -> None:
    if random.random() > 0.4:
        return
    x, y, z = skin.place.T
    jaw = smoothstep(0.045, 0.06, -y) * (z > 0.005) * (1 - smoothstep(0.12, 0.135, -y)) * (1 - smoothstep(0.0, 0.5, skin.lips))
    cheek = 1 - smoothstep(0.0, 0.018, y + 0.058 + 0.55 * np.maximum(0.045 - np.abs(x), 0))
    where = np.clip(jaw * np.maximum(cheek, 0) * (1.0 + 0.4 * noise(60, 2)[:, 0]), 0, 1)
    density = random.choice([0.25, 0.5, 0.95])
    dots = 0.6 + 0.4 * noise(900, 1)[:, 0]
    colour += (density * where * dots)[:, None].clip(0, 1) * (hair * 0.9 - colour)
