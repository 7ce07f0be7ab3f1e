"""What of a picture differs from another one, kept in place of the picture."""

import numpy as np
import pytest

from mimaface.geometry.strips import STRIP, Changed


@pytest.fixture(scope="module")
def photograph():
    return np.random.default_rng(0).integers(0, 256, (2 * STRIP + 40, 90, 3), np.uint8)


@pytest.mark.parametrize("box", [np.s_[200:530, 10:60], np.s_[0:1, 0:1], np.s_[551:552, 89:90], np.s_[3:3, 0:0]])
def test_a_picture_is_given_back_from_its_changed_part(photograph, box):
    picture = photograph.copy()
    picture[box] += 7  # every pixel of the box, in all channels
    kept = Changed.of(picture, photograph)
    np.testing.assert_array_equal(kept.on(photograph), picture)
    assert kept.pixels.shape == picture[box].shape or picture[box].size == 0 == kept.pixels.size
    assert kept.pixels.base is None and not np.shares_memory(kept.on(photograph), photograph), "the whole picture is let go"


def test_a_picture_with_an_alpha_is_kept_whole(photograph):
    picture = np.dstack([photograph, photograph[..., 0]])
    np.testing.assert_array_equal(Changed.of(picture, photograph).on(photograph), picture)


@pytest.mark.parametrize("part", [np.s_[2:9, 3:20], np.s_[0:40, 0:30], np.s_[30:40, 0:30], np.s_[8:12, 6:7]])
def test_a_part_of_a_kept_picture_is_that_of_the_whole(part):
    random = np.random.default_rng(3)
    photograph = random.integers(0, 256, (40, 30, 3), np.uint8)
    picture = photograph.copy()
    picture[5:13, 4:11] ^= 1
    kept = Changed.of(picture, photograph)
    np.testing.assert_array_equal(kept.on(photograph, part), picture[part])
    seen_through = Changed.of(np.dstack([picture, picture[..., 0]]), photograph)
    np.testing.assert_array_equal(seen_through.on(photograph, part)[..., :3], picture[part])
