"""Portrait + motion → frames: as many as the motion has, in order, stoppable, the same every time."""

import pytest

from conftest import motion_of, nod
from mimaface.animation import animate, steps
from mimaface.protocol.errors import Cancelled, InvalidInput, InvalidMotion
from mimaface.protocol.settings import RenderSettings
from mimaface.renderers.registry import RENDERERS

SMALL = RenderSettings("proxy", size=128)


@pytest.fixture(scope="module")
def frames(portrait):
    return list(animate(portrait, nod(5), SMALL))


def test_one_frame_for_each_of_the_motion(frames):
    assert [frame.index for frame in frames] == [0, 1, 2, 3, 4]
    assert {frame.image.shape for frame in frames} == {(128, 128, 3)}
    assert len({frame.image.tobytes() for frame in frames}) == 5, "every pose of the motion is another"


def test_the_same_bytes_again(portrait, frames):
    again = list(animate(portrait, nod(5), SMALL))
    assert [frame.image.tobytes() for frame in again] == [frame.image.tobytes() for frame in frames]


def test_a_resumed_run_continues_exactly(portrait, frames):
    rest = [frame for frame in steps(portrait, nod(5), SMALL, start=3) if frame is not None]
    assert [frame.index for frame in rest] == [3, 4]
    assert [frame.image.tobytes() for frame in rest] == [frame.image.tobytes() for frame in frames[3:]]


def test_a_scheduler_gets_its_turn_before_the_first_frame(portrait):
    assert next(steps(portrait, nod(2), SMALL)) is None


def test_cancelling_stops_before_the_next_frame(portrait):
    seen = []
    with pytest.raises(Cancelled):
        for frame in animate(portrait, nod(5), SMALL, cancelled=lambda: len(seen) == 2):
            seen.append(frame.index)  # noqa: PERF401 - read while it grows
    assert seen == [0, 1]


def test_transparent_frames_have_alpha(portrait):
    image = next(animate(portrait, motion_of({"jawOpen": 0.3}), RenderSettings("proxy", size=128, transparent=True))).image
    assert image.shape == (128, 128, 4)
    assert image[..., 3].min() == 0 and image[..., 3].max() == 255


@pytest.mark.parametrize(
    ("motion", "settings", "error", "said"),
    [
        (nod(2), RenderSettings(engine="magic"), InvalidInput, "magic"),
        (nod(2).but(meta={"neutral": 7}), RenderSettings("proxy", size=128), InvalidMotion, "neutral frame 7"),
        (nod(2).but(meta={"neutral": "best"}), RenderSettings("proxy", size=128), InvalidMotion, "best"),
    ],
)
def test_what_cannot_be_rendered_is_said_before_any_frame(portrait, motion, settings, error, said):
    with pytest.raises(error, match=said) as caught:
        next(animate(portrait, motion, settings))
    assert caught.value.hint


def test_an_unknown_engine_lists_the_known_ones(portrait):
    with pytest.raises(InvalidInput) as caught:
        next(animate(portrait, nod(1), RenderSettings(engine="magic")))
    assert all(name in caught.value.hint for name in RENDERERS)
