from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mimaface.protocol.errors import InvalidInput
from mimaface.sampling.clips import ClipPlan


@st.composite
def plans(draw: st.DrawFn, longest: int = 400) -> ClipPlan:
    length = draw(st.integers(1, 32))
    return ClipPlan(draw(st.integers(1, longest)), length, draw(st.integers(0, length - 1)))


@given(plans(longest=10_000))
def test_every_frame_is_produced_exactly_once_and_in_order(plan: ClipPlan) -> None:
    assert [frame for clip in plan for frame in clip.new] == list(range(plan.frames))


@given(plans())
def test_no_clip_is_empty_and_all_are_of_one_length(plan: ClipPlan) -> None:
    for clip in plan:
        assert len(clip.new) >= 1
        assert len(clip.frames) == min(plan.length, plan.frames)


@given(plans())
def test_new_frames_lie_behind_the_given_ones(plan: ClipPlan) -> None:
    for clip in plan:
        assert clip.frames[clip.given : clip.given + len(clip.new)] == tuple(clip.new)
        assert set(clip.frames[clip.given + len(clip.new) :]) <= {plan.frames - 1}, "past the end the last frame is held"


@given(plans())
def test_given_frames_are_the_last_of_the_clip_before(plan: ClipPlan) -> None:
    assert plan[0].given == 0
    for index in range(1, len(plan)):
        assert plan[index].given == plan.overlap
        assert plan[index].frames[: plan.overlap] == plan[index - 1].frames[plan.length - plan.overlap :]


@given(plans())
def test_a_frame_is_found_in_the_clip_that_produces_it(plan: ClipPlan) -> None:
    for frame in {0, plan.frames // 2, plan.frames - 1}:
        assert frame in plan[plan.clip_of(frame)].new


@given(plans())
def test_one_clip_fewer_would_not_reach_the_end(plan: ClipPlan) -> None:
    reached = plan.length + (len(plan) - 2) * (plan.length - plan.overlap)
    assert len(plan) == 1 or reached < plan.frames


def test_the_published_sizes_by_hand() -> None:
    clips = list(ClipPlan(frames=23, length=12, overlap=3))
    assert [(clip.frames[0], clip.given, clip.new) for clip in clips] == [
        (0, 0, range(12)),
        (9, 3, range(12, 21)),
        (18, 3, range(21, 23)),
    ]
    assert clips[2].frames == (18, 19, 20, 21, *[22] * 8)


@pytest.mark.parametrize(("frames", "length", "overlap"), [(0, 12, 3), (-4, 12, 3), (10, 12, 12), (10, 0, 0), (9, 4, -1)])
def test_numbers_that_make_no_plan_are_refused(frames: int, length: int, overlap: int) -> None:
    with pytest.raises(InvalidInput):
        ClipPlan(frames, length, overlap)


@pytest.mark.parametrize("index", [-1, 2])
def test_there_is_no_clip_beyond_the_ends(index: int) -> None:
    with pytest.raises(IndexError):
        ClipPlan(20, 12, 3)[index]


def test_a_frame_outside_the_shot_is_refused() -> None:
    with pytest.raises(InvalidInput, match="frame 20"):
        ClipPlan(20, 12, 3).clip_of(20)
