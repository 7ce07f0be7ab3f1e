"""Watermark: invisibility in decibels, and reading after the processing that films and pictures undergo."""

import numpy as np
import pytest
from PIL import Image

from conftest import COLLINS, HOPPER
from marking.degraded import as_jpeg, cut, filmed, halved
from mimaface.marking.watermark import Watermark, bits_of, read_watermark

MESSAGE = 0xBEEF


WAYS = {
    "as it is": lambda image: image, "H.264 at crf 28": lambda image: filmed([image] * 3)[-1], "half": halved, "a tenth cut off": cut,
    "JPEG": as_jpeg,
    "all of them": lambda image: halved(cut(filmed([as_jpeg(image)] * 3)[-1])),
}  # fmt: skip


@pytest.fixture(scope="module", params=[COLLINS, HOPPER], ids=["collins", "hopper"])
def photo(request):
    picture = Image.open(request.param).convert("RGB")
    picture.thumbnail((512, 512), Image.Resampling.LANCZOS)
    return np.asarray(picture)


@pytest.fixture(scope="module")
def marked(photo):
    return Watermark(MESSAGE).mark(photo)


def test_it_is_faint_and_the_same_every_time(photo, marked):
    assert 42 <= 10 * np.log10(255**2 / np.mean((marked.astype(float) - photo) ** 2)) < 48
    assert np.abs(marked.astype(int) - photo).max() < 16
    np.testing.assert_array_equal(Watermark(MESSAGE).mark(photo), marked)


@pytest.mark.parametrize("way", WAYS)
def test_it_is_read_after(marked, way):
    found = read_watermark([WAYS[way](marked)])
    assert found is not None and found.message == MESSAGE
    assert found.size == (0.5 if way in ("half", "all of them") else 1.0)


def test_a_face_is_left_nearly_as_it_is_and_the_picture_is_still_read_from_a_film(photo):
    height, width = photo.shape[:2]
    face = np.array([0.38 * width, 0.3 * height, 0.62 * width, 0.6 * height])
    marked = Watermark(MESSAGE, face).mark(photo)
    change = (marked.astype(int) - photo) ** 2
    inside, all_of_it = change[int(0.4 * height) : int(0.5 * height), int(0.4 * width) : int(0.6 * width)], change
    assert inside.mean() < 0.2 * all_of_it.mean()
    assert read_watermark(filmed([marked] * 3)).message == MESSAGE


def test_a_picture_without_has_none(photo):
    assert read_watermark([photo]) is None


def test_what_is_see_through_stays_as_it_is(photo):
    height, width = photo.shape[:2]
    alpha = np.zeros((height, width, 1), np.uint8)
    alpha[height // 4 :] = 255
    picture = np.concatenate([photo, alpha], axis=2)
    marked = Watermark(MESSAGE).mark(picture)
    np.testing.assert_array_equal(marked[: height // 4], picture[: height // 4])
    np.testing.assert_array_equal(marked[..., 3], picture[..., 3])
    assert read_watermark([np.ascontiguousarray(marked[height // 4 :, :, :3])]).message == MESSAGE


@pytest.mark.parametrize("shape", [(1, 1, 3), (9, 70, 4), (100, 8, 3), (333, 517, 3)])
@pytest.mark.parametrize("value", [0, 255])
def test_odd_sizes_and_plain_pictures(shape, value):
    picture = np.full(shape, value, np.uint8)
    marked = Watermark(MESSAGE).mark(picture)
    assert marked.shape == shape and marked.dtype == np.uint8
    assert np.abs(marked.astype(int) - picture).max() <= 12, "clipped, and never around"


def test_messages_differ_in_every_bit_that_differs():
    assert len({tuple(bits_of(message)) for message in range(0, 65536, 257)}) == 256


@pytest.mark.parametrize("face", [(100, 140, 220, 300), (-60, -40, 90, 130)], ids=["inside", "cut off"])
def test_a_face_is_all_that_a_watermark_remembers_of_a_picture(face):
    """A share for each pixel of 4096² would be 67 MB. Beside the face the watermark has its full strength, on it less."""
    image = np.random.default_rng(1).integers(0, 256, (400, 360, 3), np.uint8)
    spares = Watermark(MESSAGE, np.array(face, float))
    marked, plain = spares.mark(image), Watermark(MESSAGE).mark(image)
    (rows, columns), changed = spares._around, (marked != plain).any(2)
    assert 0 < spares._share.size <= 0.5 * image.size / 3
    assert changed[rows, columns].any()
    changed[rows, columns] = False
    assert not changed.any()
