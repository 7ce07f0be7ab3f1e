"""Visemes → blendshapes, each shape drawn toward those of its neighbours: dominance functions (Cohen and Massaro 1993)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mimaface.protocol.arkit import BLENDSHAPE_INDEX, BLENDSHAPE_NAMES
from mimaface.protocol.mouth import PARTING

from .phones import REST, Phone

Array = NDArray[Any]
JAW, LIPS, SEAL = 0, 1, 2  # what moves by itself: the jaw, the lips and the tongue, and lips that shut or meet the teeth
# By viseme: how strongly it holds jaw and lips against its neighbours, and its blendshapes at 1; a name without a side is both sides'.
# A vowel needs its jaw, a rounded sound its lips, and t, k or n little of either, which is why lips of neighbours go through them.
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
# Seconds in which a shape's hold on the face falls to a third outside its phone, before and after it. Lips round early (Cohen and
# Massaro 1993: lip protrusion begins up to 0.2 s before a rounded vowel). Raised: mumbling; lowered: puppets.
FALL, EARLY_ROUND = 0.05, 0.1
CORE = 0.6  # share of a phone in its middle at which its hold is whole
# Seconds that lips take to shut for p, b, m before they are shut, and to part again: measured on speakers, 0.05 to 0.08.
SHUTTING = 0.06
# Of mouthClose beyond what parts the lips, so that a portrait that smiles with open lips shuts them, too; lips that meet earlier go no
# further (``protocol.mouth``). Raised: such lips shut earlier than they should.
FURTHER = 0.5
TUCKED = 0.5  # mouthRollLower of f and v: the lower lip lies on the upper teeth
QUIET = 0.002  # of a blendshape, below which it is 0: silence is rest, and not nearly
HEARD = 0.15  # seconds around speech in which the mouth is on its way; in longer pauses it is at rest


def mouth_motion(phones: list[Phone], time: Array) -> Array:
    """Blendshapes (T, 52) of a mouth that speaks ``phones``, which follow each other without a hole, at ``time`` (T,) seconds.

    Lips are shut at the frame nearest to the middle of every p, b and m, however short it is, and the mouth is at rest, all 0, in
    pauses.
    """
    result = np.zeros((len(time), len(BLENDSHAPE_NAMES)))
    if len(time) == 0 or not phones:
        return result
    held, moved = np.full((len(time), 2), 1e-9), np.zeros((len(time), len(BLENDSHAPE_NAMES)))
    shut, tucked = np.zeros(len(time)), np.zeros(len(time))
    for phone in phones:
        jaw, lips, shape = SHAPES[phone.viseme]
        early = EARLY_ROUND if phone.viseme in ROUNDED else FALL
        first, last = np.searchsorted(time, [phone.begin - 4 * early, phone.end + 4 * FALL])
        part = slice(int(first), int(last))
        hold = _hold(time[part], phone, early)
        held[part] += hold[:, None] * [jaw, lips]
        for name, value in shape.items():
            strength = jaw * phone.strength if name == "jawOpen" else lips
            moved[part, _columns(name)] += (hold * strength * value)[:, None]
        for viseme, seal in (("PP", shut), ("FF", tucked)):
            if phone.viseme == viseme:
                np.maximum(seal[part], _sealed(time, phone)[part], out=seal[part])
    jaw_column = BLENDSHAPE_INDEX["jawOpen"]
    result[:] = moved / held[:, [LIPS]]
    result[:, jaw_column] = moved[:, jaw_column] / held[:, JAW]
    result *= _near_speech(phones, time)[:, None]
    return _sealed_lips(result, shut, tucked)


def _columns(name: str) -> list[int]:
    """The columns of a blendshape, or of both sides of one."""
    return [BLENDSHAPE_INDEX[each] for each in (name, f"{name}Left", f"{name}Right") if each in BLENDSHAPE_INDEX]


def _hold(time: Array, phone: Phone, early: float) -> Array:
    """How strongly a phone holds the face (T,): 1 in its core, falling as a bell on both sides."""
    middle, half = (phone.begin + phone.end) / 2, (phone.end - phone.begin) / 2
    outside = np.maximum(np.abs(time - middle) - CORE * half, 0.0)
    return np.asarray(np.exp(-np.square(outside / np.where(time < middle, early, FALL))))


def _sealed(time: Array, phone: Phone) -> Array:
    """How far lips are shut for a phone (T,): 1 in it and at the frame nearest to its middle, on their way before and after."""
    away = np.maximum(np.maximum(phone.begin - time, time - phone.end), 0.0)
    sealed = 0.5 + 0.5 * np.cos(np.pi * np.minimum(away / SHUTTING, 1.0))
    sealed[int(np.argmin(np.abs(time - (phone.begin + phone.end) / 2)))] = 1.0
    return np.asarray(sealed)


def _near_speech(phones: list[Phone], time: Array) -> Array:
    """1 in speech, 0 in the middle of pauses (T,), with an even way of ``HEARD`` seconds between."""
    result = np.ones(len(time))
    for index, phone in enumerate(phones):
        if phone.viseme != REST:
            continue
        inside = np.minimum(
            time - phone.begin if index else np.full(len(time), np.inf),
            phone.end - time if index + 1 < len(phones) else np.full(len(time), np.inf),
        )
        result = np.where((time >= phone.begin) & (time < phone.end), np.clip(1 - inside / HEARD, 0, 1), result)
    return result


def _sealed_lips(shapes: Array, shut: Array, tucked: Array) -> Array:
    """``shapes`` with lips shut (T,) and the lower lip at the teeth (T,), as far as each is to be."""
    parted = shapes[:, [BLENDSHAPE_INDEX[name] for name in PARTING]] @ np.array(list(PARTING.values()))
    result = shapes.copy()
    result[:, BLENDSHAPE_INDEX["mouthClose"]] = shut * parted + np.square(shut) * FURTHER
    result[:, BLENDSHAPE_INDEX["mouthRollLower"]] = tucked * TUCKED * (1 - shut)
    result[result < QUIET] = 0.0
    return np.asarray(np.clip(result, 0.0, 1.0))
