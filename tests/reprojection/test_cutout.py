"""Photographs with alpha, and frames cut out of their background."""

import io

import numpy as np
import pytest
from PIL import Image

from conftest import CASES, HOPPER, motion_of
from mimaface.animation import animate
from mimaface.face.portrait import Portrait
from mimaface.face.pose import poses_for
from mimaface.protocol.settings import RenderSettings
from mimaface.reprojection.cutout import Cutout, whole_person, within_alpha
from mimaface.reprojection.reprojector import Reprojector

TURNED = motion_of({}, {"angles": (15, 0, 0)})


@pytest.fixture(scope="module")
def person():
    """Hopper cut out of her background, by the renderer itself, on a photograph of 300 pixels."""
    small = Image.open(HOPPER).convert("RGB").resize((250, 300), Image.Resampling.LANCZOS)
    out = io.BytesIO()
    small.save(out, "PNG")
    portrait = Portrait.open(out.getvalue())
    return Reprojector(portrait).render(poses_for(portrait.fit, motion_of({}))[0], transparent=True)


def opened(picture):
    out = io.BytesIO()
    Image.fromarray(picture).save(out, "PNG")
    return Portrait.open(out.getvalue())


def test_the_reported_file_keeps_its_alpha():
    portrait = Portrait.open(CASES / "cutout.webp")
    still, turned = (frame.image for frame in animate(portrait, TURNED, RenderSettings("proxy")))
    np.testing.assert_array_equal(still[..., 3], portrait.alpha)
    assert turned.shape[2] == 4
    corners = np.s_[[0, 0, -1, -1], [0, -1, 0, -1]]
    assert turned[(*corners, 3)].max() == 0
    stored = np.asarray(Image.open(CASES / "cutout.webp").convert("RGBA")).astype(int)
    dense = portrait.alpha > 128
    assert np.abs(still[..., :3].astype(int) - stored[..., :3])[dense].max() <= 2, "the grey that was behind is taken out again"


def test_the_alpha_moves_with_the_person(person):
    portrait = opened(person)
    still, turned = (frame.image[..., 3].astype(int) for frame in animate(portrait, TURNED, RenderSettings("proxy")))
    assert np.abs(still - person[..., 3]).max() <= 1
    assert (np.abs(turned - still) > 128).sum() > 60, "the outline of a turned head is another"
    assert np.abs(turned.sum() / still.sum() - 1) < 0.1
    low = np.s_[-20:]
    assert np.abs(turned[low] - still[low]).max() < 30, "the body stays"


def test_what_shines_through_is_taken_out():
    random = np.random.default_rng(5)
    colours, behind = random.uniform(0, 255, (2, 40, 30, 3))
    alpha = np.linspace(0, 255, 30).round().astype(np.uint8)[None, :, None].repeat(40, 0)
    mixed = np.rint(alpha / 255 * colours + (1 - alpha / 255) * behind).astype(np.uint8)
    cut = Cutout(np.ones((40, 30), np.float32), np.zeros((40, 30), np.float32), lambda rows: behind[rows].astype(np.float32))
    straight = cut.straight(np.dstack([mixed, alpha]))
    solid = alpha[..., 0] > 100
    assert np.abs(straight[..., :3] - colours)[solid].max() < 2.5
    assert straight[:, 0].max() == 0, "nothing of the background is left where nothing is opaque"


def test_alpha_may_be_a_person_or_a_window():
    matte = np.zeros((60, 60), np.float32)
    matte[20:, 20:40] = 1
    person = np.zeros((60, 60), np.uint8)
    person[18:, 18:42] = 255
    np.testing.assert_array_equal(within_alpha(matte, person), person / 255)
    window = np.full((60, 60), 255, np.uint8)
    window[50:] = 0
    matte[30:, 5:55] = 1
    np.testing.assert_array_equal(within_alpha(matte, window), np.minimum(matte, window / 255))


def test_the_body_beyond_the_matte_is_found():
    photo = np.asarray(Image.open(HOPPER).convert("RGB"))
    matte = np.zeros(photo.shape[:2], np.float32)
    rows, columns = photo.shape[0] // 2, np.s_[photo.shape[1] // 3 : 2 * photo.shape[1] // 3]
    matte[rows // 3 : rows, columns] = 1
    whole = whole_person(photo, matte)
    assert whole[-40:, photo.shape[1] // 2].min() > 0.9
    assert whole[:30, :30].max() < 0.1
