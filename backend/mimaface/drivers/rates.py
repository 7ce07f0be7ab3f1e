"""Constant frame rate of a motion with missing or late frames."""

from __future__ import annotations

import numpy as np

from mimaface.protocol.arrays import Array
from mimaface.protocol.motion import SAME_MOMENT, SLOWEST, MotionClip

# frames per second of cameras, editors and drawn animation
STANDARD = (
    5.0, 8.0, 10.0, 12.0, 12.5, 15.0, 20.0, 24000 / 1001, 24.0, 25.0, 30000 / 1001, 30.0, 48.0, 50.0, 60000 / 1001, 60.0, 90.0, 100.0,
    120000 / 1001, 120.0, 240.0,
)  # fmt: skip
# Root mean square deviation of steps from whole frames of a rate, in frames, at most. Raised: neighbouring rates are confused (25
# and 30 differ by 0.17); lowered: recordings with clock jitter match no rate.
LARGEST_JITTER = 0.15
RATE_TOLERANCE = 0.02  # largest relative difference between a measured rate and its standard rate
FIT_RATIO = 2.0  # factor by which 29.97 must fit better than 30, and likewise other pairs: clock jitter hides the difference
ROUND_UP_SHARE = 0.97  # smallest share of the measured rate for the standard rate that replaces it, so that no frame is lost
STEP_TOLERANCE = 0.1  # largest relative range of steps that have one constant rate, standard or not


def standard_rate(motion: MotionClip) -> tuple[float, str]:
    """Returns frames per second, from typical steps rather than their mean, and a note when the rate is not obvious.

    This is the lowest standard rate on whose frames all recorded frames lie; else the measured rate of even steps, or for uneven
    ones the next standard rate above the median step's.
    """
    if len(motion) < 2:
        return 25.0, ""
    steps = np.diff(motion.time)
    for rate in STANDARD:
        frames = np.maximum(np.round(steps * rate), 1)
        if frames.min() <= 2 and np.sqrt(np.square(steps * rate - frames).mean()) <= LARGEST_JITTER:
            found = _nearest(motion.time, frames)
            if found:
                return found, _note(motion, found)
    usual = 1 / float(np.median(steps))
    if np.ptp(steps) <= STEP_TOLERANCE / usual:
        return float(np.clip(1 / steps.mean(), SLOWEST, STANDARD[-1])), ""
    above = next((rate for rate in STANDARD if rate == round(rate, 1) and rate >= ROUND_UP_SHARE * usual), STANDARD[-1])
    return above, _note(motion, above)


def _nearest(time: Array, frames: Array) -> float:
    """Returns the standard rate of ``time`` (T,) whose steps are ``frames`` (T − 1,), or 0 when none is near."""
    place = np.concatenate([[0.0], np.cumsum(frames)])
    measured = 1 / float(np.polyfit(place, time, 1)[0])
    near = [rate for rate in STANDARD if abs(measured / rate - 1) < RATE_TOLERANCE]
    if not near:
        return 0.0

    def miss(rate: float) -> float:
        away = time - place / rate
        return float(np.std(away))

    best = min(near, key=lambda rate: abs(measured / rate - 1))
    whole = min(near, key=lambda rate: (rate != round(rate, 1), abs(measured / rate - 1)))
    return best if miss(best) * FIT_RATIO < miss(whole) else whole


def _note(motion: MotionClip, rate: float) -> str:
    wanted = int(np.floor(motion.duration * rate + SAME_MOMENT)) + 1
    if len(motion) == wanted:
        return ""
    return (
        f"the motion's {len(motion)} frames are uneven in time: {wanted} are made, at {rate:.5g} a second; "
        "choose another rate with --fps"
    )
