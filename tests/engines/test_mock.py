"""What the generated renderer does around the networks, with networks whose results are known."""

import numpy as np
import pytest

from conftest import nod
from mimaface.engines.base import Engine
from mimaface.engines.mock import MockEngine
from mimaface.face.pose import poses_for
from mimaface.protocol.settings import RenderSettings
from mimaface.renderers.generated_session import GeneratedSession

SETTINGS = RenderSettings(engine="demo", size=128)


def frames(engine: Engine, portrait, count: int = 3) -> tuple[GeneratedSession, list[np.ndarray]]:
    session = GeneratedSession(engine, portrait, SETTINGS)
    return session, [frame.image for frame in session.shot(nod(count), 0, {}) if frame is not None]


def test_a_refiner_that_changes_nothing_leaves_the_reprojected_photograph(portrait):
    session, made = frames(MockEngine(), portrait)
    expected = [session.renderer.render(pose) for pose in poses_for(portrait.fit, nod(3))]
    assert max(np.abs(a.astype(int) - b).max() for a, b in zip(made, expected)) <= 1
    assert np.abs(made[1].astype(int) - made[2]).max() > 30, "frames differ"


def test_light_changes_in_the_middle_of_the_window_alone(hopper):
    """Above the mouth, whose inside stays as it is reprojected."""
    session, made = frames(MockEngine(gain=0.5), hopper)
    left, top, side = session.place
    for pose, image in zip(poses_for(hopper.fit, nod(3))[1:], made[1:]):
        before = session.renderer.render(pose).astype(float)
        middle = np.s_[top + side // 4 : top + side // 2, left + side // 3 : left + 2 * side // 3]
        np.testing.assert_allclose(image[middle], before[middle] / 2, atol=1.01)
        outside = np.ones(image.shape[:2], bool)
        outside[top : top + side, left : left + side] = False
        assert np.array_equal(image[outside], before[outside])
    assert np.array_equal(made[0], session.renderer.image), "at rest it is the photograph"


def test_without_a_refiner_the_decoder_paints(portrait):
    session, made = frames(MockEngine(has_refiner=False), portrait)
    pose = poses_for(portrait.fit, nod(3))[2]
    left, top, side = session.place
    block = max(side // 32, 1)
    middle = np.s_[top + side // 3 : top + 2 * side // 3, left + side // 3 : left + 2 * side // 3]
    painted, posed = made[2][middle].astype(float), session.renderer.render(pose)[middle].astype(float)
    assert np.abs(painted - posed).mean() > 1, "latents are coarse"
    assert np.abs(painted.mean((0, 1)) - posed.mean((0, 1))).max() < 2 * block


@pytest.mark.parametrize("has_refiner", [True, False])
def test_networks_run_once_a_frame_or_a_clip(portrait, has_refiner):
    engine = MockEngine(has_refiner=has_refiner)
    frames(engine, portrait, 14)  # two clips of 12 frames
    decoded = "refine" if has_refiner else "decode_latents"
    assert engine.calls == {"encode_source": 1, "encode_images": 1 + 14, "context": 2, "denoise": 2, decoded: 14}
