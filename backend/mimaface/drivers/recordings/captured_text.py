"""Recordings of iFacialMocap and Facemotion3d: one frame per line, in the format of their streams
(``streams/ifacialmocap.py``)."""

from __future__ import annotations

import re

import numpy as np

from mimaface.drivers.reading import ReadingSettings
from mimaface.drivers.streams.base import Sample, UnknownPacket
from mimaface.drivers.streams.ifacialmocap import IFacialMocap
from mimaface.drivers.table import decoded
from mimaface.protocol.errors import InvalidMotion
from mimaface.protocol.motion import MotionClip
from mimaface.protocol.rotation import quaternion_to_matrix

from .base import Reader, Recorded, at_rate

DEFAULT_RATE = 60.0  # frames per second at which both apps record
RATE = re.compile(r"(?i)\b(?:fps|frame ?rate)\W{1,3}([0-9.]+)")


def _recognises(name: str, start: bytes) -> bool:
    text = decoded(start, whole=False) or ""
    return any(line.count("|") > 20 and ("head#" in line or re.search(r"jawOpen\s*[&-]", line)) for line in text.splitlines()[:20])


def _read(content: bytes, name: str, settings: ReadingSettings) -> MotionClip:
    text = decoded(content)
    if text is None:
        raise InvalidMotion(f"{name}: not a text file", "choose the .txt that the app wrote")
    decoder, samples, other, rate = IFacialMocap(), list[Sample](), 0, 0.0
    for line in text.splitlines():
        if not line.strip():
            continue
        try:
            sample = decoder.decode(line.strip().encode("ascii", "replace"), 0.0)
        except UnknownPacket:
            found = RATE.search(line)
            rate, other = (float(found[1]), other) if found and not samples else (rate, other + 1)
            continue
        if sample is not None:
            samples.append(sample)
    time, warnings = at_rate(len(samples), rate, settings, DEFAULT_RATE)
    if other:
        warnings.append(f"{other} lines are no frames of iFacialMocap, and were left out")
    face = np.array([sample.blendshapes is not None for sample in samples], bool)
    none = np.zeros(52)
    weights = np.array([none if sample.blendshapes is None else sample.blendshapes for sample in samples]).reshape(-1, 52)
    heads = [sample.head_quat for sample in samples if sample.blendshapes is not None]
    has_head = bool(heads) and all(head is not None for head in heads)
    gazes = [sample.gaze for sample in samples if sample.blendshapes is not None]
    has_gaze = bool(gazes) and all(gaze is not None for gaze in gazes)
    still, ahead = np.array([1.0, 0, 0, 0]), np.zeros((2, 2))
    quaternions = np.array([still if sample.head_quat is None else sample.head_quat for sample in samples]).reshape(-1, 4)
    gaze = np.array([ahead if sample.gaze is None else sample.gaze for sample in samples]).reshape(-1, 2, 2)
    nowhere = np.full(3, np.nan)
    places = np.array([nowhere if sample.head_pos is None else sample.head_pos for sample in samples]).reshape(-1, 3)
    head = quaternion_to_matrix(quaternions) if has_head else None
    return Recorded(time, face, weights, head, places, gaze if has_gaze else None, warnings).clip(name, "ifacialmocap")


READER = Reader("iFacialMocap or Facemotion3d", _recognises, _read)
