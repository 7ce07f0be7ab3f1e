"""Which constant rate a motion was recorded at, although frames may be missing or late."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mimaface.protocol.motion import SLOWEST, MotionClip

Array = NDArray[Any]
# frames per second that cameras, editors and drawn animation know
STANDARD = (
    5.0, 8.0, 10.0, 12.0, 12.5, 15.0, 20.0, 24000 / 1001, 24.0, 25.0, 30000 / 1001, 30.0, 48.0, 50.0, 60000 / 1001, 60.0, 90.0, 100.0,
    120000 / 1001, 120.0, 240.0,
)  # fmt: skip
# Root mean square by which steps may miss whole frames of a rate, in frames, and still be of it. Raised: neighbours are confused, as 25
# and 30 differ by 0.17; lowered: clocks that shake are of no rate.
ON_FRAMES = 0.15
NEAR = 0.02  # share by which a measured rate may differ from the standard one that it is taken for
CLEARLY = 2.0  # times that 29.97 must fit better than 30, say, to be taken: a shaking clock cannot tell them apart
AS_SOON = 0.97  # share of an unknown rate that the next standard one must reach, so that no frame is lost
EVEN = 0.1  # share by which steps may differ and still be of one rate, whatever it is


def standard_rate(motion: MotionClip) -> tuple[float, str]:
    """Frames per second, from the usual steps and not from their mean, and words about it when it is not plain.

    Of the standard rates, the lowest whose frames all recorded frames lie on; else the own rate of even steps, and the standard one
    next above the usual step's for uneven ones.
    """
    if len(motion) < 2:
        return 25.0, ""
    steps = np.diff(motion.time)
    for rate in STANDARD:
        frames = np.maximum(np.round(steps * rate), 1)
        if frames.min() <= 2 and np.sqrt(np.square(steps * rate - frames).mean()) <= ON_FRAMES:
            found = _nearest(motion.time, frames)
            if found:
                return found, _words(motion, found)
    usual = 1 / float(np.median(steps))
    if np.ptp(steps) <= EVEN / usual:
        return float(np.clip(1 / steps.mean(), SLOWEST, STANDARD[-1])), ""
    above = next((rate for rate in STANDARD if rate == round(rate, 1) and rate >= AS_SOON * usual), STANDARD[-1])
    return above, _words(motion, above)


def _nearest(time: Array, frames: Array) -> float:
    """The standard rate of times (T,) that are ``frames`` (T − 1,) apart, or 0 when none is near."""
    place = np.concatenate([[0.0], np.cumsum(frames)])
    measured = 1 / float(np.polyfit(place, time, 1)[0])
    near = [rate for rate in STANDARD if abs(measured / rate - 1) < NEAR]
    if not near:
        return 0.0

    def miss(rate: float) -> float:
        away = time - place / rate
        return float(np.std(away))

    best = min(near, key=lambda rate: abs(measured / rate - 1))
    whole = min(near, key=lambda rate: (rate != round(rate, 1), abs(measured / rate - 1)))
    return best if miss(best) * CLEARLY < miss(whole) else whole


def _words(motion: MotionClip, rate: float) -> str:
    wanted = int(np.floor(motion.duration * rate + 1e-6)) + 1
    if len(motion) == wanted:
        return ""
    return (
        f"the motion's {len(motion)} frames are uneven in time: {wanted} are made, at {rate:.5g} a second; "
        "choose another rate with --fps"
    )
