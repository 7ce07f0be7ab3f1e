import numpy as np

from mimaface.geometry.distances import bounds, distances


def test_distances_are_those_of_numpy_to_the_bit():
    one, other = np.random.default_rng(0).normal(size=(2, 500, 3))
    np.testing.assert_array_equal(distances(one, other, 3), np.linalg.norm(one - other, axis=1))
    np.testing.assert_array_equal(distances(one, other, 2), np.linalg.norm(one[:, :2] - other[:, :2], axis=1))


def test_bounds_hold_all_points_and_touch_some():
    points = np.array([[3.0, -2.0, 9.0], [-1.5, 4.0, 9.0], [0.0, 0.0, -9.0]])
    assert bounds(points) == (-1.5, -2.0, 3.0, 4.0)
