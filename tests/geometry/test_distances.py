import numpy as np
import pytest
from scipy.ndimage import distance_transform_edt

from mimaface.geometry.distances import bounds, distances, further_inside, nearest_outside, squared_depth
from mimaface.geometry.strips import STRIP, row_strips, same, with_around


@pytest.mark.parametrize("seed", range(40))
def test_distances_are_those_of_scipy_to_the_bit(seed):
    random = np.random.default_rng(seed)
    region = random.uniform(size=random.integers(1, 40, 2)) < random.uniform(0.3, 0.999)
    region[0, 0] = False  # of a picture that is all region scipy says nothing of use
    wanted = distance_transform_edt(region)
    np.testing.assert_array_equal(np.sqrt(squared_depth(region)), wanted)
    for reach in (float(random.choice(wanted.ravel())), 0.0, random.uniform(0, 20)):  # the first is a distance that occurs
        np.testing.assert_array_equal(further_inside(region, reach), wanted > reach)
    rows, columns = (random.integers(0, size, (3, 4)) for size in region.shape)
    row, column, away = nearest_outside(region, rows, columns)
    assert not region[row, column].any()
    np.testing.assert_array_equal(away, wanted[rows, columns])


def test_a_picture_that_is_all_region_is_deep_everywhere():
    assert further_inside(np.ones((6, 9), bool), 14.9).all()


def test_strips_cover_every_row_once():
    height = 2 * STRIP + 7
    assert [row for rows in row_strips(height) for row in range(height)[rows]] == list(range(height))
    for rows in row_strips(height):
        near, inner = with_around(rows, 5, height)
        assert list(range(height)[near][inner]) == list(range(height)[rows])


def test_pictures_are_the_same_to_their_last_row():
    picture = np.zeros((STRIP + 3, 4, 3), np.uint8)
    other = picture.copy()
    assert same(picture, other) and not same(picture, other[:-1])
    other[-1, -1, -1] = 1
    assert not same(picture, other)


def test_distances_are_those_of_numpy_to_the_bit():
    one, other = np.random.default_rng(0).normal(size=(2, 500, 3))
    np.testing.assert_array_equal(distances(one, other, 3), np.linalg.norm(one - other, axis=1))
    np.testing.assert_array_equal(distances(one, other, 2), np.linalg.norm(one[:, :2] - other[:, :2], axis=1))


def test_bounds_hold_all_points_and_touch_some():
    points = np.array([[3.0, -2.0, 9.0], [-1.5, 4.0, 9.0], [0.0, 0.0, -9.0]])
    assert bounds(points) == (-1.5, -2.0, 3.0, 4.0)
