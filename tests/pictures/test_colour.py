"""Colour encodings of picture files: frames match a colour-managed viewer."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageCms
from PIL.PngImagePlugin import PngInfo

from conftest import CASES, HOPPER
from mimaface.pictures import encode_png, load_picture, open_picture
from mimaface.pictures.profiles import Encoding, matrix_profile

D65, D50 = (0.3127, 0.3290), (0.3457, 0.3585)
P3 = (0.680, 0.320, 0.265, 0.690, 0.150, 0.060)
ADOBE = (0.64, 0.33, 0.21, 0.71, 0.15, 0.06)
PROPHOTO = (0.7347, 0.2653, 0.1596, 0.8404, 0.0366, 0.0001)
BT2020 = (0.708, 0.292, 0.170, 0.797, 0.131, 0.046)
SRGB_TO_XYZ = np.array([[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]])
D65_TO_D50 = np.array(
    [[1.0478112, 0.0228866, -0.0501270], [0.0295424, 0.9904844, -0.0170491], [-0.0092345, 0.0150436, 0.7521316]]
)


@pytest.fixture(scope="module")
def photo():
    return np.asarray(Image.open(HOPPER).convert("RGB").resize((160, 160)))


def light(photo):
    share = photo / 255
    return np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)


def seen_in(photo, primaries, white, gamma):
    """Returns the photograph's colours as numbers of another colour space, computed from its definition."""
    x, y = np.reshape(primaries, (3, 2)).T
    columns = np.stack([x / y, np.ones(3), (1 - x - y) / y])
    point = np.array([white[0] / white[1], 1, (1 - sum(white)) / white[1]])
    to_xyz = columns * np.linalg.solve(columns, point)
    xyz = light(photo) @ SRGB_TO_XYZ.T
    if white == D50:
        xyz = xyz @ D65_TO_D50.T
    return np.rint(255 * np.clip(xyz @ np.linalg.inv(to_xyz).T, 0, 1) ** (1 / gamma)).astype(np.uint8)


def saved(picture, kind="PNG", **options):
    out = io.BytesIO()
    (picture if isinstance(picture, Image.Image) else Image.fromarray(picture)).save(out, kind, **options)
    return out.getvalue()


def off(content, photo):
    return float(np.abs(load_picture(content).astype(int) - photo).mean())


@pytest.mark.parametrize(
    ("primaries", "white", "gamma"), [(P3, D65, 2.2), (ADOBE, D65, 563 / 256), (PROPHOTO, D50, 1.8), (BT2020, D65, 2.4)],
    ids=["p3", "adobe", "prophoto", "bt2020"],
)  # fmt: skip
@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP", "AVIF", "JPEG"])
def test_profiles_of_wide_gamuts(photo, kind, primaries, white, gamma):
    stored = seen_in(photo, primaries, white, gamma)
    assert np.abs(stored.astype(int) - photo).mean() > 4, "the numbers are others, or this proves nothing"
    options = {
        "WEBP": {"lossless": True},
        "AVIF": {"quality": 100, "subsampling": "4:4:4"},
        "JPEG": {"quality": 100, "subsampling": 0},
    }.get(kind, {})
    content = saved(stored, kind, icc_profile=matrix_profile(Encoding(primaries, white, gamma)), **options)
    assert off(content, photo) < (0.8 if kind in ("PNG", "TIFF", "WEBP") else 2.0)


def test_the_reported_file():
    plain = load_picture(HOPPER)
    small = np.asarray(Image.fromarray(plain).resize((384, 450), Image.Resampling.LANCZOS)).astype(int)
    assert np.abs(load_picture(CASES / "wide_gamut_a.jpg") - small).mean() < 3  # JPEG alone; 11 without conversion


