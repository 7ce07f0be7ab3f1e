from dataclasses import replace

import numpy as np
import pytest

from conftest import motion_of
from mimaface.face.pose import away_from, poses_for
from mimaface.protocol.errors import InvalidMotion
from mimaface.protocol.rotation import (
    head_angles_to_matrix,
    matrix_to_head_angles,
    matrix_to_quaternion,
    quaternion_to_matrix,
    tilt_of,
)


def test_no_motion_gives_back_the_portrait_exactly(portrait):
    pose = poses_for(portrait.fit, motion_of({}, {}))[1]
    for name in ("blendshapes", "rotation", "translation", "gaze"):
        np.testing.assert_array_equal(getattr(pose, name), getattr(portrait.fit, name))


@pytest.mark.parametrize("neutral", [1, "auto"])
def test_a_neutral_frame_cancels_out(portrait, neutral):
    busy = {"angles": (20, 0, 0), "jawOpen": 0.6, "gaze": (10, 0)}
    calm = {"angles": (5, -3, 2), "jawOpen": 0.05, "gaze": (3, 1)}
    clip = motion_of(busy, calm)
    poses = poses_for(portrait.fit, clip.but(meta={"neutral": neutral}))
    np.testing.assert_allclose(poses[1].rotation, portrait.fit.rotation, atol=1e-9)
    np.testing.assert_allclose(poses[1].blendshapes, portrait.fit.blendshapes, atol=1e-6)
    turned = poses[0].rotation @ portrait.fit.rotation.T
    away = head_angles_to_matrix(np.radians((20, 0, 0))) @ head_angles_to_matrix(np.radians((5, -3, 2))).T
    level = quaternion_to_matrix(tilt_of(matrix_to_quaternion(portrait.fit.rotation))).T
    driver = quaternion_to_matrix(tilt_of(clip.head_quat[1])).T
    np.testing.assert_allclose(level @ turned @ level.T, driver @ away @ driver.T, atol=1e-6)


def test_absolute_motion_is_taken_as_recorded(portrait):
    clip = motion_of({"angles": (12, 4, -6), "jawOpen": 0.5, "gaze": (7, -2)})
    pose = poses_for(portrait.fit, clip, absolute=True)[0]
    np.testing.assert_allclose(np.degrees(matrix_to_head_angles(pose.rotation)), (12, 4, -6), atol=1e-6)
    np.testing.assert_allclose(pose.translation, portrait.fit.translation)
    np.testing.assert_allclose(pose.blendshapes, clip.blendshapes[0], atol=1e-6)


@pytest.mark.parametrize("tilt", [0, 40])
def test_absolute_motion_away_from_the_portrait_is_the_same(portrait, tilt):
    """For a rig, whose channels are added to the portrait."""
    fit = replace(portrait.fit, rotation=tilted(tilt) @ portrait.fit.rotation)
    clip = motion_of({"angles": (12, 4, -6), "jawOpen": 0.5, "gaze": (7, -2)}, {"angles": (-20, 0, 9)})
    clip = clip.but(head_pos=np.array([[0.03, -0.1, -0.7], [np.nan] * 3]), meta={"neutral": "auto"})
    away = away_from(fit, clip)
    assert away.neutral_frame() is None
    for expected, pose in zip(poses_for(fit, clip, absolute=True), poses_for(fit, away)):
        for name in ("blendshapes", "rotation", "translation", "gaze"):
            np.testing.assert_allclose(getattr(pose, name), getattr(expected, name), atol=1e-6)


def test_positions_move_the_head_where_they_are_known(portrait):
    clip = motion_of({}, {}, {})
    clip = clip.but(head_pos=np.array([[0, 0, 0], [0.03, 0, 0], [np.nan] * 3]))
    poses = poses_for(portrait.fit, clip)
    tilt = tilt_of(matrix_to_quaternion(portrait.fit.rotation))
    aside = quaternion_to_matrix(tilt) @ [0.03, 0, 0]
    np.testing.assert_allclose(poses[1].translation - poses[0].translation, aside, atol=1e-9)
    np.testing.assert_allclose(poses[2].translation, portrait.fit.translation)
    later = poses_for(portrait.fit, clip.but(head_pos=np.array([[0.03, 0, 0]] * 3)))
    np.testing.assert_allclose(later[0].translation, poses[1].translation, err_msg="a shot may begin in the middle of a move")


def test_a_neutral_outside_the_clip_is_named(portrait):
    for neutral in (2, -1, "calm", True):
        with pytest.raises(InvalidMotion, match="neutral frame"):
            poses_for(portrait.fit, motion_of({}, {}).but(meta={"neutral": neutral}))


def tilted(degrees: float) -> np.ndarray:
    """Rotation (3, 3) of a picture by ``degrees`` counterclockwise."""
    return head_angles_to_matrix(np.radians((0, 0, -degrees)))


@pytest.mark.parametrize("portrait_tilt", [0, 90, 180, -60])
@pytest.mark.parametrize("driver_tilt", [0, 90, -170])
def test_a_shake_and_a_lean_stay_what_they_are_whoever_lies(portrait, portrait_tilt, driver_tilt):
    """The levelled frame of both: R = L · ΔR · L⁻¹ · R_source."""
    turn, lean = head_angles_to_matrix(np.radians((10, 5, 0))), np.array([0.02, 0.01, 0.0])
    fit = replace(portrait.fit, rotation=tilted(portrait_tilt) @ turn)
    driver = tilted(driver_tilt)
    shake = head_angles_to_matrix(np.radians((25, 0, 0)))
    clip = motion_of({}, {}).but(
        head_quat=matrix_to_quaternion(np.stack([driver, driver @ shake])),
        head_pos=np.stack([[0.0, 0.0, -0.6], driver @ lean + [0, 0, -0.6]]),
        meta={"neutral": 0},
    )
    pose = poses_for(fit, clip)[1]
    np.testing.assert_allclose(pose.rotation, tilted(portrait_tilt) @ shake @ turn, atol=1e-9)
    np.testing.assert_allclose(pose.translation - fit.translation, tilted(portrait_tilt) @ lean, atol=1e-9)


@pytest.mark.parametrize("angles", [(0, 0, 0), (40, 20, 0), (-60, -30, 0)])
def test_a_head_that_turned_and_nodded_is_not_tilted(angles):
    matrix = head_angles_to_matrix(np.radians(angles))
    np.testing.assert_allclose(tilt_of(matrix_to_quaternion(matrix)), [1, 0, 0, 0], atol=1e-9)
    lying = tilt_of(matrix_to_quaternion(tilted(90) @ matrix))
    np.testing.assert_allclose(np.degrees(2 * np.arctan2(lying[3], lying[0])), 90, atol=1e-6)


def test_a_profile_is_levelled_by_its_crown():
    tilt = tilt_of(matrix_to_quaternion(tilted(30) @ head_angles_to_matrix(np.radians((88, 0, 4)))))
    np.testing.assert_allclose(np.degrees(2 * np.arctan2(tilt[3], tilt[0])), 30, atol=0.5)
