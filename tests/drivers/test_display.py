"""A frame is shown as the video's container and stream say."""

import itertools
import struct
from fractions import Fraction

import av
import numpy as np
import pytest

from conftest import CASES
from mimaface.drivers import open_motion
from mimaface.drivers.video import video_frames, video_pictures
from mimaface.protocol.errors import InvalidInput, NoFaceFound
from mimaface.protocol.rotation import matrix_to_head_angles, quaternion_to_matrix

ONE = 1 << 16
RED, GREEN, BLUE, GREY = (220, 30, 30), (30, 200, 40), (30, 40, 220), (128, 128, 128)


def quarters(width=96, height=64):
    """Red above left, green above right, blue below left, grey below right."""
    image = np.zeros((height, width, 3), np.uint8)
    image[: height // 2, : width // 2], image[: height // 2, width // 2 :] = RED, GREEN
    image[height // 2 :, : width // 2], image[height // 2 :, width // 2 :] = BLUE, GREY
    return image


def film(path, image, matrix=None, container="mp4", codec="libx264", pixels="yuv420p", **values):
    with av.open(str(path), "w", format=container) as output:
        stream = output.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = image.shape[1], image.shape[0], pixels
        for name, value in values.items():
            setattr(stream.codec_context, name, value)
        if matrix is not None:
            stream.set_display_matrix(matrix)
        for index in range(4):
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts = index
            output.mux(stream.encode(frame))
        output.mux(stream.encode())
    return path


def corners(image):
    """The names of the colours above left, above right, below left, below right."""
    colours = {"red": RED, "green": GREEN, "blue": BLUE, "grey": GREY}
    height, width = image.shape[:2]
    found = []
    for row, column in itertools.product((height // 4, 3 * height // 4), (width // 4, 3 * width // 4)):
        found.append(min(colours, key=lambda name: np.abs(image[row, column].astype(int) - colours[name]).sum()))
    return found


# where a pixel (right, down) goes: right' = a·right + c·down, down' = b·right + d·down
@pytest.mark.parametrize(
    ("a", "b", "c", "d", "shown"),
    [
        (1, 0, 0, 1, "red green blue grey"),
        (-1, 0, 0, 1, "green red grey blue"),
        (1, 0, 0, -1, "blue grey red green"),
        (-1, 0, 0, -1, "grey blue green red"),
        (0, 1, -1, 0, "blue red grey green"),  # a phone held upright: turned clockwise
        (0, -1, 1, 0, "green grey red blue"),
        (0, 1, 1, 0, "red blue green grey"),
        (0, -1, -1, 0, "grey green blue red"),
    ],
)
def test_display_matrices_turn_and_mirror(tmp_path, a, b, c, d, shown):
    matrix = [a * ONE, b * ONE, 0, c * ONE, d * ONE, 0, 0, 0, 1 << 30]
    frames = [image for _, image in video_frames(film(tmp_path / "a.mp4", quarters(), matrix))]
    assert len(frames) == 4
    assert frames[0].shape == ((64, 96, 3) if a else (96, 64, 3))
    assert corners(frames[0]) == shown.split()


def test_a_slanted_matrix_turns_about_its_angle(tmp_path):
    turn = np.radians(30)  # clockwise on the screen
    a, b, c, d = (round(value * ONE) for value in (np.cos(turn), np.sin(turn), -np.sin(turn), np.cos(turn)))
    path = film(tmp_path / "a.mp4", quarters(128, 128), [a, b, 0, c, d, 0, 0, 0, 1 << 30])
    image = next(video_frames(path))[1]
    assert image.shape[0] == pytest.approx(128 * (np.cos(turn) + np.sin(turn)), abs=1.5)
    middle = np.array(image.shape[1::-1]) / 2
    for name, place in ((RED, (-30, -30)), (GREEN, (30, -30)), (BLUE, (-30, 30))):
        column, row = middle + np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]) @ place
        assert np.abs(image[int(row), int(column)].astype(int) - name).max() < 25


@pytest.mark.parametrize(("shape", "size"), [("4/3", (64, 128)), ("1/2", (128, 96)), ("1", (64, 96))])
def test_pixels_that_are_not_square_are_stretched(tmp_path, shape, size):
    from fractions import Fraction

    path = film(tmp_path / "a.mkv", quarters(), container="matroska", sample_aspect_ratio=Fraction(shape))
    image = next(video_frames(path))[1]
    assert image.shape[:2] == size
    assert corners(image) == ["red", "green", "blue", "grey"]


@pytest.mark.parametrize("full", [1, 2])
@pytest.mark.parametrize("space", [1, 5])
def test_ranges_and_matrices_of_colours_are_heeded(tmp_path, full, space):
    with av.open(str(tmp_path / "a.mp4"), "w") as output:
        stream = output.add_stream("libx264", rate=25, options={"crf": "1"})
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv444p"
        stream.codec_context.color_range, stream.codec_context.colorspace = full, space
        frame = av.VideoFrame.from_ndarray(np.full((64, 64, 3), (200, 80, 40), np.uint8), format="rgb24")
        frame = frame.reformat(format="yuv444p", dst_colorspace=space, dst_color_range=full)
        frame.color_range, frame.colorspace = full, space
        output.mux(stream.encode(frame))
        output.mux(stream.encode())
    np.testing.assert_allclose(next(video_frames(tmp_path / "a.mp4"))[1][32, 32], (200, 80, 40), atol=4)


@pytest.mark.parametrize(
    ("width", "height", "primaries", "matrix"),
    [(1280, 32, 2, 1), (32, 578, 2, 1), (720, 32, 2, 5), (64, 64, 2, 5), (64, 64, 1, 1), (1280, 32, 6, 5)],
)
def test_a_film_that_tells_no_matrix_has_the_one_that_players_take(tmp_path, width, height, primaries, matrix):
    """Large films without tags, as screen recorders and editors write them, had other colours than in any player, up to 27 levels."""
    with av.open(str(tmp_path / "a.mp4"), "w") as output:
        stream = output.add_stream("libx264", rate=25, options={"crf": "1"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv444p"
        stream.codec_context.color_primaries = primaries
        frame = av.VideoFrame.from_ndarray(np.full((height, width, 3), (200, 80, 40), np.uint8), format="rgb24")
        frame = frame.reformat(format="yuv444p", dst_colorspace=matrix, dst_color_range=1)
        frame.colorspace = 2
        output.mux(stream.encode(frame))
        output.mux(stream.encode())
    np.testing.assert_allclose(next(video_frames(tmp_path / "a.mp4"))[1][16, 16], (200, 80, 40), atol=4)


@pytest.mark.parametrize(
    ("ending", "codec", "pixels"),
    [
        ("mov", "prores_ks", "yuva444p10le"), ("mov", "qtrle", "argb"), ("mov", "png", "rgba"), ("mkv", "ffv1", "yuva420p"),
        ("webm", "libvpx-vp9", "yuva420p"),
    ],
)
def test_a_film_s_alpha_is_kept(tmp_path, ending, codec, pixels):
    """What is see-through was shown in whatever colour lies there."""
    image = np.dstack([quarters(), np.full((64, 96), 255, np.uint8)])
    image[:, 72:, 3] = 0
    path = tmp_path / f"a.{ending}"
    with av.open(str(path), "w") as output:
        stream = output.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = 96, 64, pixels
        output.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgba")))
        output.mux(stream.encode())
    ((_, picture),) = video_pictures(path)
    np.testing.assert_array_equal(picture.alpha[:, [8, 60, 84]], np.broadcast_to([255, 255, 0], (64, 3)))
    np.testing.assert_allclose(picture.image[16, [16, 60, 84]], [RED, GREEN, GREY], atol=6)


def perceptual(light):
    """The PQ signal of linear light, 1 is a white of 203 cd/m² (SMPTE ST 2084, ITU-R BT.2408)."""
    power = (light * 203 / 10000) ** 0.1593017578125
    return ((0.8359375 + 18.8515625 * power) / (1 + 18.6875 * power)) ** 78.84375


BT2020_OF_BT709 = np.array([[0.6274, 0.3293, 0.0433], [0.0691, 0.9195, 0.0114], [0.0164, 0.0880, 0.8956]])  # ITU-R BT.2087


@pytest.mark.parametrize("colour", [(200, 120, 90), (40, 90, 180), (128, 128, 128), (255, 255, 255)])
def test_films_of_high_range_and_wide_gamut_have_the_colours_of_a_viewer(tmp_path, colour):
    """Skin was grey in the frames of telephones' HDR films, of references and of sources."""
    light = BT2020_OF_BT709 @ np.where((shown := np.array(colour) / 255) <= 0.04045, shown / 12.92, ((shown + 0.055) / 1.055) ** 2.4)
    signal = np.broadcast_to(np.rint(perceptual(light) * 255).astype(np.uint8), (64, 64, 3))
    bt2020, codes = av.video.reformatter.Colorspace(9), {"color_primaries": 9, "color_trc": 16, "colorspace": 9}
    path = tmp_path / "hdr.mkv"
    with av.open(str(path), "w") as output:
        stream = output.add_stream("libx265", rate=25, options={"x265-params": "log-level=0:lossless=1"})
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv444p10le"
        for name, value in codes.items():
            setattr(stream.codec_context, name, value)
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(signal), format="rgb24")
        output.mux(stream.encode(frame.reformat(format="yuv444p10le", dst_colorspace=bt2020)))
        output.mux(stream.encode())
    ((_, found),) = video_frames(path)
    np.testing.assert_allclose(found[20:40, 20:40].mean(axis=(0, 1)), colour, atol=8)


def test_a_mirrored_selfie_is_followed_upright():
    clip = open_motion(CASES / "selfie_mirrored.mp4")
    angles = np.degrees(matrix_to_head_angles(quaternion_to_matrix(clip.head_quat)))
    assert np.abs(angles[:, 2]).max() < 10, "it was turned by 180 degrees once"
    assert angles[:, 0].min() == pytest.approx(-12.2, abs=2)
    assert angles[:, 0].max() == pytest.approx(14.4, abs=2)
    assert clip.valid[:, 0].all()


@pytest.mark.parametrize(
    ("name", "container", "codec"),
    [
        ("a.mts", "mpegts", "libx264"),
        ("a.3gp", "3gp", "mpeg4"),
        ("a.wmv", "asf", "wmv2"),
        ("a.flv", "flv", "flv"),
        ("a.webm", "webm", "libvpx-vp9"),
        ("a.vob", "mpeg", "mpeg2video"),
        ("a.without_a_name_for_it", "matroska", "mpeg4"),
        ("named.csv.avi", "avi", "mjpeg"),
    ],
)
def test_videos_are_known_by_content(tmp_path, name, container, codec):
    if codec not in av.codecs_available:
        pytest.skip(f"PyAV has no {codec}")
    path = film(tmp_path / name, quarters(), None, container, codec, "yuvj420p" if codec == "mjpeg" else "yuv420p")
    with pytest.raises(Exception, match="no face found in any of 4 frames"):
        open_motion(path)
    assert corners(next(video_frames(path))[1]) == ["red", "green", "blue", "grey"]


def test_texts_and_lists_of_files_are_no_videos_and_a_picture_is_read_as_one(tmp_path):
    still = tmp_path / "still.png"
    from PIL import Image

    Image.fromarray(quarters()).save(still)
    (tmp_path / "list.mp4").write_text("ffconcat version 1.0\nfile still.png\n")
    (tmp_path / "stream.m3u8").write_bytes(b"#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1:9/a.ts\n\xff\x01")
    with pytest.raises(NoFaceFound, match=r"still\.png"):
        open_motion(still)
    for path in (tmp_path / "list.mp4", tmp_path / "stream.m3u8"):
        with pytest.raises(InvalidInput, match=r"cannot be read as a video|kind of file is not known"):
            open_motion(path)


def test_huge_frames_are_refused_before_they_are_decoded(tmp_path):
    colours = b"\0\0\0\xff\xff\xff"
    content = b"GIF89a" + struct.pack("<HHBBB", 16000, 16000, 0x80, 0, 0) + colours
    content += b"," + struct.pack("<HHHHB", 0, 0, 16000, 16000, 0) + b"\x02\x02\x4c\x01\x00;"
    (tmp_path / "bomb.gif").write_bytes(content)
    with pytest.raises(InvalidInput, match="16000 × 16000 pixels are too large"):
        open_motion(tmp_path / "bomb.gif")


@pytest.mark.parametrize(("shape", "size"), [(1, (96, 64)), (Fraction(10, 11), (96, 70)), (Fraction(16, 15), (102, 64))])
def test_interlaced_frames_have_no_combs(tmp_path, shape, size):
    """Films of NTSC had them, as their pixels are narrow and their lines were stretched first."""
    image = np.zeros((64, 96, 3), np.uint8)
    image[::2, :48], image[1::2, 48:] = 255, 255  # what moved between the two fields
    with av.open(str(tmp_path / "a.mts"), "w", format="mpegts") as output:
        stream = output.add_stream("libx264", rate=25, options={"crf": "1", "x264-params": "interlaced=1"})
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        stream.codec_context.sample_aspect_ratio = shape
        frame = av.VideoFrame.from_ndarray(image, format="rgb24")
        output.mux(stream.encode(frame))
        output.mux(stream.encode())
    shown = next(video_frames(tmp_path / "a.mts"))[1].astype(int)
    assert shown.shape[1::-1] == size
    assert np.abs(np.diff(shown[:, :, 0], axis=0)).max() < 60
    assert shown[:, :40].mean() > 200
    assert shown[:, 56:].mean() < 50