def test_srgb_profiles_leave_pixels_alone(photo):
    content = saved(photo, icc_profile=ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    np.testing.assert_array_equal(load_picture(content), photo)


@pytest.mark.parametrize("options", [{}, {"icc_profile": b"damaged" * 30}], ids=["none", "damaged"])
def test_without_a_profile_that_can_be_used_it_is_srgb(photo, options):
    content = saved(photo, **options)
    np.testing.assert_array_equal(load_picture(content), photo)
    assert ["profile" in text for text in open_picture(content)[0].warnings] == [True] * bool(options)


def test_a_profile_of_another_kind_is_not_used(photo):
    profile = matrix_profile(Encoding(P3, D65, 2.2))
    picture = open_picture(saved(Image.fromarray(photo).convert("CMYK"), "TIFF", icc_profile=profile))[0]
    assert "is for RGB and not for CMYK" in picture.warnings[0]
    np.testing.assert_array_equal(picture.image, load_picture(saved(Image.fromarray(photo).convert("CMYK"), "TIFF")))


def grey_profile(gamma):
    """Returns a grey profile with an exponent as curve: the header and tags of ICC.1:2001."""
    curve = b"curv\0\0\0\0" + struct.pack(">IH", 1, round(gamma * 256)) + b"\0\0"
    white = b"XYZ \0\0\0\0" + struct.pack(">3i", 63190, 65536, 54061)
    text = b"desc\0\0\0\0" + struct.pack(">I", 5) + b"grey\0" + bytes(78) + b"\0"
    parts, place, table, data = ((b"desc", text), (b"wtpt", white), (b"kTRC", curve)), 128 + 4 + 36, b"", b""
    for name, value in parts:
        table += name + struct.pack(">II", place + len(data), len(value))
        data += value + bytes(-len(value) % 4)
    header = struct.pack(">I4s4s4s4s4s", place + len(data), b"none", b"\x02\x10\0\0", b"mntr", b"GRAY", b"XYZ ") + bytes(12)
    header += b"acsp" + bytes(28) + struct.pack(">3i", 63190, 65536, 54061) + bytes(48)
    return header + struct.pack(">I", 3) + table + data


@pytest.mark.parametrize("deep", [False, True], ids=["8 bits", "16 bits"])
@pytest.mark.parametrize("gamma", [1.0, 1.8])
def test_grey_profiles_bring_back_the_grey_and_nothing_but_grey(photo, gamma, deep):
    grey = np.asarray(Image.fromarray(photo).convert("L"))
    share = light(grey) ** (1 / gamma)
    stored = np.rint(65535 * share).astype(np.uint16) if deep else np.rint(255 * share).astype(np.uint8)
    image = load_picture(saved(stored, icc_profile=grey_profile(gamma)))
    assert (image == image[..., :1]).all()
    lit = grey > 40  # eight linear bits cannot separate the darkest levels
    assert np.abs(image[..., 0].astype(int) - grey)[lit].max() <= (2 if deep else 5)


def test_chunks_of_png(photo):
    def chunk(name, data):
        info = PngInfo()
        info.add(name, data)
        return info

    places = b"".join(struct.pack(">I", round(value * 100000)) for value in (*D65, *P3))
    both = chunk(b"cHRM", places)
    both.add(b"gAMA", struct.pack(">I", 100000))
    assert off(saved(seen_in(photo, P3, D65, 1.0), pnginfo=both), photo) < 2.5
    assert (
        off(saved(np.rint(255 * light(photo)).astype(np.uint8), pnginfo=chunk(b"gAMA", struct.pack(">I", 100000))), photo) < 2.5
    )
    usual = saved(photo, pnginfo=chunk(b"gAMA", struct.pack(">I", 45455)))
    np.testing.assert_array_equal(load_picture(usual), photo)
    stored = seen_in(photo, P3, D65, 2.2)
    assert off(saved(stored, pnginfo=chunk(b"cICP", bytes([12, 4, 0, 1]))), photo) < 0.8
    over = saved(stored, pnginfo=chunk(b"cICP", bytes([12, 4, 0, 1])), icc_profile=matrix_profile(Encoding(ADOBE, D65, 1.0)))
    assert off(over, photo) < 0.8, "cICP says more than a profile"
    narrow = saved(np.rint(16 + photo * (219 / 255)).astype(np.uint8), pnginfo=chunk(b"cICP", bytes([1, 13, 0, 0])))
    assert off(narrow, photo) < 0.8


def test_perceptual_quantizer(photo):
    """An HDR still with paper white at 203 cd/m²."""
    nits = 203 * light(photo) / 10000
    root = nits**0.1593017578125
    signal = ((0.8359375 + 18.8515625 * root) / (1 + 18.6875 * root)) ** 78.84375
    info = PngInfo()
    info.add(b"cICP", bytes([1, 16, 0, 1]))
    assert off(saved(np.rint(255 * signal).astype(np.uint8), pnginfo=info), photo) < 1.5


def test_codes_of_avif(photo):
    content = bytearray(saved(seen_in(photo, P3, D65, 2.2), "AVIF", quality=100, subsampling="4:4:4"))
    place = content.index(b"colrnclx") + 8
    content[place : place + 4] = struct.pack(">HH", 12, 4)
    assert off(bytes(content), photo) < 2.0


def test_cameras_that_say_adobe_rgb_in_exif_alone(photo):
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0xA001] = 65535
    exif.get_ifd(0x8769)[0xA005] = {1: "R03"}
    assert off(saved(seen_in(photo, ADOBE, D65, 563 / 256), "JPEG", quality=100, subsampling=0, exif=exif), photo) < 1.5
    plain = Image.Exif()
    plain.get_ifd(0x8769)[0xA001] = 1
    np.testing.assert_array_equal(load_picture(saved(photo, exif=plain)), photo)


def test_lab_and_cmyk(photo):
    lab = ImageCms.profileToProfile(
        Image.fromarray(photo), ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), outputMode="LAB"
    )
    assert off(saved(lab, "TIFF"), photo) < 2
    assert off(saved(Image.fromarray(photo).convert("CMYK"), "TIFF"), photo) == 0


def test_frames_say_that_they_are_srgb(photo):
    content = encode_png(photo)
    chunk = b"sRGB\0"
    assert struct.pack(">I", 1) + chunk + struct.pack(">I", zlib.crc32(chunk)) in content
    np.testing.assert_array_equal(load_picture(content), photo)
    assert encode_png(photo) == content


@pytest.mark.parametrize("shape", [(1, 1, 3), (7, 5, 4), (64, 33, 3), (3, 200, 4)])
def test_every_shape_of_frame_is_read_back_to_the_byte(shape):
    """Read by an independent decoder, from views with every memory order."""
    whole = np.random.default_rng(1).integers(0, 256, (2 * shape[0], shape[1], shape[2]), np.uint8)
    for picture in (whole[::2], whole[: shape[0]][::-1, ::-1], np.asfortranarray(whole[: shape[0]])):
        with Image.open(io.BytesIO(encode_png(picture))) as opened:
            assert opened.mode == ("RGB" if shape[2] == 3 else "RGBA")
            np.testing.assert_array_equal(np.asarray(opened), picture)


def test_a_frame_as_a_folder_of_them_takes_no_more_bytes_than_pillows(photo):
    expected = io.BytesIO()
    Image.fromarray(photo).save(expected, "PNG", compress_level=1)
    assert len(encode_png(photo)) < 1.05 * len(expected.getvalue())
