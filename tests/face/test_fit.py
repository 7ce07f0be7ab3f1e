from dataclasses import replace

import numpy as np
import pytest

from conftest import render_head
from mimaface.face.fit import (
    Estimate,
    LandmarkModel,
    fit_landmarks,
    gauss_newton_step,
    gaze_from_irises,
    lid_opening,
    linearise,
)
from mimaface.face.landmarks import FaceLandmarker
from mimaface.face.networks import CHECKSUMS, PersonSegmenter
from mimaface.geometry.camera import Camera
from mimaface.geometry.least_squares import bounded_solve, rotation_vector
from mimaface.protocol.arkit import BLENDSHAPE_INDEX
from mimaface.protocol.errors import InvalidCheckpoint
from mimaface.protocol.rotation import head_angles_to_matrix, matrix_to_head_angles


def measured(**values):
    """Fit of a render, and the render."""
    truth = render_head(values.pop("seed", 1), **values)
    points = FaceLandmarker.load().faces(truth.image)[0].points
    return fit_landmarks(points, truth.camera), truth


def test_portraits_fit_within_three_pixels(each_portrait):
    points = each_portrait.fit.landmarks[:468, :2]
    assert each_portrait.fit.error < 3
    assert each_portrait.fit.error * 512 / (1.5 * np.ptp(points, axis=0).max()) < 3.3, "also when the face fills a 512² crop"


def test_derivatives_agree_with_differences():
    random = np.random.default_rng(0)
    model, camera = LandmarkModel.load(), Camera.for_image(512, 512)
    start = Estimate(
        head_angles_to_matrix([0.2, -0.1, 0.1]), np.array([0.02, 0.01, -0.8]), random.normal(size=80), random.uniform(size=52)
    )
    points = random.uniform(100, 400, (478, 3))
    residual, pose, by_blendshape, by_identity = linearise(points, camera, start, model)
    step = 1e-6

    def moved(**change):
        values = {name: getattr(start, name) for name in ("rotation", "translation", "identity", "blendshapes")} | change
        # the weights depend on depth; hold them by measuring at the same depth
        return linearise(points, camera, Estimate(**values), model)[0]

    for index in (0, 7, 51):
        blendshapes = start.blendshapes.copy()
        blendshapes[index] += step
        np.testing.assert_allclose((moved(blendshapes=blendshapes) - residual) / step, by_blendshape[:, index], atol=1e-3)
    for index in (0, 40, 79):
        identity = start.identity.copy()
        identity[index] += step
        np.testing.assert_allclose((moved(identity=identity) - residual) / step, by_identity[:, index], atol=1e-3)
    for axis in range(3):
        small = np.zeros(3)
        small[axis] = step

        turned = moved(rotation=rotation_vector(small) @ start.rotation)
        np.testing.assert_allclose((turned - residual) / step, pose[:, axis], atol=1e-2)
    for axis in range(2):
        translation = start.translation.copy()
        translation[axis] += step
        np.testing.assert_allclose((moved(translation=translation) - residual) / step, pose[:, 3 + axis], atol=0.05)


def test_bounded_solve_is_the_constrained_minimum():
    from scipy.optimize import lsq_linear

    random = np.random.default_rng(3)
    for _ in range(10):
        design, target = random.normal(size=(30, 12)), random.normal(size=30) * 3
        low, high = np.full(12, -0.2), np.full(12, 0.3)
        expected = lsq_linear(design, target, (low, high), tol=1e-12).x
        found = bounded_solve(design.T @ design, design.T @ target, low, high)
        assert ((found >= low) & (found <= high)).all()
        np.testing.assert_allclose(found, expected, atol=1e-6)


def test_pose_of_renders_is_recovered():
    errors = []
    for seed, angles in enumerate([(0, 0, 0), (20, 0, 0), (-25, 5, 0), (0, 12, 0), (0, -12, 5), (10, 5, -12), (-15, -8, 8)]):
        fit, truth = measured(seed=seed, angles=angles)
        errors.append(np.degrees(matrix_to_head_angles(fit.rotation) - matrix_to_head_angles(truth.rotation)))
    assert (np.abs(errors).mean(0) < [3, 4, 2]).all(), np.round(errors, 1)


