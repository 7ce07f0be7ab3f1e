import av
import numpy as np
import pytest
from PIL import Image

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
