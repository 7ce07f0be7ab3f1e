"""The tone of a photograph: in a black-and-white, sepia or otherwise tinted picture, painted parts get its tint.

In such a picture brightness alone determines a colour. The distance of the person's colours from that curve measures how far the picture
is in colour; painted colours keep their own hue by as much.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import uniform_filter

from mimaface.geometry.interpolation import smoothstep
from mimaface.geometry.strips import row_strips, with_around
from mimaface.protocol.arrays import Array

from . import tuning

LEVELS = 32  # steps of brightness whose usual colour is found
GRAIN = 5  # pixels, side of the square over which colours are averaged, so that grain and compression do not count as colour
# levels by which most pixels are off the tint, from a photograph of one tint to one in colour: six tinted prints were off by 0 to 6, 16
# photographs and paintings in colour by 18 to 79. Higher: pale colour photographs get painted parts without a hue
COLOURED = 7.0, 16.0
BRIGHTNESS = np.array([0.299, 0.587, 0.114])  # of RGB, ITU-R BT.601
SEEN = 1 << 20  # pixels, evenly spread over the person, that the curve is found from at most. More: the same curve, in more memory


@dataclass(frozen=True, eq=False)
class Tone:
    """curve (256, 3): the usual colour of each brightness, 0 to 255; own: share of its own hue in a painted colour, 0 to 1."""

    curve: Array
    own: float

    def painted(self, colours: Array) -> Array:
        """RGB (…, 3), 0 to 255, as they look in this photograph; their brightness stays."""
        if self.own >= 1:
            return colours
        level = colours @ BRIGHTNESS
        place = np.clip(level, 0, 255)
        toned = np.stack([np.interp(place, np.arange(256), self.curve[:, channel]) for channel in range(3)], axis=-1)
        return np.asarray(toned + self.own * (colours - toned))


def tone_of(image: Array, matte: Array) -> Tone:
    """The tone of the person in ``image`` (H, W, 3) uint8, whose pixels have 1 in the ``matte`` (H, W); of the whole image where no pixel has."""
    person = matte > tuning.OPAQUE if (matte > tuning.OPAQUE).any() else np.ones(matte.shape, bool)
    pixels = image[person]
    pixels = pixels[:: -(-len(pixels) // SEEN)].astype(np.float64)
    level = pixels @ BRIGHTNESS
    step = np.minimum(level * LEVELS / 256, LEVELS - 1).astype(np.uint8)
    counts = np.bincount(step, minlength=LEVELS)
    steps = np.split(np.argsort(step, kind="stable"), np.cumsum(counts)[:-1])  # the pixels of each
    known = [members for members in steps if len(members) >= 20]  # fewer pixels give no median
    tint = pixels - level[:, None]
    usual = np.array([[np.mean(level[members]), *np.median(tint[members], axis=0)] for members in known])
    if len(known) < 2:
        return Tone(np.repeat(np.arange(256.0)[:, None], 3, axis=1), 1.0)
    bend = np.polynomial.polynomial.polyfit(usual[:, 0] / 255, usual[:, 1:], min(tuning.TONE_DEGREE, len(known) - 1))
    seen = np.clip(np.arange(256), usual[0, 0], usual[-1, 0])
    curve = np.arange(256)[:, None] + np.round(np.polynomial.polynomial.polyval(seen / 255, bend).T, 3)  # grey is grey to the bit
    off = np.percentile(_distances(image, person, curve), tuning.TONE_PERCENTILE)
    return Tone(curve, float(smoothstep(*COLOURED, off)))


def _distances(image: Array, person: Array, curve: Array) -> Array:
    """(P,) how far each pixel of a ``person`` (H, W) bool, averaged over the grain, is from the ``curve`` (256, 3), in levels of the channel
    that is furthest."""
    parts = []
    for rows in row_strips(len(image)):
        near, inner = with_around(rows, GRAIN // 2, len(image))
        off, here = np.zeros(image[near].shape, np.float32), person[near]
        pixels = image[near][here].astype(np.float64)
        off[here] = pixels - curve[np.round(pixels @ BRIGHTNESS).astype(int)]
        off = np.abs(uniform_filter(off, (GRAIN, GRAIN, 0), mode="nearest"))
        parts.append(np.maximum(np.maximum(off[inner, :, 0], off[inner, :, 1]), off[inner, :, 2])[person[rows]])
    return np.concatenate(parts)
