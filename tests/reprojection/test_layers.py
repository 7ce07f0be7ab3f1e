"""The person apart from the background, and the head with its hair on, against truths that are known."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.ndimage import distance_transform_edt

from conftest import motion_of
from mimaface.data.camcorder import Camcorder
from mimaface.data.people import random_person
from mimaface.data.studio import random_studio
from mimaface.face.fit import FittedFace
from mimaface.face.head import Head
from mimaface.face.pose import FacePose, poses_for
from mimaface.geometry.camera import Camera
from mimaface.geometry.interpolation import pixels_under
from mimaface.geometry.mesh import harmonic_extension
from mimaface.geometry.rasterise import rasterise, vertex_normals
from mimaface.reprojection import head_layers, reprojector
from mimaface.reprojection.hair import ears_offset, hair_offset
from mimaface.reprojection.head_layers import seams
from mimaface.reprojection.matte import background_behind, person_colours, person_matte
from mimaface.reprojection.person_warp import PersonWarp
from mimaface.reprojection.reprojector import Reprojector

SIDE = 256


def bald_fit() -> FittedFace:
    head = Head.load()
    camera = Camera(2.5 * SIDE, (SIDE / 2, SIDE / 2), SIDE, SIDE)
    still = np.zeros((2, 2))
    place = np.array([0.0, -0.01, -1.15])
    return FittedFace(np.zeros(80), np.zeros(head.expression_size), np.eye(3), place, still, camera, np.zeros((478, 3)), 1.0, 1.0)


def covered(fit: FittedFace, shape: np.ndarray) -> np.ndarray:
    place = fit.camera.project(shape @ fit.rotation.T + fit.translation)
    return rasterise(place, Head.load().skin_triangles(), SIDE, SIDE).covered


def painted(fit: FittedFace, shape: np.ndarray, hair: np.ndarray) -> np.ndarray:
    """The head in two colours: dark where ``hair`` (V,), light elsewhere."""
    place = fit.camera.project(shape @ fit.rotation.T + fit.translation)
    raster = rasterise(place, Head.load().skin_triangles(), SIDE, SIDE)
    colours = np.where(hair[:, None], [40.0, 30.0, 20.0], [210.0, 170.0, 150.0]).astype(np.float32)
    return raster.interpolate(Head.load().skin_triangles(), colours).astype(np.uint8)


@pytest.mark.parametrize("thickness", [0.0, 0.015, 0.04])
def test_the_shell_is_as_thick_as_the_hair(thickness):
    head, fit = Head.load(), bald_fit()
    bald = head.posed(fit.identity, fit.blendshapes, fit.gaze)
    scalp = head.region("scalp")
    grown = bald + thickness * scalp[:, None] * vertex_normals(bald, Head.load().skin_triangles())
    offset = hair_offset(fit, fit.camera, bald, painted(fit, bald, scalp), covered(fit, grown).astype(np.float32))
    used = np.isin(np.arange(len(bald)), Head.load().skin_triangles())
    top = scalp & used & (bald[:, 1] > 0.03)  # away from the hairline, where hair thins
    assert np.median(np.abs(np.linalg.norm(offset[top], axis=1) - thickness)) < 0.003
    assert np.abs(offset[head.region("face", "lips", "lids")]).max() == 0


@pytest.mark.parametrize("hidden", [False, True])
def test_ears_are_hidden_when_they_look_like_hair(hidden):
    head, fit = Head.load(), bald_fit()
    bald = head.posed(fit.identity, fit.blendshapes, fit.gaze)
    hair = head.region("scalp", "ears") if hidden else head.region("scalp")
    grown = bald + 0.03 * hair[:, None] * vertex_normals(bald, Head.load().skin_triangles())
    offset = hair_offset(fit, fit.camera, bald, painted(fit, bald, hair), covered(fit, grown).astype(np.float32))
    moved = np.linalg.norm(offset[head.region("ears")], axis=1)
    assert moved.mean() > 0.01 if hidden else moved.max() == 0


def test_ears_lie_as_close_as_the_photograph_shows_them():
    head, fit = Head.load(), bald_fit()
    bald, ears = head.posed(fit.identity, fit.blendshapes, fit.gaze), head.region("ears")
    without = np.where(ears[:, None], harmonic_extension(bald, ~ears, head.skin_triangles()), bald)

    def beside(shape: np.ndarray, matte: np.ndarray) -> float:
        """Millimetres by which ears lie beside the person, at the mean."""
        row, column = pixels_under(fit.camera.project(shape @ fit.rotation.T + fit.translation)[ears], SIDE, SIDE)
        return float(distance_transform_edt(matte < 0.5)[row, column].mean() * -fit.translation[2] / fit.camera.focal * 1000)

    for closer in (0.5, 1.0):
        matte = covered(fit, bald + closer * (without - bald)).astype(np.float32)
        offset = ears_offset(fit, fit.camera, bald, matte)
        assert beside(bald, matte) > 2 and beside(bald + offset, matte) < 0.35
        assert np.abs(offset[~ears]).max() == 0
    own = covered(fit, bald).astype(np.float32)
    assert np.linalg.norm(ears_offset(fit, fit.camera, bald, own), axis=1).max() < 0.0018  # metres, a pixel
    for level in (0, 1):  # nobody is found, and a person who fills the picture
        assert np.abs(ears_offset(fit, fit.camera, bald, np.full((SIDE, SIDE), level, np.float32))).max() == 0


def test_a_person_who_fills_the_picture_has_no_shell():
    head, fit = Head.load(), bald_fit()
    bald = head.posed(fit.identity, fit.blendshapes, fit.gaze)
    everywhere = np.ones((SIDE, SIDE), np.float32)
    assert np.abs(hair_offset(fit, fit.camera, bald, painted(fit, bald, head.region("scalp")), everywhere)).max() == 0


def test_people_are_told_from_backgrounds():
    """Against exact mattes of rendered people: pictures before black and before white."""
    overlaps = []
    for seed in range(6):
        random = np.random.default_rng([9, seed])
        person, studio = random_person(random), random_studio(random, SIDE, [])
        pose = FacePose(np.zeros(52), np.eye(3), studio.translation, np.zeros((2, 2)))
        camcorder = Camcorder(person, studio, np.eye(3), 1)
        photo = camcorder.take(pose)
        studio.background[:] = 0
        dark = camcorder.take(pose).astype(float)
        studio.background[:] = 255
        bright = camcorder.take(pose).astype(float)
        truth = (bright - dark).mean(-1) < 60
        face = np.hypot(*(np.mgrid[:SIDE, :SIDE] - SIDE / 2)) < 50
        found = person_matte(photo, face) > 0.5
        overlaps.append((found & truth).sum() / (found | truth).sum())
    assert np.median(overlaps) > 0.9
    assert min(overlaps) > 0.6


def test_what_is_no_person_is_not_cut_out():
    """A drawing's face is known from its fit; the network sees nothing there, and all of the picture moves, as a sheet."""
    noise = np.random.default_rng(0).integers(0, 255, (SIDE, SIDE, 3), np.uint8)
    face = np.hypot(*(np.mgrid[:SIDE, :SIDE] - SIDE / 2)) < 40
    assert (person_matte(noise, face) == 1).all()


