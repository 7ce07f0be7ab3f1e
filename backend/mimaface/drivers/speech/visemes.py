"""Visemes → blendshapes with coarticulation by dominance functions (Cohen and Massaro 1993)."""

from __future__ import annotations

import numpy as np

from mimaface.protocol.arkit import BLENDSHAPE_INDEX, BLENDSHAPE_NAMES
from mimaface.protocol.arrays import Array
from mimaface.protocol.blendshapes import PARTING

from .phones import REST, Phone

JAW, LIPS, SEAL = 0, 1, 2  # articulators with dominance of their own: the jaw; lips and tongue; closure of the lips
# By viseme: dominance of the jaw, dominance of the lips, and blendshapes at 1; a name without a side is both sides'. Vowels
# dominate the jaw, rounded sounds the lips, and t, k or n neither, so the lips of their neighbours pass through them.
SHAPES: dict[str, tuple[float, float, dict[str, float]]] = {
    REST: (1.0, 1.0, {}),
    "PP": (1.2, 0.5, {"jawOpen": 0.05, "mouthPress": 0.2}),
    "FF": (1.2, 1.5, {"jawOpen": 0.08, "mouthUpperUp": 0.15}),
    "TH": (0.8, 0.4, {"jawOpen": 0.14, "mouthLowerDown": 0.12, "tongueOut": 0.2}),
    "DD": (0.5, 0.25, {"jawOpen": 0.11, "mouthLowerDown": 0.12, "mouthStretch": 0.05}),
    "nn": (0.5, 0.25, {"jawOpen": 0.12, "mouthLowerDown": 0.1}),
    "kk": (0.4, 0.15, {"jawOpen": 0.16, "mouthLowerDown": 0.08}),
    "CH": (1.3, 1.8, {"jawOpen": 0.09, "mouthFunnel": 0.45, "mouthPucker": 0.15}),
    "SS": (1.3, 0.6, {"jawOpen": 0.05, "mouthStretch": 0.15, "mouthLowerDown": 0.18}),
    "RR": (0.6, 0.9, {"jawOpen": 0.13, "mouthFunnel": 0.25, "mouthPucker": 0.12}),
    "aa": (1.0, 0.7, {"jawOpen": 0.38, "mouthLowerDown": 0.15, "mouthUpperUp": 0.06}),
    "E": (0.9, 0.8, {"jawOpen": 0.26, "mouthStretch": 0.12, "mouthSmile": 0.08, "mouthLowerDown": 0.12}),
    "I": (0.9, 1.0, {"jawOpen": 0.15, "mouthStretch": 0.22, "mouthSmile": 0.16, "mouthLowerDown": 0.1}),
    "O": (1.0, 1.3, {"jawOpen": 0.3, "mouthFunnel": 0.42, "mouthPucker": 0.1}),
    "U": (0.9, 1.7, {"jawOpen": 0.14, "mouthFunnel": 0.15, "mouthPucker": 0.5}),
}
ROUNDED = ("O", "U", "CH")
# Seconds in which dominance falls to 1/e outside a phone: on either side, and before a rounded one, for lips round early (Cohen
# and Massaro 1993: lip protrusion begins up to 0.2 s before a rounded vowel). Raised: mumbling; lowered: puppet-like motion.
DOMINANCE_SECONDS, ROUNDING_SECONDS = 0.05, 0.1
DOMINANT_SHARE = 0.6  # share of a phone, around its middle, in which its dominance is 1
# seconds in which lips close before p, b, m and open after: 0.05 to 0.08 in speakers
CLOSING_SECONDS = 0.06
# mouthClose added beyond what the opening blendshapes need, so that a portrait that smiles with open lips closes them, too; lips
# that meet earlier stop there (``protocol.mouth``). Raised: such lips close earlier.
EXTRA_CLOSURE = 0.5
LIP_ROLL = 0.5  # mouthRollLower of f and v: the lower lip touches the upper teeth
SMALLEST_WEIGHT = 0.002  # blendshapes below this become 0, so that silence is exactly at rest
REST_SECONDS = 0.15  # seconds of transition between speech and rest at the ends of a pause


