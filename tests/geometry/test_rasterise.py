import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mimaface.geometry.rasterise import rasterise, vertex_normals
from slow_rasterise import rasterise_reference


def scene(seed: int, on_grid: bool) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    points = random.uniform(-4, 24, (14, 3))
    points[:, 2] = random.uniform(0.4, 3, 14)
    if on_grid:  # corners on pixel centres, so that shared edges meet pixel centres
        points[:, :2] = np.round(points[:, :2]) + 0.5
    return points, random.integers(0, 14, (18, 3))


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.booleans())
def test_fast_and_slow_agree(seed, on_grid):
    points, triangles = scene(seed, on_grid)
    fast, slow = rasterise(points, triangles, 19, 21), rasterise_reference(points, triangles, 19, 21)
    np.testing.assert_array_equal(fast.triangle, slow.triangle)
    np.testing.assert_allclose(fast.barycentric, slow.barycentric, atol=1e-5)
    np.testing.assert_allclose(fast.depth, slow.depth, rtol=1e-5)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.integers(0, 18), st.integers(1, 19))
def test_some_rows_are_those_of_the_whole_picture(seed, first, count):
    points, triangles = scene(seed, False)
    whole, rows = rasterise(points, triangles, 19, 21), (first, min(first + count, 19))
    part = rasterise(points, triangles, 19, 21, rows)
    for name in ("triangle", "barycentric", "depth"):
        np.testing.assert_array_equal(getattr(part, name), getattr(whole, name)[rows[0] : rows[1]])


def test_a_shared_edge_belongs_to_one_side():
    points = np.array([[0.5, 0.5, 1], [8.5, 0.5, 1], [8.5, 8.5, 1], [0.5, 8.5, 1]], float)
    one = rasterise(points, np.array([[0, 1, 2]]), 10, 10).covered
    other = rasterise(points, np.array([[0, 2, 3]]), 10, 10).covered
    assert not (one & other).any()
    assert (one | other).sum() == 64


def test_interpolation_is_perspective_correct():
    corners = np.array([[-1, -1, -2], [1, -1, -2], [0, 1.5, -6]], float)  # camera frame
    points = np.stack([20 + 20 * corners[:, 0] / -corners[:, 2], 20 - 20 * corners[:, 1] / -corners[:, 2], -corners[:, 2]], 1)
    raster = rasterise(points, np.array([[0, 1, 2]]), 40, 40)
    places = raster.interpolate(np.array([[0, 1, 2]]), corners)
    row, column = np.argwhere(raster.covered).T
    seen = places[row, column]
    np.testing.assert_allclose(20 + 20 * seen[:, 0] / -seen[:, 2], column + 0.5, atol=1e-3)
    np.testing.assert_allclose(20 - 20 * seen[:, 1] / -seen[:, 2], row + 0.5, atol=1e-3)


def test_same_bytes_every_time_and_near_triangles_are_dropped():
    points, triangles = scene(3, False)
    assert (
        rasterise(points, triangles, 30, 30).barycentric.tobytes() == rasterise(points, triangles, 30, 30).barycentric.tobytes()
    )
    points[:, 2] = -1
    assert not rasterise(points, triangles, 30, 30).covered.any()


def test_normals_of_a_cube_point_out():
    corners = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], float)
    faces = np.array(
        [
            [0, 1, 3],
            [0, 3, 2],
            [4, 6, 7],
            [4, 7, 5],
            [0, 4, 5],
            [0, 5, 1],
            [2, 3, 7],
            [2, 7, 6],
            [0, 2, 6],
            [0, 6, 4],
            [1, 5, 7],
            [1, 7, 3],
        ]
    )
    assert ((vertex_normals(corners, faces) * corners).sum(1) > 0.9).all()


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_normals_have_the_bits_of_the_plain_sum(kind):
    random = np.random.default_rng(6)
    vertices = random.normal(size=(200, 3)).astype(kind)
    triangles = random.integers(0, 200, (600, 3)).astype(np.int32)
    corners = vertices[triangles]
    faces = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normals = np.zeros_like(vertices)
    for corner in range(3):
        for axis in range(3):
            normals[:, axis] += np.bincount(triangles[:, corner], faces[:, axis], len(vertices))
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
    np.testing.assert_array_equal(vertex_normals(vertices, triangles), normals)
