"""The compiled kernels of smooth edges against plain numpy."""

import numpy as np
import pytest

from mimaface.reprojection.head_layers import average_samples, where_parts_meet

PART, PAINTED = np.array([0, 0, 1, 1, 0], np.uint8), np.array([False, False, False, False, True])


def quarters(values: np.ndarray) -> tuple[np.ndarray, ...]:
    return values[0::2, 0::2], values[0::2, 1::2], values[1::2, 0::2], values[1::2, 1::2]


@pytest.fixture(scope="module")
def found() -> np.ndarray:
    """Patches of six triangles' names, −1 for none, so that some pixels lie inside of one and some between two."""
    random = np.random.default_rng(3)
    patches = random.integers(-1, 5, (9, 8)).astype(np.int32)
    return np.ascontiguousarray(np.repeat(np.repeat(patches, 3, 0), 3, 1)[:26, :24])


def test_parts_meet_where_samples_of_a_pixel_differ_or_are_painted(found):
    one, *others = quarters(np.where(found >= 0, PART[found], 255))
    edge = np.logical_or.reduce([other != one for other in others])
    edge |= np.logical_or.reduce(quarters(PAINTED[found] & (found >= 0)))
    expected = np.where(np.repeat(np.repeat(edge, 2, axis=0), 2, axis=1), found, -1)
    assert 0.2 < edge.mean() < 0.8
    np.testing.assert_array_equal(where_parts_meet(found, PART, PAINTED), expected)


def test_samples_are_averaged_by_their_opacity_and_nothing_else_changes(found):
    random = np.random.default_rng(4)
    wanted = where_parts_meet(found, PART, PAINTED)
    samples = random.uniform(0, 255, (*found.shape, 5)).astype(np.float32)
    samples[..., 3] = random.choice([0, 0.5, 1], found.shape)
    layer = random.uniform(0, 255, (found.shape[0] // 2, found.shape[1] // 2, 5)).astype(np.float32)
    expected, edge = layer.copy(), np.logical_or.reduce(quarters(wanted >= 0))
    chosen = np.stack([quarter[edge] for quarter in quarters(samples)])
    total = chosen[..., 3:4].sum(0)
    colour = (chosen[..., :3] * chosen[..., 3:4]).sum(0) / np.maximum(total, 1e-6)
    expected[edge, :4] = np.concatenate([colour, total / 4], axis=1)
    average_samples(layer, wanted, samples)
    assert edge.any() and not edge.all()
    np.testing.assert_array_equal(layer, expected)
