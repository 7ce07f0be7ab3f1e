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
