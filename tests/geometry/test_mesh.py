"""Mesh adjacency and harmonic extension."""

import numpy as np
import pytest

from mimaface.geometry.mesh import adjacency, edges, harmonic_extension

# a strip of four triangles over the vertices 0 … 5; vertex 6 is in none
STRIP = np.array([[0, 1, 2], [1, 3, 2], [2, 3, 4], [3, 5, 4]])


def test_neighbours_share_a_side():
    near = adjacency(STRIP, 7).toarray()
    expected = np.zeros((7, 7))
    for a, b in ((0, 1), (0, 2), (1, 2), (1, 3), (2, 3), (2, 4), (3, 4), (3, 5), (4, 5)):
        expected[a, b] = expected[b, a] = 1
    np.testing.assert_array_equal(near, expected)
    first, second = edges(STRIP)
    assert len(first) == 24 and {*zip(first.tolist(), second.tolist())} == {*zip(*map(np.ndarray.tolist, np.nonzero(near)))}


@pytest.mark.parametrize("channels", [1, 3])
def test_unknown_vertices_have_the_mean_of_their_neighbours(channels):
    random = np.random.default_rng(0)
    values, known = random.uniform(0, 255, (7, channels)), np.array([1, 0, 0, 0, 0, 1, 1], bool)
    found = harmonic_extension(values, known, STRIP)
    np.testing.assert_array_equal(found[known & (np.arange(7) < 6)], values[[0, 5]])
    near = adjacency(STRIP, 7).toarray()
    for vertex in range(1, 5):
        np.testing.assert_allclose(found[vertex], found[near[vertex] > 0].mean(0), atol=0.05)
    np.testing.assert_array_equal(found[6], np.median(values[known], axis=0), "of no triangle")


def test_where_nothing_is_known_all_is_the_default():
    found = harmonic_extension(np.zeros((7, 3)), np.zeros(7, bool), STRIP, [170.0, 130.0, 115.0])
    np.testing.assert_array_equal(found, np.tile([170.0, 130.0, 115.0], (7, 1)))
    assert not harmonic_extension(np.ones((7, 1)), np.zeros(7, bool), STRIP).any()