def test_another_person_stays_in_the_background(portrait):
    wall = np.full((512, 160, 3), 200, np.uint8)
    both = np.concatenate([portrait.image, wall, portrait.image], axis=1)
    points = portrait.fit.landmarks[:468, :2].astype(int)
    for mine, other in ((0, 672), (672, 0)):
        face = np.zeros(both.shape[:2], bool)
        face[points[:, 1], points[:, 0] + mine] = True
        matte = person_matte(both, face)
        assert matte[points[:, 1], points[:, 0] + mine].mean() > 0.95
        assert matte[points[:, 1], points[:, 0] + other].mean() < 0.05


def test_a_person_and_a_background_make_the_photograph():
    """Colours are told apart so that both layers together are the picture that they came from."""
    y, x = np.mgrid[:96, :128].astype(np.float32)
    matte = np.clip((40 - np.hypot(x - 64, y - 50)) / 6 + 0.5, 0, 1)
    person = np.stack([180 + 20 * np.sin(x / 9), 120 + 0 * x, 90 + 10 * np.cos(y / 7)], -1)
    background = np.stack([30 + 0.2 * x, 60 + 0 * x, 140 - 0.3 * y], -1)
    image = np.rint(matte[..., None] * person + (1 - matte[..., None]) * background).astype(np.uint8)
    colours, behind = person_colours(image, matte), background_behind(image, matte, 0.0)(slice(0, 96))
    again = matte[..., None] * colours + (1 - matte[..., None]) * behind
    assert np.abs(again - image)[matte > 0].mean() < 1.5
    assert np.abs(colours - person)[matte > 0.5].mean() < 4
    assert np.abs(behind - background).mean() < 4


