"""Colours of a tongue that is out of the mouth, lit and pink, and its shadow on lip and chin; inside the mouth it is dark."""

from __future__ import annotations

import numpy as np

from mimaface.face.head import Head
from mimaface.face.tongue import OVER_LIP, TongueSurface
from mimaface.geometry.interpolation import smoothstep
from mimaface.geometry.rasterise import vertex_normals
from mimaface.protocol.arrays import Array

from . import tuning
from .tone import Tone


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
