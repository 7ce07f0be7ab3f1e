"""Running means against scipy's."""

import numpy as np
import pytest
from scipy.ndimage import uniform_filter

from mimaface.face.edges import box_mean


@pytest.mark.parametrize("shape", [(60, 80), (33, 9), (1, 5)])
@pytest.mark.parametrize("reach", [1, 4, 9])
@pytest.mark.parametrize("kind", [np.float32, bool])
def test_box_means_are_scipy_s(shape, reach, kind):
    values = np.random.default_rng(reach).random(shape).astype(np.float32)
    values = values > 0.6 if kind is bool else values
    expected = uniform_filter(values.astype(float), 2 * reach + 1, mode="nearest")
    found = box_mean(values, reach)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=1e-6)
