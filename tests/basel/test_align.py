from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from mimaface.basel.align import BOX_512, FIVE_POINTS_256, box_corners, box_similarity, draw, face_affine, five_points, similarity
from mimaface.face.landmarks import FaceLandmarker

GOLDEN = load_file(Path(__file__).parents[1] / "golden" / "alignment.safetensors")


@pytest.mark.parametrize("row", range(4))
def test_crops_equal_the_golden_values(row):
    def close(found, expected):
        assert np.abs(found - expected).max() <= 1e-4 * expected.std()

    close(FIVE_POINTS_256, GOLDEN["template5_256"])
    close(BOX_512, GOLDEN["box_template_512"])
    close(face_affine(GOLDEN["landmarks5"][row]), GOLDEN["affine"][row])
    close(box_corners(GOLDEN["box"][row]), GOLDEN["box_corners"][row])
    close(box_similarity(GOLDEN["box"][row]), GOLDEN["similarity"][row])


def test_a_similarity_is_recovered_and_never_mirrors():
    random = np.random.default_rng(2)
    points = random.normal(size=(6, 2))
    angle, scale, shift = 0.7, 3.0, np.array([5.0, -2.0])
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    found = similarity(points, points @ turn.T + shift)
    np.testing.assert_allclose(found, np.concatenate([turn, shift[:, None]], axis=1), atol=1e-12)
    assert np.linalg.det(similarity(points, points * [-1, 1])[:, :2]) > 0


def test_the_warped_portrait_has_its_points_on_the_template(portrait):
    crop = draw(portrait.image, face_affine(five_points(portrait.fit.landmarks)), 256, 256)
    found = five_points(FaceLandmarker.load().faces(crop)[0].points)
    assert np.linalg.norm(found - FIVE_POINTS_256, axis=1).max() < 20
