"""Pinhole camera: projection and its inverse."""

import numpy as np

from mimaface.geometry.camera import Camera
from mimaface.geometry.interpolation import pixels_under


def test_pixels_with_their_depth_are_the_points_that_were_seen():
    camera = Camera(500.0, (130.0, 90.0), 256, 192).window(20.0, 10.0, 2.0, 300, 200)
    points = np.random.default_rng(0).normal(0, 0.1, (4, 5, 3)) - [0, 0, 0.7]
    seen = camera.project(points)
    np.testing.assert_allclose(camera.unproject(seen[..., :2], seen[..., 2]), points, atol=1e-12)
    np.testing.assert_allclose(camera.unproject([camera.centre[0], camera.centre[1]], 2.0), [0, 0, -2])
    np.testing.assert_allclose(camera.unproject([camera.centre[0] + 1000.0, camera.centre[1]], 2.0), [2, 0, -2], err_msg="x to the right")


def test_places_outside_a_picture_have_its_border():
    rows, columns = pixels_under(np.array([[0.5, 1.5, 9.0], [3.99, 2.0, 9.0], [-3.0, 1.0, 9.0], [70.0, 70.0, 9.0]]), 3, 5)
    assert rows.tolist() == [1, 2, 1, 2] and columns.tolist() == [0, 3, 0, 4]
