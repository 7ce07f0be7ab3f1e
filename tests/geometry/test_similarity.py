"""Least-squares similarities between two point sets."""

import numpy as np
import pytest
from scipy.stats import special_ortho_group

from mimaface.geometry.similarity import Similarity


@pytest.mark.parametrize("size", [2, 3])
def test_the_similarity_that_made_the_points_is_found(size):
    random = np.random.default_rng(size)
    rotation, offset = special_ortho_group(size, seed=1).rvs(), random.normal(size=size)
    points = random.normal(size=(9, size))
    found = Similarity.between(points, 2.5 * points @ rotation.T + offset)
    assert found.scale == pytest.approx(2.5)
    np.testing.assert_allclose(found.rotation, rotation, atol=1e-12)
    np.testing.assert_allclose(found.offset, offset, atol=1e-12)
    np.testing.assert_allclose(found(points), points @ found.matrix[:, :size].T + found.matrix[:, size], atol=1e-12)


@pytest.mark.parametrize("size", [2, 3])
def test_a_mirror_image_is_not_mirrored_back_and_no_other_similarity_is_nearer(size):
    random = np.random.default_rng(size)
    points = random.normal(size=(9, size))
    target = points * [-1, *[1] * (size - 1)]
    found = Similarity.between(points, target)
    assert np.linalg.det(found.rotation) == pytest.approx(1)
    error = np.sum((found(points) - target) ** 2)
    for seed in range(20):
        other = Similarity(found.scale, special_ortho_group(size, seed=seed).rvs() @ found.rotation, found.offset)
        assert np.sum((other(points) - target) ** 2) >= error
