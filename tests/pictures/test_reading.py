"""Depth, orientation, alpha, pages, sizes and damage of picture files."""

import io
import os
import resource
import struct
import subprocess
import sys
import threading

import numpy as np
import pytest
from PIL import Image, TiffImagePlugin

from conftest import CASES, COLLINS, HOPPER
from mimaface.pictures import LARGEST_SIDE, load_picture, open_picture
from mimaface.protocol.errors import InvalidImage


@pytest.fixture(scope="module")
def photo():
    return np.asarray(Image.open(HOPPER).convert("RGB").resize((160, 200)))


@pytest.fixture(scope="module")
def grey(photo):
    return np.asarray(Image.fromarray(photo).convert("L"))


def saved(picture, kind="PNG", **options):
    out = io.BytesIO()
    (picture if isinstance(picture, Image.Image) else Image.fromarray(picture)).save(out, kind, **options)
    return out.getvalue()


def test_the_reported_scan():
    plain, deep = load_picture(CASES / "grey.jpg").astype(int), load_picture(CASES / "grey16.png").astype(int)
    assert np.abs(deep - plain).mean() < 2  # of JPEG


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "JPEG2000"])
def test_sixteen_bits_of_grey(grey, kind):
    options = {"irreversible": False} if kind == "JPEG2000" else {}
    image = load_picture(saved(grey.astype(np.uint16) * 257, kind, **options))
    np.testing.assert_array_equal(image, np.repeat(grey[..., None], 3, axis=2))


@pytest.mark.parametrize("scale", [1.0, 255.0, 65535.0])
def test_fractions(grey, scale):
    picture = open_picture(saved((grey / 255 * scale).astype(np.float32), "TIFF"))[0]
    white = max(float(grey.max()) / 255 * scale, 1)
    assert np.abs(picture.image[..., 0].astype(int) - grey).max() <= 1
    assert bool(picture.warnings) == (scale > 1), white


def test_fractions_with_holes_and_lights(grey):
    values = (grey / 255).astype(np.float32)
    values[0, :4] = [np.nan, np.inf, -np.inf, 2.5]
    picture = open_picture(saved(values, "TIFF"))[0]
    assert picture.image[0, :4, 0].tolist() == [0, 255, 0, 255]
    assert np.abs(picture.image[1:, :, 0].astype(int) - grey[1:]).max() <= 1
    assert "taken for white" in picture.warnings[0]


@pytest.mark.parametrize(("bits", "kind"), [(12, "PNG"), (10, "TIFF"), (12, "TIFF")])
def test_a_depth_that_only_the_values_tell(grey, bits, kind):
    full = np.concatenate([grey, np.full((1, grey.shape[1]), 255, np.uint8)])
    picture = open_picture(saved(np.rint(full / 255 * (2**bits - 1)).astype(np.uint16), kind))[0]
    assert np.abs(picture.image[..., 0].astype(int) - full).max() <= 1
    assert f"{2**bits - 1} is taken for white" in picture.warnings[0]


def test_whole_numbers_of_32_bits(grey):
    assert np.abs(load_picture(saved(grey.astype(np.int32) * 257, "TIFF"))[..., 0].astype(int) - grey).max() <= 1


def test_black_may_be_the_large_value(grey):
    info = TiffImagePlugin.ImageFileDirectory_v2()
    content = bytearray(saved(65535 - grey.astype(np.uint16) * 257, "TIFF", tiffinfo=info))
    place = content.index(struct.pack("<HHIH", 262, 3, 1, 1))
    content[place + 8 : place + 10] = struct.pack("<H", 0)
    np.testing.assert_array_equal(load_picture(bytes(content))[..., 0], grey)