def test_the_background_stays_when_the_head_turns(each_portrait):
    renderer = Reprojector(each_portrait)
    poses = poses_for(each_portrait.fit, motion_of({"angles": (18, 4, 3)}, {"angles": (-18, -4, -3)}))
    left, top, right, bottom = renderer.view
    part = renderer._part
    away = np.zeros(renderer.image.shape[:2], bool)
    still = renderer._sheet.fixed.invented[top:bottom, left:right] == 0
    away[part] = still & (renderer.projection.matte[top:bottom, left:right] == 0)
    assert away.mean() > 0.15
    pictures = [renderer.render(pose) for pose in poses]
    for picture in pictures:
        untouched = (picture[away] == renderer.image[away]).all(-1)
        assert untouched.mean() > 0.9  # the rest is where the head has moved to


def test_a_filled_wall_has_the_grain_of_the_wall_but_not_what_hangs_on_it():
    grain, hole = 7.0, np.s_[30:70, 60:130]
    image = np.clip(np.random.default_rng(0).normal(128, grain, (96, 192, 1)).repeat(3, 2), 0, 255).astype(np.uint8)
    matte = np.zeros(image.shape[:2], np.float32)
    matte[hole] = 1
    filled = background_behind(image, matte, 0.0, 2)(slice(0, 96))
    assert 0.6 < filled[hole].std() / grain < 1.2 and abs(filled[hole].mean() - 128) < 3
    np.testing.assert_array_equal(filled[matte == 0], image[matte == 0])
    smooth = background_behind(image, matte, 0.0)(slice(0, 96))
    image[:, 45:48] = 255
    striped, blurred = (background_behind(image, matte, 0.0, fine)(slice(0, 96))[hole] for fine in (2, 0))
    assert smooth[hole].std() < 0.3 * grain
    assert np.abs((striped - blurred).mean(0)).max() < 4  # a stripe that comes back would be lighter in every row


@pytest.mark.parametrize("scale", [1.0, 1.5])
def test_stretch_is_measured_in_its_own_direction(portrait, scale):
    sheet: PersonWarp = Reprojector(portrait, 256, "face")._sheet
    turn = np.array([[0.8, -0.6], [0.6, 0.8]])
    stretched = sheet.knots @ turn * [scale, 0.7] @ turn.T
    assert np.allclose(sheet._stretch(stretched), max(scale, 0.7))


@pytest.mark.parametrize("framing", ["photo", "face"])
def test_what_shows_nothing_is_left_out_and_nobody_sees_it(portrait, framing, monkeypatch):
    """Beside the whole sheet, drawn all over the picture, however far the head is turned: to a level, for they count as moving."""
    poses = poses_for(portrait.fit, motion_of({"angles": (25, -8, 10), "jawOpen": 0.7}, {"angles": (-30, 12, 0)}, {"angles": (0.3, 0, 0)}))
    renderer = Reprojector(portrait, 192, framing)
    assert len(renderer._sheet.fixed.shown) < 0.8 * renderer._sheet.knots[..., 0].size

    def keep_all(sheet, opacity, moves):
        return sheet._triangles, np.ones(len(sheet._triangles), bool), np.unique(sheet._triangles)

    monkeypatch.setattr(PersonWarp, "_triangles_of", keep_all)
    whole = Reprojector(portrait, 192, framing)
    for pose in poses:
        for seen, expected in zip(renderer.posed(pose), whole.posed(pose)):
            np.testing.assert_allclose(seen, expected, atol=1)


