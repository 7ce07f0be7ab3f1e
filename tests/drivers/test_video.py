import re
from fractions import Fraction

import av
import numpy as np
import pytest
from PIL import Image

from conftest import COLLINS
from mimaface.drivers import open_motion
from mimaface.drivers.video import frame_count, video_frames
from mimaface.face.head import ASSETS
from mimaface.output.sinks import contact_sheet, open_sink
from mimaface.protocol.errors import InvalidInput, NoFaceFound


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    """Eight shifted copies of the portrait, with uneven timestamps."""
    path = tmp_path_factory.mktemp("film") / "film.mp4"
    image = np.asarray(Image.open(ASSETS / "portrait.png").convert("RGB"))
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=30, options={"bf": "0"})
        stream.width = stream.height = 512
        stream.pix_fmt = "yuv420p"
        for index, ticks in enumerate((0, 1, 2, 5, 6, 7, 11, 12)):
            frame = av.VideoFrame.from_ndarray(np.roll(image, 2 * index, axis=1), format="rgb24")
            frame.pts = ticks
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def test_real_timestamps_are_kept(film):
    times = [seconds for seconds, _ in video_frames(film)]
    np.testing.assert_allclose(np.array(times) * 30, [0, 1, 2, 5, 6, 7, 11, 12], atol=0.02)


def test_a_video_becomes_motion(film):
    seen = []
    clip = open_motion(film, progress=lambda *words: seen.append(words))
    assert len(clip) == 8
    assert clip.valid[:, 0].all()
    assert [words for words in seen if words[0] == "reading"] == [("reading", count, 8) for count in range(1, 9)]
    assert [words for words in seen if words[0] == "following"][1:] == [("following", count, 8) for count in range(1, 9)]
    assert [words for words in seen if words[0] == "aligning"] == [("aligning", count, 8) for count in range(1, 9)]
    np.testing.assert_allclose(np.diff(clip.landmarks[:, :468, 0].mean(1)), 2, atol=0.7)


def test_what_is_no_video_is_named(tmp_path, film):
    fake = tmp_path / "fake.mp4"
    fake.write_text("not a video")
    with pytest.raises(InvalidInput, match=r"fake\.mp4: cannot be read as a video"):
        open_motion(fake)
    sound = tmp_path / "sound.mkv"
    with av.open(str(sound), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), layout="mono")
        frame.rate = 8000
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    with pytest.raises(InvalidInput, match="no speech is heard"):
        open_motion(sound)
    empty = tmp_path / "grey.mp4"
    with open_sink(empty, 25, False) as sink:
        for index in range(3):
            sink.write(index, np.full((128, 128, 3), 90, np.uint8))
    with pytest.raises(NoFaceFound, match="3 frames"):
        open_motion(empty)


def test_sinks_write_whole_files_or_none(tmp_path):
    image = np.random.default_rng(0).integers(0, 255, (65, 67, 3), np.uint8)
    target = tmp_path / "out.mp4"
    with pytest.raises(RuntimeError), open_sink(target, 24, False) as sink:
        sink.write(0, image)
        raise RuntimeError
    assert list(tmp_path.iterdir()) == [], "an unfinished film is removed"
    with open_sink(target, 24, False) as sink:
        sink.write(0, image)
    assert next(video_frames(target))[1].shape == (64, 66, 3)
    with pytest.raises(InvalidInput, match="exists"), open_sink(target, 24, False):
        pass
    with open_sink(tmp_path / "frames", 24, False) as sink:
        sink.write(3, image)
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "frames" / "000003.png")), image)
    with pytest.raises(InvalidInput, match="already holds frames"), open_sink(tmp_path / "frames", 24, False):
        pass
    with pytest.raises(InvalidInput, match="kind of output"), open_sink(tmp_path / "a.gif", 24, False):
        pass


def test_contact_sheet_is_in_rows():
    sheet = contact_sheet([np.full((20, 10, 3), value, np.uint8) for value in (10, 20, 30)], 2, 10)
    assert sheet.shape == (40, 20, 3)
    assert sheet[30, 5, 0] == 30
    assert sheet[30, 15, 0] == 255