def mouth_motion(phones: list[Phone], time: Array) -> Array:
    """Returns blendshapes (T, 52) of a mouth that speaks ``phones``, which are contiguous in time, at ``time`` (T,) seconds.

    Lips are closed at the frame nearest to the middle of every p, b and m, however short, and the mouth is at rest, all 0, in
    pauses.
    """
    result = np.zeros((len(time), len(BLENDSHAPE_NAMES)))
    if len(time) == 0 or not phones:
        return result
    total, weighted = np.full((len(time), 2), 1e-9), np.zeros((len(time), len(BLENDSHAPE_NAMES)))
    shut, tucked = np.zeros(len(time)), np.zeros(len(time))
    for phone in phones:
        jaw, lips, shape = SHAPES[phone.viseme]
        early = ROUNDING_SECONDS if phone.viseme in ROUNDED else DOMINANCE_SECONDS
        first, last = np.searchsorted(time, [phone.begin - 4 * early, phone.end + 4 * DOMINANCE_SECONDS])
        part = slice(int(first), int(last))
        dominance = _dominance(time[part], phone, early)
        total[part] += dominance[:, None] * [jaw, lips]
        for name, value in shape.items():
            strength = jaw * (1.0 if phone.strength is None else phone.strength) if name == "jawOpen" else lips
            weighted[part, _columns(name)] += (dominance * strength * value)[:, None]
        for viseme, seal in (("PP", shut), ("FF", tucked)):
            if phone.viseme == viseme:
                np.maximum(seal[part], _closure(time, phone)[part], out=seal[part])
    jaw_column = BLENDSHAPE_INDEX["jawOpen"]
    result[:] = weighted / total[:, [LIPS]]
    result[:, jaw_column] = weighted[:, jaw_column] / total[:, JAW]
    result *= _speech_envelope(phones, time)[:, None]
    return _with_closure(result, shut, tucked)


def _columns(name: str) -> list[int]:
    """Returns the columns of a blendshape, or of its left and right variants."""
    return [BLENDSHAPE_INDEX[each] for each in (name, f"{name}Left", f"{name}Right") if each in BLENDSHAPE_INDEX]


def _dominance(time: Array, phone: Phone, early: float) -> Array:
    """Returns the dominance of a phone (T,): 1 in its core, Gaussian on both sides; ``early`` is the width before it in
    seconds."""
    middle, half = (phone.begin + phone.end) / 2, (phone.end - phone.begin) / 2
    outside = np.maximum(np.abs(time - middle) - DOMINANT_SHARE * half, 0.0)
    return np.asarray(np.exp(-np.square(outside / np.where(time < middle, early, DOMINANCE_SECONDS))))


def _closure(time: Array, phone: Phone) -> Array:
    """Returns lip closure for a phone (T,): 1 in it and at the frame nearest to its middle, cosine easing before and after."""
    away = np.maximum(np.maximum(phone.begin - time, time - phone.end), 0.0)
    sealed = 0.5 + 0.5 * np.cos(np.pi * np.minimum(away / CLOSING_SECONDS, 1.0))
    sealed[int(np.argmin(np.abs(time - (phone.begin + phone.end) / 2)))] = 1.0
    return np.asarray(sealed)


def _speech_envelope(phones: list[Phone], time: Array) -> Array:
    """Returns (T,): 1 in speech, 0 inside pauses, linear over ``REST_SECONDS`` between."""
    result = np.ones(len(time))
    for index, phone in enumerate(phones):
        if phone.viseme != REST:
            continue
        inside = np.minimum(
            time - phone.begin if index else np.full(len(time), np.inf),
            phone.end - time if index + 1 < len(phones) else np.full(len(time), np.inf),
        )
        result = np.where((time >= phone.begin) & (time < phone.end), np.clip(1 - inside / REST_SECONDS, 0, 1), result)
    return result


def _with_closure(shapes: Array, shut: Array, tucked: Array) -> Array:
    """Returns ``shapes`` with lip closure ``shut`` (T,) and lower lip roll ``tucked`` (T,) applied, clipped to 0–1."""
    parted = shapes[:, [BLENDSHAPE_INDEX[name] for name in PARTING]] @ np.array(list(PARTING.values()))
    result = shapes.copy()
    result[:, BLENDSHAPE_INDEX["mouthClose"]] = shut * parted + np.square(shut) * EXTRA_CLOSURE
    result[:, BLENDSHAPE_INDEX["mouthRollLower"]] = tucked * LIP_ROLL * (1 - shut)
    result[result < SMALLEST_WEIGHT] = 0.0
    return np.asarray(np.clip(result, 0.0, 1.0))