@pytest.mark.parametrize("framing", ["photo", "face"])
def test_the_origin_of_every_pixel_is_told(each_portrait, framing):
    """At rest nothing is made up, and the more the head turns the more is; what is said to be photographed background is it."""
    renderer = Reprojector(each_portrait, 256, framing)
    poses = poses_for(each_portrait.fit, motion_of({"angles": (0, 0, 0)}, {"angles": (9, 0, 0)}, {"angles": (24, 0, 0)}))
    made_up = []
    for pose in poses:
        picture, provenance, _ = renderer.posed(pose)
        np.testing.assert_array_equal(picture, renderer.render(pose))
        assert provenance.shape == picture.shape and provenance.dtype == np.uint8
        assert np.abs(provenance.sum(-1, dtype=int) - 255).max() <= 2
        assert 0.05 < (provenance[..., 0] > 250).mean() < 0.9
        background = provenance[..., 2] == 255
        assert background.mean() > 0.05
        off = picture[background].astype(int) - renderer.image[background]
        assert np.abs(off).max() <= 2  # of resampling
        made_up.append((provenance[..., 1] / 255).mean())
    assert made_up[0] == 0 < made_up[1] < made_up[2] < 0.2


@pytest.mark.parametrize("small", [True, False])
def test_a_part_of_the_provenance_is_that_of_the_whole(portrait, small, monkeypatch):
    """Of a frame in strips and one in one go, of one whose empty frame is kept and one whose is not; the picture is the same."""
    monkeypatch.setattr(reprojector, "KEPT_EMPTY", 1 << 20 if small else 0)
    if not small:
        monkeypatch.setattr(head_layers, "STRIP", 192 * 20)
    renderer = Reprojector(portrait, 192)
    for pose in poses_for(portrait.fit, motion_of({"angles": (0, 0, 0)}, {"angles": (20, 5, 0)}, {"angles": (-25, 0, 8), "jawOpen": 0.5})):
        whole = renderer.posed(pose)
        for part in (np.s_[40:120, 30:100], np.s_[0:1, 0:150], np.s_[10:10, 10:20]):
            seen = renderer.posed(pose, part=part)
            np.testing.assert_array_equal(seen.picture, whole.picture)
            np.testing.assert_array_equal(seen.provenance, whole.provenance[part])


def test_pixels_said_to_be_the_person_are_photographed(portrait):
    """They, but for the eyes, are darker where all that the photograph shows of the person is; what is made up is not."""
    pose = poses_for(portrait.fit, motion_of({"angles": (15, 5, 0)}))[0]
    renderer = Reprojector(portrait, 256, "face")
    before, provenance, _ = renderer.posed(pose)
    projection = renderer.projection
    inner = projection.inner_person
    person = renderer._sheet._person
    renderer._sheet._person = person._replace(picture=person.picture // 2)
    renderer._photograph.projection = replace(projection, person=projection.person // 2, inner_person=inner._replace(picture=inner.picture // 2))
    after = renderer.render(pose)
    ratio = after.sum(-1) / np.maximum(before.sum(-1, dtype=float), 1)
    bright = before.min(-1) > 40
    person, made_up = (ratio[(provenance[..., channel] > 250) & bright] for channel in (0, 1))
    assert (np.abs(person - 0.5) < 0.03).mean() > 0.95
    assert (made_up > 0.6).mean() > 0.3


def test_seams_are_where_the_sheet_ends_before_the_head_alone():
    """Not at an outline that both share, nor beside the head, nor inside."""
    sheet, head = np.zeros((60, 80), np.float32), np.zeros((60, 80), bool)
    sheet[10:50, 10:40], head[10:50, 10:70] = 1, True
    found = seams(sheet, head, 4)
    assert found[30, 39] > 0.8 and found[30, 35] < 0.2
    assert np.all(np.diff(found[30, 33:40]) >= 0)
    assert found[30, 10] < 0.1 and found[10, 25] < 0.1 and not found[30, 15:30].any()
    assert not seams(sheet, np.zeros_like(head), 4).any()
    assert not seams(np.ones_like(sheet), head, 4)[5:-5, 5:-5].any()
