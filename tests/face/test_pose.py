import numpy as np
import pytest

from conftest import motion_of
from mimaface.face.pose import poses_for
from mimaface.protocol.errors import InvalidMotion
from mimaface.protocol.rotation import head_angles_to_matrix, matrix_to_head_angles


def test_no_motion_gives_back_the_portrait_exactly(portrait):
    pose = poses_for(portrait.fit, motion_of({}, {}))[1]
    for name in ("actions", "rotation", "translation", "gaze"):
        np.testing.assert_array_equal(getattr(pose, name), getattr(portrait.fit, name))


@pytest.mark.parametrize("neutral", [1, "auto"])
def test_a_neutral_frame_cancels_out(portrait, neutral):
    busy = {"angles": (20, 0, 0), "jawOpen": 0.6, "gaze": (10, 0)}
    calm = {"angles": (5, -3, 2), "jawOpen": 0.05, "gaze": (3, 1)}
    clip = motion_of(busy, calm)
    poses = poses_for(portrait.fit, clip.but(meta={"neutral": neutral}))
    np.testing.assert_allclose(poses[1].rotation, portrait.fit.rotation, atol=1e-9)
    np.testing.assert_allclose(poses[1].actions, portrait.fit.actions, atol=1e-6)
    turned = poses[0].rotation @ portrait.fit.rotation.T
    expected = head_angles_to_matrix(np.radians((20, 0, 0))) @ head_angles_to_matrix(np.radians((5, -3, 2))).T
    np.testing.assert_allclose(turned, expected, atol=1e-6)


def test_absolute_motion_is_taken_as_recorded(portrait):
    clip = motion_of({"angles": (12, 4, -6), "jawOpen": 0.5, "gaze": (7, -2)})
    pose = poses_for(portrait.fit, clip, absolute=True)[0]
    np.testing.assert_allclose(np.degrees(matrix_to_head_angles(pose.rotation)), (12, 4, -6), atol=1e-6)
    np.testing.assert_allclose(pose.translation, portrait.fit.translation)
    np.testing.assert_allclose(pose.actions, clip.actions[0], atol=1e-6)


def test_positions_move_the_head_where_they_are_known(portrait):
    clip = motion_of({}, {}, {})
    clip = clip.but(head_pos=np.array([[0, 0, 0], [0.03, 0, 0], [np.nan] * 3]))
    poses = poses_for(portrait.fit, clip)
    np.testing.assert_allclose(poses[1].translation - poses[0].translation, [0.03, 0, 0], atol=1e-9)
    np.testing.assert_allclose(poses[2].translation, portrait.fit.translation)
    later = poses_for(portrait.fit, clip.but(head_pos=np.array([[0.03, 0, 0]] * 3)))
    np.testing.assert_allclose(later[0].translation, poses[1].translation, err_msg="a shot may begin in the middle of a move")


def test_a_neutral_outside_the_clip_is_named(portrait):
    for neutral in (2, -1, "calm", True):
        with pytest.raises(InvalidMotion, match="neutral frame"):
            poses_for(portrait.fit, motion_of({}, {}).but(meta={"neutral": neutral}))