@pytest.mark.parametrize(("name", "codec", "expected"), [
    ("a.mp4", "libx264", 9), ("a.mkv", "mjpeg", 9), ("a.avi", "mjpeg", 9), ("a.webm", "libvpx", 9), ("a.gif", "gif", 9), ("a.ts", "mpeg2video", 9),
    ("a.mjpeg", "mjpeg", 0),
])  # fmt: skip
def test_the_container_tells_how_many_frames_there_are(tmp_path, name, codec, expected):
    with av.open(str(tmp_path / name), "w") as container:
        stream = container.add_stream(codec, rate=25)
        stream.width, stream.height = 64, 48
        stream.pix_fmt = {"mjpeg": "yuvj420p", "gif": "rgb8"}.get(codec, "yuv420p")
        for index in range(9):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.full((48, 64, 3), 20 * index, np.uint8), format="rgb24")))
        container.mux(stream.encode())
    assert frame_count(tmp_path / name) == expected


def write(path, pictures, codec="libx264", rate=25, **options):
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate)
        stream.height, stream.width = pictures[0].shape[:2]
        stream.pix_fmt = {"mjpeg": "yuvj420p"}.get(codec, "yuv420p")
        for picture in pictures:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())


def greys(count, size=(64, 64)):
    return [np.full((*size, 3), 2 * index, np.uint8) for index in range(count)]


def test_recordings_one_after_the_other_in_a_file_follow_each_other(tmp_path):
    """Everything after the first was left out without a word, as its times begin again."""
    for name, size in (("a.ts", (64, 64)), ("b.ts", (48, 48))):
        write(tmp_path / name, greys(12, size), "mpeg2video")
    both = tmp_path / "both.ts"
    both.write_bytes((tmp_path / "a.ts").read_bytes() + (tmp_path / "b.ts").read_bytes())
    found = list(video_frames(both))
    assert len(found) in (23, 24), "FFmpeg drops the frame that it held back where the size changes"
    np.testing.assert_allclose([seconds for seconds, _ in found], np.arange(len(found)) / 25, atol=1e-4)
    assert {image.shape for _, image in found} == {(64, 64, 3)}


def test_a_film_whose_clock_begins_below_zero_begins_at_its_first_frame(tmp_path):
    """Its frames were as late as that is long, twice, as after a recording that had ended."""
    with av.open(str(tmp_path / "a.ts"), "w") as container:
        stream = container.add_stream("mpeg2video", rate=25)
        stream.width = stream.height = 64
        stream.codec_context.time_base = stream.time_base = Fraction(1, 25)
        for index, picture in enumerate(greys(12)):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = 2**33 // 3600 - 38 + index, Fraction(1, 25)  # 90000 a second in 33 bits: it begins anew soon
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    with av.open(str(tmp_path / "a.ts")) as container:
        assert next(container.decode(video=0)).time < -0.1
    np.testing.assert_allclose([seconds for seconds, _ in video_frames(tmp_path / "a.ts")], np.arange(12) / 25, atol=1e-3)


def test_of_several_picture_tracks_the_largest_is_followed(tmp_path):
    path = tmp_path / "two.mkv"
    with av.open(str(path), "w") as container:
        streams = [container.add_stream("libx264", rate=25) for _ in range(2)]
        for stream, size in zip(streams, (32, 64)):
            stream.height, stream.width, stream.pix_fmt = size, size, "yuv420p"
        for stream in streams:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((stream.height, stream.width, 3), np.uint8), format="rgb24")))
            container.mux(stream.encode())
    assert next(video_frames(path))[1].shape == (64, 64, 3)


@pytest.fixture(scope="module")
def turning():
    photo = Image.open(COLLINS).convert("RGB").resize((160, 160))
    return [np.asarray(photo.rotate(angle, fillcolor=(90, 90, 90))) for angle in np.linspace(-5, 5, 30)]


@pytest.mark.parametrize(("name", "front"), [("a.mp4", True), ("a.mkv", False)])
def test_a_film_that_was_cut_off_is_said(tmp_path, turning, name, front):
    path = tmp_path / name
    with av.open(str(path), "w", options={"movflags": "faststart"} if front else {}) as container:
        stream = container.add_stream("mjpeg", rate=25)
        stream.height, stream.width, stream.pix_fmt = 160, 160, "yuvj420p"
        for picture in turning:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    assert open_motion(path).meta["warnings"] == []
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    (note,) = open_motion(path).meta["warnings"]
    assert re.fullmatch(r"its frames end after 0\.[4-7] of 1\.2 s: the file may have been cut off", note)


def test_pictures_in_a_row_have_no_clock_which_is_said(tmp_path, turning):
    write(tmp_path / "a.mjpeg", turning[:4], "mjpeg")
    clip = open_motion(tmp_path / "a.mjpeg")
    np.testing.assert_allclose(clip.time, np.arange(4) / 25, atol=1e-6)
    assert clip.meta["warnings"] == ["the file has no clock: taken for 25 frames a second"]
