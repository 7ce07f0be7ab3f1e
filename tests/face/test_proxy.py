"""The proxy engine, measured by the landmarker: control is faithful, and what did not move is the photograph."""

from dataclasses import replace

import numpy as np
import pytest

from conftest import motion_of
from mimaface.face.fit import Estimate, gauss_newton_step, gaze_from_irises, initial_estimate, lid_opening
from mimaface.face.landmarks import FaceLandmarker
from mimaface.face.pose import poses_for
from mimaface.face.proxy import ProxyRenderer
from mimaface.protocol.rotation import matrix_to_head_angles


def shown(portrait, renderer, **values):
    return renderer.render(poses_for(portrait.fit, motion_of(values))[0])


def observed(portrait, image) -> tuple[np.ndarray, Estimate]:
    """Landmarks, and pose and actions with the portrait's identity."""
    points = FaceLandmarker.load().faces(image)[0].points
    fit = portrait.fit
    estimate = replace(initial_estimate(points, fit.camera, fit.identity), actions=fit.actions)
    for _ in range(8):
        estimate = gauss_newton_step(points, fit.camera, estimate, False)
    return points, estimate


@pytest.fixture(scope="module")
def renderer(portrait):
    return ProxyRenderer(portrait)


def test_no_motion_is_the_photograph(each_portrait):
    image = shown(each_portrait, ProxyRenderer(each_portrait))
    assert np.abs(image.astype(int) - each_portrait.image).max() <= 2


@pytest.mark.parametrize("angles", [(20, 0, 0), (-20, 0, 0), (0, 10, 0), (0, -10, 0), (0, 0, 12), (0, 0, -12), (12, -6, 5)])
def test_the_head_turns_as_it_is_keyed(portrait, renderer, angles):
    _, still = observed(portrait, portrait.image)
    _, turned = observed(portrait, shown(portrait, renderer, angles=angles))
    found = np.degrees(matrix_to_head_angles(turned.rotation @ still.rotation.T))
    np.testing.assert_allclose(found, angles, atol=3)


def test_lips_open_as_they_are_keyed(each_portrait):
    renderer = ProxyRenderer(each_portrait)
    gaps = [
        np.linalg.norm(np.diff(observed(each_portrait, shown(each_portrait, renderer, jawOpen=value))[0][[13, 14], :2], axis=0))
        for value in (0, 0.25, 0.5, 0.75, 1)
    ]
    assert (np.diff(gaps) > 0).all(), gaps


def test_lids_close_as_they_are_keyed(portrait, renderer):
    openings = [
        lid_opening(observed(portrait, shown(portrait, renderer, eyeBlinkLeft=value, eyeBlinkRight=value))[0]).mean()
        for value in (0, 0.25, 0.5, 0.75, 1)
    ]
    assert (np.diff(openings) < 0).all(), openings
    assert openings[-1] < 0.4 * openings[0]


def test_one_eye_winks_alone(portrait, renderer):
    left, right = lid_opening(observed(portrait, shown(portrait, renderer, eyeBlinkLeft=1))[0])
    assert left < 0.6 * right, "eyeBlinkLeft closes the subject's left eye"


@pytest.mark.parametrize("axis", [0, 1])
def test_gaze_follows(each_portrait, axis):
    renderer = ProxyRenderer(each_portrait)
    keyed = np.array([-20, -10, 0, 10, 20]) if axis == 0 else np.array([-14, -7, 0, 7, 14])
    found = []
    for value in keyed:
        lids = {f"eyeLook{'Up' if value > 0 else 'Down'}{side}": abs(value) / 28 for side in ("Left", "Right")} if axis else {}
        points, estimate = observed(
            each_portrait, shown(each_portrait, renderer, gaze=(value, 0) if axis == 0 else (0, value), **lids)
        )
        found.append(gaze_from_irises(points, each_portrait.fit.camera, estimate).mean(0)[axis])
    assert np.corrcoef(keyed, found)[0, 1] >= 0.9, np.degrees(found)


def test_same_input_same_bytes(portrait, renderer):
    pose = poses_for(portrait.fit, motion_of({"angles": (9, 3, 1), "jawOpen": 0.4}))[0]
    assert renderer.render(pose).tobytes() == ProxyRenderer(portrait).render(pose).tobytes()


@pytest.mark.parametrize(
    ("size", "framing", "shape"), [(0, "photo", (512, 512)), (256, "photo", (256, 256)), (300, "face", (300, 300))]
)
def test_sizes_and_framings(portrait, size, framing, shape):
    renderer = ProxyRenderer(portrait, size, framing)
    image = shown(portrait, renderer, jawOpen=0.5)
    assert image.shape == (*shape, 3)
    assert len(FaceLandmarker.load().faces(image)) == 1


def test_transparent_shows_only_the_head(portrait, renderer):
    pose = poses_for(portrait.fit, motion_of({"angles": (5, 0, 0)}))[0]
    image = renderer.render(pose, transparent=True)
    alpha = image[..., 3]
    assert image.shape == (512, 512, 4)
    assert alpha[400:, :].max() == 0, "the suit is not head"
    column, row = portrait.fit.landmarks[1, :2].astype(int)
    assert alpha[row, column] > 230


def test_far_poses_leave_no_holes(portrait, renderer):
    image = shown(portrait, renderer, angles=(40, 20, 25), jawOpen=1, gaze=(40, 20))
    assert image.shape == (512, 512, 3)
    changed = np.abs(image[:6].astype(int) - portrait.image[:6]).mean()
    assert changed < 6, "the border of the picture stays"
