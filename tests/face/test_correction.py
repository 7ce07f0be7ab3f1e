"""What the model misses of a face is made up for at the landmarks, and nowhere wildly."""

from dataclasses import replace

import numpy as np
import pytest

from mimaface.face import tuning
from mimaface.face.correction import EYE_RIMS, MOUTH_RIM, correct, landmark_rows, rim_rows
from mimaface.face.head import Head
from mimaface.protocol.arkit import BLENDSHAPE_INDEX


@pytest.fixture(scope="module")
def corrected(each_portrait):
    return each_portrait.fit, correct(each_portrait.fit)


def test_landmarks_come_closer(corrected):
    fit, correction = corrected
    rows, targets, _ = landmark_rows(fit)
    left = targets - rows @ (correction.at(fit.blendshapes) @ fit.rotation.T)
    assert np.linalg.norm(left, axis=1).mean() < 0.5 * np.linalg.norm(targets, axis=1).mean()


def test_the_rims_of_eyes_and_mouth_are_where_the_landmarks_see_them(corrected):
    fit, correction = corrected
    plain = Head.load().posed(fit.identity, fit.blendshapes, fit.gaze)
    for rim in (*EYE_RIMS, MOUTH_RIM):
        before, after = (
            rim_rows(fit, shape @ fit.rotation.T + fit.translation, rim)[1][:, 1]
            for shape in (plain, plain + correction.at(fit.blendshapes))
        )
        if len(before):  # closed lips have no rim
            assert np.abs(after).mean() < 0.4e-3
            assert np.abs(after).mean() < 0.4 * np.abs(before).mean()


def test_closed_lids_are_left_to_the_model(corrected):
    fit, correction = corrected
    closed = fit.blendshapes.copy()
    closed[[BLENDSHAPE_INDEX["eyeBlinkLeft"], BLENDSHAPE_INDEX["eyeBlinkRight"]]] = 1
    assert np.abs(correction.lids).max() > 1e-4
    np.testing.assert_array_equal(correction.at(closed), correction.always)


def test_lids_are_corrected_on_their_own_side(corrected):
    _, correction = corrected
    across = Head.load().vertices[:, 0]
    assert not correction.lids[0, across < 0].any()
    assert not correction.lids[1, across > 0].any()


def test_a_wild_landmark_stays_bounded(corrected):
    fit, _ = corrected
    points = fit.landmarks.copy()
    points[4] += [300, -200, 0]  # the tip of the nose
    offset = correct(replace(fit, landmarks=points)).at(fit.blendshapes)
    assert np.isfinite(offset).all()
    assert np.linalg.norm(offset, axis=1).max() < tuning.LARGEST


def test_eyeballs_and_teeth_keep_their_shape(corrected):
    _, correction = corrected
    head = Head.load()
    for part in ("eye_left", "eye_right", "tongue"):
        assert not correction.always[head.vertices_of(part)].any()
    for part in ("teeth_upper", "teeth_lower"):
        moved = correction.always[np.setdiff1d(head.vertices_of(part), head.vertices_of("skin"))]
        assert np.ptp(moved, axis=0).max() == 0


def test_same_face_same_offset(corrected):
    fit, correction = corrected
    assert correct(fit).always.tobytes() == correction.always.tobytes()
