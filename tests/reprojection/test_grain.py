"""Lids that close have the grain of the photograph's skin; smooth skin stays smooth."""

from dataclasses import replace

import numpy as np

from conftest import motion_of
from mimaface.face.head import Head
from mimaface.face.pose import poses_for
from mimaface.geometry.interpolation import pixels_under
from mimaface.reprojection import tuning
from mimaface.reprojection.reprojector import Reprojector


def grained(portrait, strength: float):
    """The portrait, each of whose pixels is lighter or darker by up to this share, at random."""
    noise = np.random.default_rng(1).uniform(1 - strength, 1 + strength, portrait.image.shape[:2])
    return replace(portrait, image=np.clip(portrait.image * noise[..., None], 0, 255).astype(np.uint8))


def roughness(renderer, portrait) -> float:
    """Of a closed lid: how far pixels differ from their neighbours, as a share of their brightness."""
    pose = poses_for(portrait.fit, motion_of({"eyeBlinkLeft": 1.0, "eyeBlinkRight": 1.0}))[0]
    picture, head = renderer.render(pose).mean(2), Head.load()
    above = head.vertices[:, :2] - head.eye_centres[0, :2]
    lid = renderer.camera.project(renderer.pose_vertices(pose))[(np.abs(above) < [0.006, 0.003]).all(1) & (head.vertices[:, 2] > 0.05)]
    row, column = pixels_under(lid, *picture.shape)
    part = picture[row.min() : row.max() + 1, column.min() : column.max() + 1]
    return float(np.median(np.abs(np.diff(part, axis=1))) / part.mean())


def test_a_lid_has_the_grain_of_the_photograph(portrait):
    smooth, rough = (roughness(Reprojector(each), each) for each in (portrait, grained(portrait, 0.3)))
    assert rough > 2 * smooth
    assert 0.05 < rough < 0.3  # that of the noise is 0.2


def test_what_is_no_grain_stays_on_the_cheek(portrait):
    """A black spot where the grain is taken is as faint on the lid as any other pixel of it."""
    plain = Reprojector(portrait).projection.grain
    points = portrait.fit.landmarks[:, :2]
    u, v = (points[145] + 0.3 * (points[152] - points[145]) * [0, 1]).astype(int)
    image = portrait.image.copy()
    image[v - 2 : v + 3, u - 2 : u + 3] = 0
    spotted = Reprojector(replace(portrait, image=image)).projection.grain
    assert np.abs(spotted.detail).max() < 1.5 * np.abs(plain.detail).max()
    assert np.abs(spotted.detail).max() <= tuning.GRAIN_MOST * np.median(np.abs(spotted.detail[spotted.detail != 0])) * 1.2


def test_grain_is_on_the_skin_around_eyes_alone(portrait):
    place = Reprojector(portrait).projection.grain.place
    assert set(np.unique(place[:, 2])) == {0, 1}
    head = Head.load()
    assert (np.abs(np.abs(head.vertices[place[:, 2] == 1, 0]) - head.eye_centres[0, 0]) < tuning.LID_REACH).all()
