"""Time columns in every notation keep the duration of the take."""

import numpy as np
import pytest

from conftest import CASES
from mimaface.drivers import ReadingSettings, open_motion
from mimaface.drivers.timecode import seconds_of
from mimaface.protocol.errors import InvalidInput, InvalidMotion


def times(texts, title="Timecode", rate=0.0):
    texts = list(texts)
    seconds, notes = seconds_of(texts, list(range(2, len(texts) + 2)), "a.csv", title, rate)
    return seconds - seconds[0], notes


def clock(frames, count, step=1.0, start=0, separator=":"):
    """Returns ``frames`` timecodes with ``count`` frames per second and a step of ``step`` frames."""
    for index in range(frames):
        seconds, field = divmod(start * count + round(index * step * 1000) / 1000, count)
        seconds = int(seconds)
        yield f"{seconds // 3600 % 24:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}{separator}{field:06.3f}"


@pytest.mark.parametrize("count", [10, 12, 15, 24, 25, 30, 48, 50, 60, 100, 120, 240])
@pytest.mark.parametrize("start", [0, 36000, 86399])
def test_a_frame_field_may_count_anything(count, start):
    seconds, notes = times(clock(3 * count, count, start=start))
    np.testing.assert_allclose(np.diff(seconds), 1 / count, atol=1e-6)
    assert notes == []


@pytest.mark.parametrize(("count", "step"), [(60, 2.0), (60, 2.5), (60, 1.001), (30, 0.5), (24, 0.5), (60, 4.0), (30, 2.0), (100, 4.0)])
def test_the_field_may_count_more_or_less_than_frames(count, step):
    seconds, notes = times(clock(round(3 * count / step), count, step))
    np.testing.assert_allclose(np.diff(seconds), step / count, atol=1e-5)
    assert notes == []


@pytest.mark.parametrize("count", [24, 25, 30, 60])
def test_dropped_frames_do_not_hide_the_count(count):
    codes = [code for index, code in enumerate(clock(5 * count, count)) if index % 7 not in (3, 4)]
    kept = np.array([index for index in range(5 * count) if index % 7 not in (3, 4)])
    np.testing.assert_allclose(times(codes)[0], kept / count, atol=1e-6)


def test_uneven_app_takes_stay_in_sixtieths():
    """Live Link Face writes frames at uneven sub-frames and loses some, also across the ends of seconds."""
    random = np.random.default_rng(3)
    place = np.cumsum(random.choice([1.0, 2.0, 2.0, 2.0, 4.0], 300) + random.normal(0, 0.15, 300))
    codes = [f"17:09:{int(at // 60):02d}:{at % 60:06.3f}" for at in place]
    np.testing.assert_allclose(times(codes)[0], (place - place[0]) / 60, atol=1e-4)


@pytest.mark.parametrize(
    ("name", "step", "rows"), [("fps30_frame_field", 1 / 30, 60), ("fps24_frame_field", 1 / 24, 48), ("fps60_counted_in_30", 1 / 60, 120)]
)
def test_the_takes_of_other_writers_are_even(name, step, rows):
    clip = open_motion(CASES / f"{name}.csv")
    assert len(clip) == rows
    np.testing.assert_allclose(np.diff(clip.time), step, atol=5e-5)
    assert clip.meta["warnings"] == []


@pytest.mark.parametrize(("count", "labels"), [(30, 2), (60, 4)])
@pytest.mark.parametrize("separator", [";", ":"])
def test_drop_frame_labels_are_no_holes(count, labels, separator):
    """At 29.97 frames per second labels 0 and 1 are skipped at every minute except each tenth; that is no gap."""
    codes = []
    for frame in range(count * 5, count * 64):
        label = frame + labels * (frame >= count * 60)
        codes.append(f"01:{label // count // 60:02d}:{label // count % 60:02d}{separator}{label % count:02d}")
    seconds, _ = times(codes)
    np.testing.assert_allclose(np.diff(seconds), 1.001 / count, atol=1e-6)


