"""Film and folder outputs: colours, rate, sound, and deletion of old frames."""

import subprocess
import sys

import av
import numpy as np
import pytest
from PIL import Image

from conftest import HOPPER
from mimaface.output.sinks import exact_rate, open_sink
from mimaface.output.sound import Sound, has_sound
from mimaface.pictures import encode_png
from mimaface.protocol.errors import NotWritable

TONE = 440.0


FULL = """import resource, signal, sys, numpy as np  # a disk on which no file has room for more than 0.19 megabytes
from pathlib import Path
from mimaface.output.sinks import open_sink
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (190_000, 190_000))
random = np.random.default_rng(0)
noise = random.integers(0, 255, (256, 256, 3), np.uint8)
try:
    with open_sink(Path(sys.argv[1]), 24, False) as sink:
        for index, frame in enumerate(FRAMES): sink.write(index, frame)
except Exception as error:
    print(type(error).__name__, error)
"""


@pytest.fixture(scope="module")
def photo():
    return np.asarray(Image.open(HOPPER).convert("RGB").resize((128, 160), Image.Resampling.LANCZOS))


@pytest.fixture(scope="module")
def driver(tmp_path_factory):
    """3 s of pictures and sound at 44 100 samples per second: one second each of silence, a tone, and silence."""
    path = tmp_path_factory.mktemp("driver") / "driver.mp4"
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=25)
        video.width = video.height = 64
        audio = container.add_stream("aac", rate=44100, layout="mono")
        for index in range(75):
            container.mux(video.encode(av.VideoFrame.from_ndarray(np.full((64, 64, 3), index, np.uint8), format="rgb24")))
        time = np.arange(3 * 44100) / 44100
        tone = np.where((time >= 1) & (time < 2), 0.5 * np.sin(2 * np.pi * TONE * time), 0).astype(np.float32)[None]
        frame = av.AudioFrame.from_ndarray(tone, format="fltp", layout="mono")
        frame.sample_rate = 44100
        container.mux(audio.encode(frame))
        container.mux(audio.encode())
        container.mux(video.encode())
    return path


def written(path, photo, frames=6, rate=24.0, sound=None):
    with open_sink(path, rate, False, sound) as sink:
        for index in range(frames):
            sink.write(index, photo)
    return path


def test_films_say_bt709_and_are(tmp_path, photo):
    with av.open(str(written(tmp_path / "a.mp4", photo))) as container:
        context = container.streams.video[0].codec_context
        assert (context.color_primaries, context.color_trc, context.colorspace, context.color_range) == (1, 1, 1, 1)
        frame = next(container.decode(video=0))
    planes = [np.asarray(frame.planes[i]).reshape(-1, frame.planes[i].line_size) for i in range(3)]
    y = planes[0][:160, :128].astype(float)
    cb, cr = (np.repeat(np.repeat(plane[:80, :64], 2, 0), 2, 1).astype(float) - 128 for plane in planes[1:])
    light = (y - 16) * 255 / 219  # ITU-R BT.709 by hand: independent of the writer
    red, blue = light + 1.5748 * cr * 255 / 224, light + 1.8556 * cb * 255 / 224
    green = (light - 0.2126 * red - 0.0722 * blue) / 0.7152
    shown = np.clip(np.stack([red, green, blue], axis=-1), 0, 255)
    assert np.abs(shown.mean((0, 1)) - photo.mean((0, 1))).max() < 1.5
    assert np.abs(shown - photo).mean() < 4


@pytest.mark.parametrize(
    ("rate", "fraction"),
    [(30000 / 1001, (30000, 1001)), (29.97, (30000, 1001)), (23.976, (24000, 1001)), (59.94, (60000, 1001)), (25.0, (25, 1)),
     (24, (24, 1)), (12.5, (25, 2)), (119.88, (120000, 1001))],
)  # fmt: skip
def test_rates_are_exact_fractions(tmp_path, photo, rate, fraction):
    assert (exact_rate(rate).numerator, exact_rate(rate).denominator) == fraction
    if rate < 40:
        with av.open(str(written(tmp_path / "a.mp4", photo, 12, rate))) as container:
            found = container.streams.video[0].average_rate
            assert (found.numerator, found.denominator) == fraction


