"""Detection of standard frame rates from steps with missing and late frames."""

import av
import numpy as np
import pytest

from conftest import CASES
from mimaface.drivers import open_motion
from mimaface.drivers.rates import standard_rate
from mimaface.protocol.motion import MotionClip

RATES = [10, 12, 12.5, 15, 24000 / 1001, 24, 25, 30000 / 1001, 30, 48, 50, 60000 / 1001, 60, 120]


def rate_of(time):
    return standard_rate(MotionClip.at_rest(np.asarray(time, float)))


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("frames", [24, 400])
def test_a_standard_rate_is_found_with_every_third_frame_missing(rate, frames):
    random = np.random.default_rng(frames)
    kept = np.sort(random.permutation(frames)[: frames * 2 // 3])
    found, words = rate_of(kept / rate)
    assert found == pytest.approx(rate, abs=1e-9)
    assert f"{rate:.5g} a second" in words and "--fps" in words
    assert rate_of(np.arange(frames) / rate) == (pytest.approx(rate, abs=1e-9), "")


@pytest.mark.parametrize("rate", [24, 25, 30, 50, 60])
def test_clocks_that_shake_round_or_drift_do_not_matter(rate):
    random = np.random.default_rng(1)
    time = np.arange(200) / rate
    for shaken in (time + random.normal(0, 0.04 / rate, 200), np.round(time, 3), time * 1.0004):
        assert rate_of(shaken)[0] == pytest.approx(rate, rel=1.2e-3)


def test_uneven_frames_of_no_rate_lose_none_and_even_ones_keep_theirs():
    random = np.random.default_rng(2)
    found, words = rate_of(np.cumsum(random.uniform(0.03, 0.06, 100)))
    assert (found, "uneven" in words) == (24.0, True)
    assert rate_of(np.arange(30) / 14)[0] == pytest.approx(14)
    assert rate_of([0.0])[0] == 25


def test_times_in_whole_milliseconds_lose_no_frame_and_are_not_called_uneven():
    """As Matroska and WebM round them: one frame less was announced than was made."""
    clip = MotionClip.at_rest(np.round(np.arange(12) / 24, 3))
    assert standard_rate(clip) == (24.0, "") and len(clip.at_rate(24.0)) == 12


def test_the_cases_are_at_24_and_60():
    with av.open(str(CASES / "variable_rate.mp4")) as container:
        times = [float(frame.time) for frame in container.decode(video=0)]
    clip = MotionClip.at_rest(np.array(times))
    assert standard_rate(clip)[0] == 24
    assert len(clip.at_rate(24)) == 93, "one picture for every 1/24 s of 3.83 s"
    take = open_motion(CASES / "dropped_frames_60.csv")
    assert standard_rate(take)[0] == 60
    assert len(take.at_rate(60)) == 240
