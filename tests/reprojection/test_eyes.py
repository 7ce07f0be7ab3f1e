"""Eyes that are opened or turned: their whites, whatever the skin, and nothing of a closed lid."""

from dataclasses import replace

import numpy as np
import pytest

from mimaface.face.head import Head
from mimaface.protocol.arkit import BLENDSHAPE_INDEX
from mimaface.reprojection.eyes import GazeLimits, saturation, white_of_eye
from mimaface.reprojection.kernels import SKIN
from mimaface.reprojection.reprojector import Reprojector
from mimaface.reprojection.tuning import WHITE_HIGH, WHITE_LOW

LIGHT = np.array([200.0, 195.0, 190.0])
DARK_SKIN, LIGHT_SKIN = np.array([72.0, 49.0, 40.0]), np.array([195.0, 158.0, 130.0])


def eye(white: float, others: tuple[float, ...], share: float) -> np.ndarray:
    """Pixels (100, 1, 3): ``share`` of them a nearly grey ``white``, the rest of colour ``others``."""
    pixels = np.tile(np.array(others, float), (100, 1, 1))
    pixels[: round(100 * share)] = white * np.array([1.04, 1.0, 0.96])
    return pixels


def white(pixels: np.ndarray, skin: np.ndarray) -> float:
    return float(white_of_eye(pixels, np.ones(pixels.shape[:2], bool), LIGHT, skin).mean())


@pytest.mark.parametrize("seen", [110.0, 150.0])
def test_whites_are_as_bright_as_they_are_seen_to_be_in_dark_skin(seen):
    assert white(eye(seen, tuple(DARK_SKIN), 0.6), DARK_SKIN) == pytest.approx(seen, rel=0.03)
    assert white(eye(seen, tuple(DARK_SKIN), 0.41), DARK_SKIN) == pytest.approx(seen, rel=0.03), "beside lids"
    grey = np.full(3, DARK_SKIN.mean())
    photograph = np.repeat(eye(seen, tuple(grey), 0.6).mean(2, keepdims=True), 3, 2)
    assert white(photograph, grey) == pytest.approx(seen, rel=0.03), "without colours"


def test_neither_highlights_nor_shadows_are_the_white():
    assert white(eye(255, (150.0, 150.0, 148.0), 0.45), LIGHT_SKIN) <= WHITE_HIGH * LIGHT_SKIN.mean() + 1
    assert white(eye(30, (30.0, 30.0, 29.0), 0.5), LIGHT_SKIN) == pytest.approx(WHITE_LOW * LIGHT_SKIN.mean(), rel=0.01)


def test_what_is_not_seen_is_as_the_light_says():
    nothing = np.zeros((4, 4, 3))
    found = white_of_eye(nothing, np.zeros((4, 4), bool), LIGHT, DARK_SKIN)
    assert 0.6 * LIGHT.mean() < found.mean() < LIGHT.mean()


def test_saturation_is_free_of_brightness():
    assert np.allclose(saturation(np.array([[100.0, 80.0, 60.0], [50.0, 40.0, 30.0], [90.0, 90.0, 90.0]])), [0.5, 0.5, 0])


def test_an_eye_that_was_closed_opens_without_its_lid(portrait):
    """Its iris is a plain dark one; that of the open eye is the photograph's."""
    blendshapes = portrait.fit.blendshapes.copy()
    blendshapes[[BLENDSHAPE_INDEX["eyeBlinkLeft"], BLENDSHAPE_INDEX["eyeBlinkRight"]]] = 1.0
    closed = replace(portrait, fit=replace(portrait.fit, blendshapes=blendshapes))
    opened, shut = (Reprojector(each, 512, "face").projection for each in (portrait, closed))
    middle = np.s_[:, 60:68, 60:68]
    source = opened.source
    around_head = opened.image[source.top :, source.left :][: len(source.margin), : source.margin.shape[1]]
    skin = np.median(around_head[source.margin[..., SKIN] > 0], axis=0)
    assert np.ptp(shut.eyes[middle], axis=(1, 2)).max() < 12, "nothing of the photograph"
    assert shut.eyes[middle].mean() < 0.6 * skin.mean()
    assert np.ptp(opened.eyes[middle], axis=(1, 2)).max() > 40


@pytest.mark.parametrize("pitch", [-0.9, 0.9])
def test_an_iris_stays_in_the_opening_of_its_lids(portrait, pitch):
    """However far the driver looks up or down; both eyes go alike, and the photograph's own gaze stays to the bit."""
    fit, head = portrait.fit, Head.load()
    centres, shape = head.eye_centres_for(fit.identity), head.posed(fit.identity, fit.blendshapes, fit.gaze)
    limits = GazeLimits.of(shape, centres, fit.gaze)
    assert limits.within(shape, fit.gaze) is fit.gaze
    wild = np.stack([fit.gaze[:, 0], np.full(2, pitch)], axis=1)
    kept = limits.within(shape, wild)
    assert np.ptp(kept[:, 1]) < 1e-12 and abs(kept[0, 1]) < 0.6 * abs(pitch) and np.array_equal(kept[:, 0], wild[:, 0])
    np.testing.assert_allclose(limits.within(shape, kept), kept, rtol=0, atol=1e-6)  # single precision: sums differ with their arrays' addresses