def loudness(path):
    """Returns the root mean square of each tenth of a second."""
    with av.open(str(path)) as container:
        frames = [(float(frame.time), frame.to_ndarray()) for frame in container.decode(audio=0)]
        rate = container.streams.audio[0].rate
    sound = np.zeros(round(10 * rate))
    for time, samples in frames:
        sound[max(round(time * rate), 0) : max(round(time * rate), 0) + samples.shape[1]] = samples[0]
    step = rate // 10
    return np.sqrt((sound[: len(sound) // step * step].reshape(-1, step) ** 2).mean(1))


@pytest.mark.parametrize(("begin", "frames", "on", "off"), [(0.0, 72, 1.0, 2.0), (0.5, 36, 0.5, 1.5), (1.2, 12, 0.0, 0.5)])
def test_films_have_the_drivers_sound_cut_to_the_shot(tmp_path, photo, driver, begin, frames, on, off):
    path = written(tmp_path / "a.mp4", photo, frames, 24.0, Sound(driver, begin, frames / 24))
    loud = loudness(path)
    times = np.arange(len(loud)) / 10
    inside = (times > on + 0.05) & (times < off - 0.15)
    outside = (times < on - 0.15) | (times > off + 0.1)
    assert loud[inside].min() > 0.3
    assert loud[outside].max(initial=0) < 0.02
    with av.open(str(path)) as container:
        assert float(container.streams.audio[0].duration * container.streams.audio[0].time_base) == pytest.approx(
            frames / 24, abs=0.05
        )
        assert container.streams.video[0].frames == frames


def test_what_has_a_sound(driver, tmp_path, photo):
    assert has_sound(driver)
    assert not has_sound(written(tmp_path / "silent.mp4", photo))
    assert not has_sound(HOPPER)
    assert not has_sound(tmp_path / "absent.mp4")


def test_overwriting_deletes_only_our_frames(tmp_path, photo):
    folder = tmp_path / "frames"
    written(folder, photo, 5)
    Image.new("RGB", (8, 8), (1, 2, 3)).save(folder / "123456.png")
    (folder / "000004.png").rename(folder / "000040.png")
    with open_sink(folder, 24, True) as sink:
        sink.write(0, photo)
    assert sorted(path.name for path in folder.iterdir()) == ["000000.png", "123456.png"]


def test_alpha_is_black_in_a_film(tmp_path, photo):
    alpha = np.full(photo.shape[:2], 255, np.uint8)
    alpha[:, :64] = 0
    with av.open(str(written(tmp_path / "a.mp4", np.dstack([photo, alpha])))) as container:
        shown = next(container.decode(video=0)).to_ndarray(format="rgb24")
    assert shown[:, :56].max() < 12
    assert np.abs(shown[:, 72:].mean((0, 1)) - photo[:, 72:].mean((0, 1))).max() < 4


@pytest.mark.skipif(sys.platform == "win32", reason="file sizes cannot be limited there")
def test_a_film_that_does_not_fit_leaves_nothing(tmp_path):
    script = FULL.replace("FRAMES", "[random.integers(0, 255, (256, 256, 3), np.uint8) for _ in range(40)]")
    done = subprocess.run([sys.executable, "-c", script, tmp_path / "a.mp4"], capture_output=True, text=True, timeout=120)
    assert done.stdout.startswith(f"NotWritable cannot write to {tmp_path / 'a.mp4'}: File too large"), done.stdout + done.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(sys.platform == "win32", reason="file sizes cannot be limited there")
def test_frames_that_do_not_fit_are_an_error_and_those_before_stay(tmp_path):
    """The writing thread reports the error to the rendering thread."""
    script = FULL.replace(
        "FRAMES", "[np.zeros((256, 256, 3), np.uint8)] * 3 + [noise] + [np.zeros((256, 256, 3), np.uint8)] * 40"
    )
    done = subprocess.run([sys.executable, "-c", script, tmp_path / "a"], capture_output=True, text=True, timeout=120)
    assert done.stdout.startswith(f"NotWritable cannot write to {tmp_path / 'a'}: File too large"), done.stdout + done.stderr
    there = sorted(path.name for path in (tmp_path / "a").iterdir())
    assert there[:3] == ["000000.png", "000001.png", "000002.png"] and "000003.png" not in there and len(there) < 10


def test_a_stopped_run_leaves_every_frame_that_it_took(tmp_path, photo):
    with pytest.raises(KeyboardInterrupt), open_sink(tmp_path / "a", 24, False) as sink:
        for index in range(5):
            sink.write(index, photo)
        raise KeyboardInterrupt
    for index in range(5):
        np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "a" / f"{index:06d}.png")), photo)


def test_a_folder_that_is_a_file_is_named(tmp_path, photo):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(NotWritable):
        written(tmp_path / "file" / "out", photo)
    assert encode_png(photo)[:8] == b"\x89PNG\r\n\x1a\n"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