def test_grey_of_two_channels(grey):
    """A 16-bit grey picture with alpha, as defined by the PNG specification."""
    import zlib

    alpha = np.full_like(grey, 255)
    alpha[:20] = 0
    pixels = np.stack([grey, alpha], axis=-1).astype(">u2") * 257
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", grey.shape[1], grey.shape[0], 16, 4, 0, 0, 0)
    content = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    picture = open_picture(content)[0]
    np.testing.assert_array_equal(picture.alpha, alpha)
    np.testing.assert_array_equal(picture.image[20:, :, 1], grey[20:])


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
@pytest.mark.parametrize("turn", range(1, 9))
def test_every_orientation_in_every_format(photo, kind, turn):
    stored = {
        1: photo, 2: photo[:, ::-1], 3: photo[::-1, ::-1], 4: photo[::-1], 5: photo.swapaxes(0, 1), 6: np.rot90(photo),
        7: photo[::-1, ::-1].swapaxes(0, 1), 8: np.rot90(photo, -1),
    }[turn]  # fmt: skip
    exif = Image.Exif()
    exif[0x0112] = turn
    image = load_picture(saved(np.ascontiguousarray(stored), kind, exif=exif))
    assert image.shape == photo.shape
    assert np.abs(image.astype(int) - photo).mean() < 6


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF", "AVIF", "JPEG2000"])
def test_alpha_is_kept(photo, kind):
    alpha = np.full(photo.shape[:2], 255, np.uint8)
    alpha[:50] = np.linspace(0, 255, 50).astype(np.uint8)[:, None]
    options = {"WEBP": {"lossless": True, "exact": True}, "AVIF": {"quality": 100}}.get(kind, {})
    picture = open_picture(saved(np.dstack([photo, alpha]), kind, **options))[0]
    assert np.abs(picture.alpha.astype(int) - alpha).max() <= 2
    assert np.abs(picture.image[50:].astype(int) - photo[50:]).mean() < 2
    half = np.rint(photo[:50] * (alpha[:50, :, None] / 255) + 128 * (1 - alpha[:50, :, None] / 255))
    assert np.abs(picture.image[:50] - half).mean() < 3
    assert open_picture(saved(np.dstack([photo, np.full_like(alpha, 255)]), kind, **options))[0].alpha is None


def test_palettes_and_keys_that_are_see_through(photo, grey):
    colours = Image.fromarray(photo).quantize(64)
    picture = open_picture(saved(colours, transparency=5))[0]
    np.testing.assert_array_equal(picture.alpha == 0, np.asarray(colours) == 5)
    np.testing.assert_array_equal(picture.image[picture.alpha == 255], np.asarray(colours.convert("RGB"))[picture.alpha == 255])
    picture = open_picture(saved(grey.astype(np.uint16) * 257, transparency=int(grey[0, 0]) * 257))[0]
    np.testing.assert_array_equal(picture.alpha == 0, grey == grey[0, 0])


def test_a_picture_that_is_all_see_through_is_shown(photo):
    picture = open_picture(saved(np.dstack([photo, np.zeros(photo.shape[:2], np.uint8)])))[0]
    assert picture.alpha is None
    np.testing.assert_array_equal(picture.image, photo)
    assert "see-through" in picture.warnings[0]


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF", "GIF", "AVIF"])
def test_the_first_of_several_is_used_and_said(photo, kind):
    first = Image.fromarray(photo)
    picture = open_picture(saved(first, kind, save_all=True, append_images=[Image.new("RGB", first.size)]))[0]
    assert np.abs(picture.image.astype(int) - photo).mean() < 6
    assert picture.warnings == ("the picture holds several pictures: the first is used",)


@pytest.mark.parametrize("kind", ["GIF", "AVIF", "JPEG2000", "BMP"])
def test_other_formats(photo, kind):
    picture = open_picture(saved(photo, kind))[0]
    assert np.abs(picture.image.astype(int) - photo).mean() < 6
    assert not picture.warnings


def test_what_cannot_be_read_says_what_to_do(tmp_path, photo):
    heic = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(100)
    with pytest.raises(InvalidImage, match=r"HEIC pictures cannot be read – save it as JPEG or PNG"):
        load_picture(heic)
    raw = saved(photo, "TIFF", tiffinfo={50706: b"\1\4\0\0"})
    with pytest.raises(InvalidImage, match=r"raw file of a camera – develop it"):
        load_picture(raw)
    colours = np.zeros((80, 80, 3), np.float32)
    head = b"II*\0" + struct.pack("<I", 8)
    tags = [
        (256, 4, 80),
        (257, 4, 80),
        (258, 3, 32),
        (259, 3, 1),
        (262, 3, 2),
        (273, 4, 200),
        (277, 3, 3),
        (279, 4, colours.nbytes),
        (339, 3, 3),
    ]

    def tiff(tags):
        entries = b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in tags)
        return (head + struct.pack("<H", len(tags)) + entries + bytes(4)).ljust(200, b"\0") + colours.tobytes()

    with pytest.raises(InvalidImage, match=r"this kind of TIFF cannot be read – save it with 8 or 16 bits"):
        load_picture(tiff(tags))
    apart = [(258, 3, 16) if tag == 258 else (tag, *rest) for tag, *rest in tags[:-1]] + [(284, 3, 2)]
    with pytest.raises(InvalidImage, match=r"its channels apart cannot be read – save it interleaved"):  # each byte was a pixel
        load_picture(tiff(apart))


