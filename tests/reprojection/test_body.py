"""The body belongs to the head: what the shoulders, the neck and what the photograph's border cuts off do when the head moves far."""

from dataclasses import replace

import numpy as np
import pytest

from mimaface.face.portrait import Portrait
from mimaface.face.pose import FacePose
from mimaface.reprojection import tuning
from mimaface.reprojection.body import Beyond, Body, mirrored, person_beyond, rounded_off
from mimaface.reprojection.reprojector import Reprojector

SIZE = 160
FAR = 0.11  # metres: half the height of a head
WAYS = {
    "sinks": (0, -FAR, 0),
    "rises": (0, FAR, 0),
    "sideways": (FAR, 0, 0),
    "nearer": (0, 0, 2 * FAR),
    "further": (0, 0, -2 * FAR),
}


@pytest.fixture(scope="module")
def renderers(portrait):
    return {follows: Reprojector(portrait, body_follows=follows) for follows in (0.0, 0.5, 1.0)}


def away(portrait: Portrait, *moved: float) -> FacePose:
    fit = portrait.fit
    return FacePose(fit.blendshapes, fit.rotation, fit.translation + moved, fit.gaze)


def shoulders(renderer: Reprojector) -> np.ndarray:
    """The picture's rows below the neck, where no head comes."""
    row = round(renderer._body.neck(renderer.camera)) + renderer.view[1] + round(0.2 * renderer._pixels_a_metre)
    picture = np.zeros(renderer.image.shape[:2], bool)
    picture[row:] = True
    return picture


@pytest.mark.parametrize("way", WAYS)
def test_shoulders_stay_to_the_byte_or_go_along(portrait, renderers, way):
    body = shoulders(renderers[0.0])
    pictures = {follows: renderer.render(away(portrait, *WAYS[way])) for follows, renderer in renderers.items()}
    photograph = renderers[0.0].image.astype(int)
    off = {follows: np.abs(picture - photograph)[body].mean() for follows, picture in pictures.items()}
    assert off[0.0] == 0 < off[0.5] < off[1.0]


@pytest.mark.parametrize("follows", [0.0, 0.5, 1.0])
def test_a_portrait_at_rest_is_the_photograph(portrait, renderers, follows):
    renderer = renderers[follows]
    np.testing.assert_array_equal(renderer.render(away(portrait, 0, 0, 0)), renderer.image)


def test_what_was_rendered_before_leaves_no_shoulders_behind(portrait):
    """A head that first only nods and then sinks takes its shoulders out of the photograph, as one that sinks at once."""
    far, near = (away(portrait, 0, -moved, 0) for moved in (FAR, 0.01))
    at_once, after = Reprojector(portrait, SIZE), Reprojector(portrait, SIZE)
    after.render(near)
    np.testing.assert_array_equal(after.render(far), at_once.render(far))
    np.testing.assert_array_equal(at_once.render(near), after.render(near))


def test_the_neck_takes_what_is_small_and_leaves_what_is_large(portrait):
    body = Body(portrait.fit, 1.0)
    shares = [np.linalg.norm(body.shift(away(portrait, 0, moved, 0))) / moved for moved in (0.003, 0.019, 0.03, 0.07, 0.11, 0.5)]
    assert shares == sorted(shares) and shares[0] == shares[1] == 0 and shares[3] == pytest.approx(0.5) and shares[-1] > 0.95
    turned = replace(
        away(portrait, 0, 0, 0), rotation=portrait.fit.rotation @ np.array([[0.8, -0.6, 0], [0.6, 0.8, 0], [0, 0, 1]])
    )
    assert np.abs(body.shift(turned)).max() == 0


def test_frames_are_continuous_in_time_and_in_the_control(portrait):
    """A finer step of the head, or of the control, makes a smaller step of the picture, everywhere and from rest on."""
    renderer = Reprojector(portrait, SIZE)
    path = [renderer.render(away(portrait, 0, -moved, 0)).astype(int) for moved in np.linspace(0.024, 0.025, 9)]
    steps = [np.abs(b - a).mean() for a, b in zip(path, path[1:])]
    assert max(steps) < 3 * np.median(steps) + 0.01 and sum(steps) < 0.5 * np.abs(path[0] - renderer.image).mean()
    at = [
        Reprojector(portrait, SIZE, body_follows=follows).render(away(portrait, 0, -FAR, 0)).astype(int)
        for follows in (0.0, 0.01, 0.02)
    ]
    body = shoulders(renderer)
    assert np.abs(at[1] - at[0])[body].mean() < 1.5 and np.abs(at[2] - at[1])[body].mean() < 1.5


@pytest.mark.parametrize("way", WAYS)
def test_no_pixel_of_the_body_has_a_hole(portrait, renderers, way):
    """Where the photograph shows the body down to its lower border, a body that goes along still reaches it: no background comes through."""
    renderer = renderers[1.0]
    provenance = renderer.posed(away(portrait, *WAYS[way])).provenance
    u, v, _ = renderer.camera.project(renderer._body._base + renderer._body.shift(away(portrait, *WAYS[way])))
    column, row = round(u) - renderer.view[0] + renderer._part[1].start, round(v) - renderer.view[1] + renderer._part[0].start
    middle = provenance[max(row, 0) :, column - 8 : column + 9]
    assert middle[..., 1].max() < 40


def test_hair_at_the_border_is_rounded_off():
    border = np.zeros(100)
    border[20:80] = 1
    beyond = rounded_off(border, 40)
    high = beyond.sum(0)
    assert high[50] == pytest.approx(30 * tuning.ROUNDED, abs=1) and high[21] < high[30] < high[50] and not high[:20].any()
    assert rounded_off(np.ones(9), 4).min() == 1
    corner = rounded_off(np.arange(100) < 30, 40).sum(0)  # the picture's corner cuts a head in two
    assert corner[0] == corner.max() and (np.diff(corner[:30]) <= 0).all()


def test_what_is_mirrored_is_beside_the_border():
    places = mirrored(10, 5, 5, 2, 10)
    np.testing.assert_array_equal(places, [0, 0, 1, 1, 0, *range(10), 9, 8, 7, 6, 5])


def test_a_close_up_is_continued_beyond_every_border(portrait):
    """Cut off at hair, neck and shoulders, the person goes on beyond the border, and no other pixel than the photograph's is used."""
    cut = Portrait(portrait.image, portrait.fit, portrait.sha256)
    projection = Reprojector(cut, SIZE, "face").projection
    beyond = Beyond(12, 13, 14, 15)
    height, width = projection.matte.shape
    head = np.zeros((height + 28, width + 26), bool)
    shown, matte = person_beyond(projection, beyond, 0.7 * height, head)
    colours = shown.picture[np.ix_(shown.rows, shown.columns)]
    assert colours.shape == (*head.shape, 3) and matte.shape == head.shape
    inside = np.s_[13 : 13 + height, 12 : 12 + width]
    np.testing.assert_array_equal(colours[inside], projection.person)
    np.testing.assert_array_equal(matte[inside], projection.matte)
    assert (matte[-1, 12 : 12 + width] == projection.matte[-1]).all()
