"""Where nothing moves, a frame is the photograph."""

import numpy as np
import pytest

from conftest import motion_of
from mimaface.face.pose import poses_for
from mimaface.reprojection.reprojector import Reprojector
from mimaface.reprojection.stillness import Stillness


def frame(portrait, renderer, transparent=False, **values):
    return renderer.render(poses_for(portrait.fit, motion_of(values))[0], transparent).astype(int)


def face_of(portrait):
    """The face's pixels, and a tenth of its width around it, which the skin's folds reach."""
    low, high = portrait.fit.landmarks[:, :2].min(0), portrait.fit.landmarks[:, :2].max(0)
    margin = 0.1 * (high - low)[0]
    (left, top), (right, bottom) = (low - margin).astype(int), (high + margin).astype(int) + 1
    return np.s_[max(top, 0) : bottom, max(left, 0) : right]


@pytest.fixture(scope="module")
def renderers(portrait):
    return portrait, Reprojector(portrait)


def test_a_blink_changes_nothing_outside_the_face(each_portrait):
    renderer = Reprojector(each_portrait)
    changed = np.abs(frame(each_portrait, renderer, eyeBlinkLeft=1, eyeBlinkRight=1) - each_portrait.image).max(-1) > 4
    assert changed[face_of(each_portrait)].any()
    changed[face_of(each_portrait)] = False
    assert not changed.any()


def test_an_outline_does_not_jump_as_a_turn_begins(renderers):
    """Equal steps of a slow turn change the outline by about equal amounts; the first by no more than the others."""
    portrait, renderer = renderers
    frames = [portrait.image.astype(int), *(frame(portrait, renderer, angles=(yaw, 0, 0)) for yaw in (0.1, 0.2, 0.3, 0.4, 0.5, 0.6))]
    outside = np.ones(portrait.image.shape[:2], bool)
    outside[face_of(portrait)] = False
    steps = [np.square(later - sooner)[outside].sum() for sooner, later in zip(frames, frames[1:])]
    assert steps[0] < 1.5 * np.median(steps), steps


def test_alpha_is_the_photographs_own_where_nothing_moves(renderers):
    portrait, renderer = renderers
    rest, blink = frame(portrait, renderer, True), frame(portrait, renderer, True, eyeBlinkLeft=1)
    outside = np.ones(rest.shape[:2], bool)
    outside[face_of(portrait)] = False
    np.testing.assert_allclose(blink[outside], rest[outside], atol=1)


def test_what_moved_far_is_left_as_it_was_drawn():
    knots = np.stack(np.meshgrid(np.linspace(0, 90, 10), np.linspace(0, 60, 7)), axis=-1)
    still = Stillness(knots, np.array([[40.0, 30.0]]), head_width=100.0)
    moved = np.pad(knots.reshape(-1, 2), ((0, 0), (0, 1)))
    share = still.share(moved, np.zeros(0, int), np.array([[70.0, 30.0]]))
    assert share[3, 4] == share[3, 7] == 0 and share[0, 0] == 1
    photograph, picture = np.full((60, 90, 3), 50, np.uint8), np.full((60, 90, 3), 200, np.uint8)
    person, provenance = np.ones((60, 90), np.float32), np.full((60, 90, 3), 255, np.uint8)
    written, nothing = np.zeros((60, 90), np.float32), (np.zeros((0, 0, 5), np.float32), 0, 0)
    still.settle(share, (0, 0), (photograph, person), (picture, provenance), written, nothing)
    assert (picture[25:35, 35:75] == 200).all() and (written[25:35, 35:75] == 0).all()
    assert (picture[:10, :10] == 50).all() and (written[:10, :10] == 1).all()
    np.testing.assert_array_equal(provenance[0, 0], [255, 0, 0])