def test_files_that_never_end_are_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    for path in ("/dev/zero", tmp_path / "pipe.png", tmp_path):
        answer = []

        def read(path=path, answer=answer):
            try:
                load_picture(path)
            except InvalidImage as error:
                answer.append(str(error))

        thread = threading.Thread(target=read, daemon=True)
        thread.start()
        thread.join(60)
        assert answer and "is not a file – choose a picture file" in answer[0]


def test_large_pictures_are_scaled_down(photo):
    wide = Image.fromarray(photo[:, :, :]).resize((9000, 800))
    picture = open_picture(saved(wide, "JPEG"))[0]
    assert picture.image.shape == (728, LARGEST_SIDE, 3)
    assert picture.warnings == ("the picture: 9000 x 800 pixels are scaled down to 8192 x 728",)
    small = np.asarray(Image.fromarray(picture.image).resize((160, 200)))
    assert np.abs(small.astype(int) - photo).mean() < 4
    alpha = Image.new("L", (9000, 800), 255)
    alpha.paste(0, (0, 0, 4500, 800))
    seen = open_picture(saved(Image.merge("RGBA", (*wide.split(), alpha))))[0]
    assert seen.alpha.shape == (728, LARGEST_SIDE)
    assert seen.alpha[:, 4000].max() == 0 and seen.alpha[:, 4200].min() == 255


@pytest.mark.skipif(sys.platform == "win32", reason="memory cannot be limited there")
def test_too_little_memory_is_a_sentence(tmp_path):
    Image.new("RGB", (14000, 14000), (90, 80, 70)).save(tmp_path / "large.png", compress_level=1)
    script = (
        "import resource, sys, numpy, PIL.Image, PIL.ImageCms\n"
        "from mimaface.pictures import load_picture\n"
        "used = int(open('/proc/self/statm').read().split()[0]) * resource.getpagesize()\n"
        "resource.setrlimit(resource.RLIMIT_AS, (used + 200_000_000, resource.RLIM_INFINITY))\n"
        "try:\n    load_picture(sys.argv[1])\nexcept Exception as error:\n    print(type(error).__name__, error)\n"
    )
    done = subprocess.run([sys.executable, "-c", script, tmp_path / "large.png"], capture_output=True, text=True, timeout=120)
    assert "InvalidImage large.png: there is not enough memory for this picture" in done.stdout, done.stderr
    assert resource.RLIMIT_AS


def test_damaged_exif_leaves_the_picture_and_says_nothing_of_ours(recwarn):
    plain = load_picture(HOPPER)
    small = np.asarray(Image.fromarray(plain).resize((384, 450), Image.Resampling.LANCZOS)).astype(int)
    assert np.abs(load_picture(CASES / "exif_damaged.jpg") - small).mean() < 3
    assert not recwarn.list


@pytest.mark.parametrize("kind", ["TIFF", "JPEG", "PNG", "WEBP", "AVIF", "JPEG2000", "GIF"])
def test_damage_is_a_sentence(photo, kind):
    exif = Image.Exif()
    exif[0x0112] = 6
    exif[0x010F] = "a maker"
    exif.get_ifd(0x8769)[0x9003] = "2020:01:01 00:00:00"
    whole = saved(photo, kind, exif=exif) if kind not in ("GIF", "JPEG2000") else saved(photo, kind)
    random = np.random.default_rng(3)
    for _ in range(150):
        content = bytearray(whole)
        places = np.concatenate([random.integers(0, min(len(content), 600), 6), random.integers(0, len(content), 2)])
        for place in places[: random.integers(1, 8)]:
            content[place] = random.integers(256)
        if kind == "TIFF" and random.random() < 0.5:  # TIFF tags are at the end
            content[-random.integers(1, 300)] = random.integers(256)
        try:
            assert load_picture(bytes(content)).dtype == np.uint8
        except InvalidImage as error:
            assert error.hint


def test_pictures_in_one_file_that_is_cut_after_the_first_show_the_first(photo):
    first, second = (Image.fromarray(picture).convert("P") for picture in (photo, photo[::-1]))
    whole = saved(first, "GIF", save_all=True, append_images=[second])
    shown, said = load_picture(whole), []
    for length in range(len(whole) // 3, len(whole), 61):
        try:
            picture, _ = open_picture(whole[:length])
        except InvalidImage:
            assert not said, "only while the first is not whole"
            continue
        np.testing.assert_array_equal(picture.image, shown)
        said.append(any("several pictures" in warning for warning in picture.warnings))
    assert len(said) > 200 and said[-1]


def test_the_plain_photograph_is_as_it_was():
    np.testing.assert_array_equal(load_picture(COLLINS), np.asarray(Image.open(COLLINS).convert("RGB")))