@pytest.mark.parametrize("names", [("jawOpen",), ("mouthSmileLeft", "mouthSmileRight"), ("eyeBlinkLeft", "eyeBlinkRight")])
def test_blendshapes_of_renders_rise_with_the_truth(names):
    found = []
    for weight in (0.0, 0.35, 0.7, 1.0):
        fit, _ = measured(seed=4, **dict.fromkeys(names, weight))
        found.append(np.mean([fit.blendshapes[BLENDSHAPE_INDEX[name]] for name in names]))
    assert (np.diff(found) > 0.02).all(), found


@pytest.mark.parametrize(("axis", "reach"), [(0, 22), (1, 12)])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_gaze_of_renders_is_recovered(axis, reach, seed):
    keyed = np.linspace(-reach, reach, 5)
    found = []
    for value in keyed:
        lids = {f"eyeLook{'Up' if value > 0 else 'Down'}{side}": abs(value) / 28 for side in ("Left", "Right")} if axis else {}
        look = (value, 0) if axis == 0 else (0, value)
        found.append(measured(seed=seed, gaze=look, **lids)[0].gaze.mean(0)[axis])
    assert np.corrcoef(keyed, found)[0, 1] > 0.95


def test_closed_lips_stay_closed(each_portrait):
    fit = measured(seed=6)[0]
    assert fit.blendshapes[BLENDSHAPE_INDEX["jawOpen"]] < 0.08
    assert lid_opening(fit.landmarks).min() > 0.15, "open eyes are open"


def test_blendshapes_stay_in_range_for_nonsense():
    random = np.random.default_rng(9)
    fit = fit_landmarks(random.uniform(0, 500, (478, 3)), Camera.for_image(512, 512))
    assert ((fit.blendshapes >= 0) & (fit.blendshapes <= 1)).all()
    assert np.isfinite(fit.translation).all()


def test_a_prior_pulls_toward_the_frame_before():
    truth = render_head(1, jawOpen=0.8)
    points = FaceLandmarker.load().faces(truth.image)[0].points
    free = fit_landmarks(points, truth.camera)
    start = Estimate(free.rotation, free.translation, free.identity, free.blendshapes)
    held = gauss_newton_step(points, truth.camera, start, False, (np.zeros(52), 0.01))
    assert held.blendshapes[BLENDSHAPE_INDEX["jawOpen"]] < 0.5 * free.blendshapes[BLENDSHAPE_INDEX["jawOpen"]]


def test_damaged_networks_are_refused(tmp_path):
    for name in CHECKSUMS:
        (tmp_path / name).write_bytes(b"TFL3 nonsense")
    with pytest.raises(InvalidCheckpoint, match="damaged"):
        FaceLandmarker(tmp_path)
    with pytest.raises(InvalidCheckpoint, match="damaged"):
        PersonSegmenter(tmp_path)


def test_small_faces_in_large_pictures_are_found(each_portrait):
    image = each_portrait.image
    large = np.full((1500, 2200, 3), 100, np.uint8)
    large[700 : 700 + image.shape[0], 1300 : 1300 + image.shape[1]] = image
    found = FaceLandmarker.load().faces(large)
    assert len(found) == 1
    away = np.linalg.norm(found[0].points[:, :2] - [1300, 700] - each_portrait.fit.landmarks[:, :2], axis=1)
    assert away.mean() < 0.015 * np.ptp(each_portrait.fit.landmarks[:468, 0]), away.mean()


def test_what_a_fit_with_a_fixed_identity_leaves_out_changes_nothing(portrait):
    fit = portrait.fit
    estimate = Estimate(fit.rotation, fit.translation, fit.identity, fit.blendshapes)
    free, fixed = (linearise(fit.landmarks, fit.camera, estimate, LandmarkModel.load(), identity) for identity in (True, False))
    for a, b in zip(free[:3], fixed[:3]):
        assert a.tobytes() == b.tobytes()
    assert free[3].shape == (len(free[0]), 80) and fixed[3].shape == (len(free[0]), 0)


def test_an_error_of_the_heads_place_turns_no_eyes(each_portrait):
    fit = each_portrait.fit
    estimate = Estimate(fit.rotation, fit.translation, fit.identity, fit.blendshapes)
    for axis, most in ((0, 3.0), (1, 1.5)):  # degrees: half of it is believed sideways, a quarter up
        away = replace(estimate, translation=estimate.translation + 0.001 * fit.rotation[:, axis])
        turned = np.degrees(gaze_from_irises(fit.landmarks, fit.camera, away) - fit.gaze)
        assert np.abs(turned).max() < most, "a millimetre is 4.6 degrees of an eyeball"
