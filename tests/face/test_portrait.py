import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from conftest import COLLINS
from mimaface.face.portrait import Portrait
from mimaface.pictures import load_picture, load_pictures
from mimaface.protocol.errors import InvalidImage, InvalidInput, NoFaceFound


def png_header_only(width: int, height: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
        + chunk(b"IDAT", zlib.compress(b"0"))
    )


def saved(image: Image.Image, kind: str, **options) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def test_a_giant_is_refused_from_its_header():
    with pytest.raises(InvalidImage, match=r"30000 x 30000|larger than"):  # its pixels are damaged: reading them would say that
        load_picture(png_header_only(30_000, 30_000))


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "CMYK", "P", "LA"])
def test_every_colour_mode_becomes_rgb(mode):
    picture = Image.open(COLLINS).convert("RGB").convert(mode)
    kind = "TIFF" if mode == "CMYK" else "PNG"
    assert load_picture(saved(picture, kind)).shape == (512, 512, 3)


def test_orientation_is_applied():
    picture = Image.open(COLLINS).convert("RGB").crop((0, 0, 300, 200))
    exif = Image.Exif()
    exif[0x0112] = 6
    assert load_picture(saved(picture, "JPEG", exif=exif)).shape == (300, 200, 3)


def test_bad_pictures_are_named(tmp_path):
    text = tmp_path / "notes.jpg"
    text.write_text("this is not a picture")
    with pytest.raises(InvalidImage, match=r"notes\.jpg: not a picture"):
        Portrait.open(text)
    whole = COLLINS.read_bytes()
    for content, words in (
        (b"", "the file is empty"),
        (whole[: len(whole) // 3], "damaged"),
        (saved(Image.new("RGB", (40, 40)), "PNG"), "too small"),
    ):
        with pytest.raises(InvalidImage, match=words):
            load_picture(content)
    with pytest.raises(InvalidImage, match="cannot read"):
        load_picture(tmp_path / "absent.png")
    with pytest.raises(InvalidImage, match="not a picture"):
        load_picture(saved(Image.new("RGB", (100, 100)), "PPM"))


def test_no_face_and_no_such_face():
    noise = np.random.default_rng(0).integers(0, 255, (300, 300, 3), np.uint8)
    with pytest.raises(NoFaceFound, match="no face found"):
        Portrait.open(saved(Image.fromarray(noise), "PNG"))
    with pytest.raises(NoFaceFound, match="one face is"):
        Portrait.open(COLLINS, face=1)


def test_the_largest_face_is_first_and_the_others_can_be_chosen():
    picture = Image.open(COLLINS).convert("RGB").crop((100, 0, 360, 260))
    group = Image.new("RGB", (900, 420), (90, 100, 110))
    group.paste(picture.resize((300, 300)), (20, 60))
    group.paste(picture.resize((420, 420)), (430, 0))
    content = saved(group, "PNG")
    assert Portrait.open(content, 0).fit.landmarks[:, 0].mean() > 450 > Portrait.open(content, 1).fit.landmarks[:, 0].mean()


def test_folders_are_read_in_the_order_of_names(tmp_path):
    with pytest.raises(InvalidInput, match="holds no pictures"):
        load_pictures(tmp_path)
    for name, width in (("b.png", 80), ("a.webp", 90), ("c.JPG", 100)):
        Image.new("RGB", (width, 70)).save(tmp_path / name)
    (tmp_path / "notes.txt").write_text("not a picture, and not asked for")
    assert [picture.shape[1] for picture in load_pictures(tmp_path)] == [90, 80, 100]
    with pytest.raises(InvalidInput, match="cannot read"):
        load_pictures(tmp_path / "absent")
