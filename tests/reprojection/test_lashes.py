"""Lashes of closing eyes: a soft dark line over the lower lid, and upper lids without those that the open eye had on them."""

from dataclasses import replace

import numpy as np
import pytest

from conftest import motion_of
from mimaface.face.head import Head
from mimaface.face.pose import poses_for
from mimaface.geometry.interpolation import pixels_under
from mimaface.reprojection.eyes import around_eyes, lid_tables
from mimaface.reprojection.kernels import LID_BINS
from mimaface.reprojection.lashes import lash_length, lower_lids_skin
from mimaface.reprojection.reprojector import Reprojector

EYES = ((33, 133), (362, 263))


@pytest.fixture(scope="module")
def renderer(portrait):
    return Reprojector(portrait)


def with_lashes(portrait, length: float):
    """The portrait with dark strokes over both upper lids, ``length`` of an eye's width long."""
    image = portrait.image.copy()
    for corners in EYES:
        first, last = portrait.fit.landmarks[list(corners), :2]
        width = np.linalg.norm(last - first)
        for share in np.linspace(0.1, 0.9, 9):
            u, v = (first + share * (last - first) - [0, 0.16 * width]).astype(int)
            image[v - int(length * width) : v + 2, u : u + 1] = (30, 20, 18)
    return replace(portrait, image=image)


def around_the_lids(renderer, portrait, **values):
    """Of a frame: its brightness under each vertex around the eyes, and the metres that each lies above the lid line, inside the corners."""
    pose = poses_for(portrait.fit, motion_of(values))[0]
    head, picture = Head.load(), renderer.render(pose)
    posed = renderer.pose_vertices(pose)
    shape, centres = (posed - pose.translation) @ pose.rotation, head.eye_centres_for(portrait.fit.identity)
    away, _ = renderer.projection.lashes.over(shape, centres, np.ones(2))
    bright = picture.mean(2)[pixels_under(renderer.camera.project(posed), *picture.shape[:2])]
    near = np.abs(np.abs(head.vertices[:, 0]) - head.eye_centres[0, 0]) < 0.008
    return bright, np.where(near & around_eyes(), away, np.nan)


def test_a_blink_lays_the_lashes_over_the_lower_lid(portrait, renderer):
    """Dark at the lid line, lighter with every millimetre below it, and as it was where they end."""
    bright, away = around_the_lids(renderer, portrait, eyeBlinkLeft=1, eyeBlinkRight=1)
    length = renderer.projection.lashes.length
    line, below, under = (
        np.median(bright[(away > low * length) & (away < high * length)]) for low, high in ((-0.5, 0.0), (-1.5, -0.8), (-4, -3))
    )
    assert line < 0.8 * below < 0.8 * under, (line, below, under)


def test_no_bright_slit_lies_between_closed_lids(portrait, renderer):
    """The rim of a lower lid rises behind the upper one, and no light falls there."""
    bright, away = around_the_lids(renderer, portrait, eyeBlinkLeft=1, eyeBlinkRight=1)
    rim = lower_lids_skin() & (away > -0.0008)
    assert rim.sum() > 5
    assert np.nanmax(away[lower_lids_skin()]) <= 0
    assert bright[rim].max() < np.median(bright[(away > -0.004) & (away < -0.003)])


def test_long_lashes_of_an_open_eye_do_not_lie_on_its_closed_lid(portrait, renderer):
    painted = with_lashes(portrait, 0.2)
    other = Reprojector(painted)
    bright, away = around_the_lids(renderer, portrait, eyeBlinkLeft=1, eyeBlinkRight=1)
    dark, _ = around_the_lids(other, painted, eyeBlinkLeft=1, eyeBlinkRight=1)
    lid = (away > 0.003) & (away < 0.008)
    assert np.percentile(np.abs(dark - bright)[lid], 95) < 0.12 * np.median(bright[lid])
    still = (0, painted.image.mean(2)[pixels_under(other.projection.place, *painted.image.shape[:2])])[1]
    assert (still[lid] < 60).any(), "there were lashes to remove"


def test_longer_lashes_are_found_to_be_longer(portrait, renderer):
    up = portrait.fit.rotation[:, 1]
    short, long = (
        lash_length(each.image, portrait.fit.camera, renderer.projection.still, up) for each in (portrait, with_lashes(portrait, 0.25))
    )
    assert short <= long


def test_a_lids_edge_is_a_smooth_curve(portrait, renderer):
    """The rim has several vertices at one place: a line from one to the next would be a saw."""
    shape = (renderer.projection.still - portrait.fit.translation) @ portrait.fit.rotation
    tables = lid_tables(shape, Head.load().eye_centres_for(portrait.fit.identity))
    assert tables.shape == (2, LID_BINS)
    assert np.abs(np.diff(tables, 2, axis=1)).max() < 0.06


def test_dark_rims_of_glasses_stay_in_a_blink(hopper):
    still = hopper.image.mean(2)
    shut = Reprojector(hopper).render(poses_for(hopper.fit, motion_of({"eyeBlinkLeft": 1.0, "eyeBlinkRight": 1.0}))[0]).mean(2)
    for lids, corners in zip((159, 386), EYES):
        (left, _), (right, _) = sorted(hopper.fit.landmarks[list(corners), :2].tolist())
        width, lid = right - left, hopper.fit.landmarks[lids, 1]
        above = np.s_[int(lid - 0.45 * width) : int(lid - 0.12 * width), int(left - 0.2 * width) : int(right + 0.2 * width)]
        rim = still[above] < 60
        assert rim.sum() > 20, "the photograph has a dark rim above this eye"
        assert np.percentile((shut - still)[above][rim], 90) < 8, "grey levels; 45 and 63 when all that is dark was taken for lashes"