@pytest.mark.parametrize(
    ("text", "title", "step"),
    [
        (lambda i: f"10:00:{i / 30:06.3f}", "Timecode", 1 / 30),
        (lambda i: f"10:00:{i / 30:09.6f}", "Timecode", 1 / 30),
        (lambda i: f"{i // 1500}:{i / 25 % 60:05.2f}", "time", 1 / 25),
        (lambda i: f"10:00:{i // 25:02d}.{i % 25:02d}", "Timecode", 1 / 25),
        (lambda i: f"10:00:{i // 25:02d}:{i % 25 * 40:03d}", "Timecode", 1 / 25),
        (lambda i: f"00:{i // 24:02d}:{i % 24:02d}", "Timecode", 1 / 24),
        (lambda i: f"2024-05-01T10:00:{i / 40:06.3f}Z", "timestamp", 1 / 40),
        (lambda i: f"2024-05-01 10:00:{i / 40:06.3f}+02:00", "timestamp", 1 / 40),
        (lambda i: f"10:00:{i / 25:06.3f}".replace(".", ","), "Zeit", 1 / 25),
        (lambda i: f"{i / 60:.6f}", "time", 1 / 60),
        (lambda i: f"{1.7e9 + i / 30:.4f}", "Timestamp", 1 / 30),
        (lambda i: f"{i * 40}", "time", 1 / 25),
        (lambda i: f"{i * 40}", "Time (ms)", 1 / 25),
        (lambda i: f"{i * 20000}", "timestamp", 1 / 50),
        (lambda i: f"{i * 20000000}", "timestamp", 1 / 50),
        (lambda i: f"{i * 0.5}", "seconds", 0.5),
        (lambda i: f"{0.4 + i / 24 / 86400:.12f}", "time", 1 / 24),
        (lambda i: f"{(11, 12)[i > 49]}:{59 * (i < 50):02d}:{(58 + i / 25) % 60:06.3f} {'AP'[i > 49]}M", "time", 1 / 25),
        (lambda i: f"05/01/2024 10:00:{i / 25:06.3f}", "time", 1 / 25),
        (lambda i: f"1/5/24 10:00:{i / 25:06.3f}", "time", 1 / 25),
        (lambda i: f"01.05.2024 10:00:{i / 25:06.3f}".replace(".", ","), "Zeit", 1 / 25),
        (lambda i: f"01.05.2024 10:00:{i / 25:06.3f}", "Zeit", 1 / 25),
        (lambda i: f"2024/05/01 10:00:{i / 25:06.3f}", "time", 1 / 25),
        (lambda i: f"20240501T1000{i / 25:06.3f}Z", "time", 1 / 25),
        (lambda i: f"10.00.{i // 25:02d}.{i % 25:02d}", "Timecode", 1 / 25),
        (lambda i: f"{i / 25:.3f}s", "time", 1 / 25),
        (lambda i: f"{i * 40} ms", "time", 1 / 25),
        (lambda i: f"{i * 400} ms", "time", 0.4),
    ],
)
def test_clocks_and_plain_numbers_are_understood(text, title, step):
    seconds, _ = times([text(index) for index in range(100)], title)
    np.testing.assert_allclose(np.diff(seconds), step, atol=1.1e-3)
    assert seconds[-1] == pytest.approx(99 * step, abs=2e-3)


def test_frame_numbers_and_short_takes_are_open_and_say_so():
    for texts, title in (([str(index) for index in range(100)], "Frame"), (list(clock(20, 30)), "Timecode")):
        seconds, notes = times(texts, title)
        np.testing.assert_allclose(np.diff(seconds), 1 / 60, atol=1e-9)
        assert len(notes) == 1
        assert "--timecode-rate" in notes[0]
        seconds, notes = times(texts, title, rate=30)
        np.testing.assert_allclose(np.diff(seconds), 1 / 30, atol=1e-9)
        assert notes == []


@pytest.mark.parametrize(("rate", "count"), [(24000 / 1001, 24), (30000 / 1001, 30), (25, 25)])
def test_the_rate_can_be_given_exactly(rate, count):
    np.testing.assert_allclose(np.diff(times(clock(3 * count, count), rate=rate)[0]), 1 / rate, atol=1e-6)


def test_a_rate_that_cannot_be_is_named():
    with pytest.raises(InvalidMotion, match="goes up to 29"):
        times(clock(60, 30), rate=24)
    for wrong in (-1, 5000, float("nan"), "fast"):
        with pytest.raises(InvalidInput, match="timecode rate"):
            ReadingSettings.from_wire({"timecode_rate": wrong})


def test_the_rate_reaches_the_reader():
    clip = open_motion(CASES / "pose.csv", reading=ReadingSettings.from_wire({"timecode_rate": 30}))
    np.testing.assert_allclose(np.diff(clip.time), 2 / 30, atol=1e-9)
