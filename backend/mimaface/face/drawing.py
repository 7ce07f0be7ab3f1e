"""Detects drawings in flat colours, on which the shading of a photographed head would look wrong."""

from __future__ import annotations

import numpy as np
from PIL import Image

from mimaface.protocol.arrays import Array

SIDE = 96  # pixels a side to which the face is scaled, so that grain and JPEG are averaged out
ALIKE = 4  # levels in every channel that count as one colour. Higher: smooth photographs count as drawings
# share of the face in one colour from which it is flat: drawings had 0.46 and more, photographs and paintings up to 0.12. Lower: photographs
# of smooth skin in even light count as drawings
FLAT = 0.3
WARNING = (
    "the portrait looks like a drawing in flat colours, and is animated as a photographed head would be: turns of more than about "
    "20 degrees and closed eyes may not look drawn – try them in a few frames first"
)


def is_flat(image: Array, points: Array) -> bool:
    """Whether one colour covers much of the face around ``points`` (K, 2), pixels of a picture (H, W, 3) uint8."""
    low = np.clip(np.floor(points.min(0)), 0, [image.shape[1] - 1, image.shape[0] - 1]).astype(int)
    high = np.maximum(np.ceil(points.max(0)).astype(int), low + 1)
    face = Image.fromarray(image[low[1] : high[1], low[0] : high[0]]).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
    colours = np.asarray(face).reshape(-1, 3)
    coarse = colours.astype(np.int32) // 8 @ [1024, 32, 1]
    found, count = np.unique(coarse, return_counts=True)
    usual = np.median(colours[coarse == found[np.argmax(count)]], axis=0)
    return bool((np.abs(colours - usual).max(1) <= ALIKE).mean() >= FLAT)
